"""The registry: a method is a file in this folder, a file of one's own, or an entry point of the
group `ssl_methods.methods`.

Listing names imports nothing; a method's file (and torch) is imported when its class is needed.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_methods.config import MethodChoice, NetworkConfig, parse
from ssl_methods.errors import UserError, did_you_mean
from ssl_methods.face import Face
from ssl_methods.files import read_json
from ssl_methods.plugins import Plugins

if TYPE_CHECKING:
    from ssl_methods.config import MethodConfig
    from ssl_methods.methods.base import Method

RELEASED = "released.json"


PLUGINS = Plugins("ssl_methods.methods", "method", "ssl_methods.methods")
register, modules, names = PLUGINS.register, PLUGINS.modules, PLUGINS.names


def method_class(name: str) -> type[Method]:
    """The one subclass of ``Method`` that the method's file defines. Raises UserError if there is
    none."""
    from ssl_methods.methods.base import Method

    return PLUGINS.subclass(name, Method)


def resolve(
    choice: MethodChoice, where: str = "methods", labeled: int | None = None
) -> MethodConfig:
    """Every setting of a chosen method: defaults, then the recipe, then the overrides.

    ``labeled``: the number of labeled cases, on which a recipe may depend; None if not known.

    Raises UserError naming an unknown method or setting and the nearest valid one.
    """
    if choice.module is not None:
        register(choice.module)
    config = method_class(choice.method).Config
    released = config.released(labeled) if choice.recipe == "as_released" else {}
    return parse(config, {**released, **choice.settings}, f"{where}.{choice.method}")


def named_by_the_user(choice: MethodChoice, where: str) -> MethodChoice:
    """The choice that a record of a run holds, its module replaced by the file that was registered.

    Records are data: a program that one names runs only if the user has named it too. Raises
    UserError, saying how, if it is not registered.
    """
    if choice.module is None:
        return choice
    own = PLUGINS.own.get(choice.module.stem)
    if own is None:
        raise UserError(
            f"{where}: its method is a program, {choice.module}, which runs only if you name it "
            f"too: --method-module {choice.module}"
        )
    return choice if choice.module.resolve() == own else choice.model_copy(update={"module": own})


def check_choice(choice: MethodChoice, where: str = "methods") -> None:
    """The same check while the workflow is planned: imports the method only if it has overrides."""
    if choice.settings or choice.module is not None:
        resolve(choice, where)
    elif choice.method not in modules():
        raise UserError(
            f"{where}: there is no method '{choice.method}'{did_you_mean(choice.method, names())}"
        )


def create(
    name: str,
    *,
    recipe: str = "unified",
    network: NetworkConfig | None = None,
    in_channels: int = 1,
    classes: int = 1,
    dimensions: int = 3,
    labeled: int | None = None,
    **settings: Any,
) -> Method:
    """A freshly initialised method.

    Args:
        name: one of ``names()``.
        recipe: ``unified`` or ``as_released``.
        network: kind and size; the paper's by default.
        in_channels, classes, dimensions: of the data: C, K, 2 or 3.
        labeled: cases with a label, on which ``as_released`` may depend; None if not known.
        settings: overrides of the method's Config.
    """
    choice = parse(MethodChoice, {"method": name, "recipe": recipe, "settings": settings}, name)
    return build(choice, network or NetworkConfig(), in_channels, classes, dimensions, labeled)


def build(
    choice: MethodChoice,
    network: NetworkConfig,
    in_channels: int,
    classes: int,
    dimensions: int,
    labeled: int | None = None,
) -> Method:
    """``create`` from settings already read; the networks are on the CPU."""
    from ssl_methods.networks import MakeNetwork

    config = resolve(choice, labeled=labeled)
    make_network = MakeNetwork(network, in_channels, classes, dimensions)
    return method_class(choice.method)(config, make_network)


def deviations(name: str) -> list[str]:
    """What a method's file says of the differences to its papers and code, one text for each."""
    document = inspect.getdoc(inspect.getmodule(method_class(name))) or ""
    _, _, listed = document.partition("\nDeviations")
    return [" ".join(text.split()) for text in re.split(r"\n- ", listed.split("\n\n")[0])[1:]]


@cache
def beside_released_code() -> dict[str, dict[str, Any]]:
    """What was found by method: which lines of the released code were run beside it, what loss
    and gradient they gave, and the largest relative difference of each."""
    found: dict[str, dict[str, Any]] = read_json(Path(__file__).with_name(RELEASED))
    return found


def describe() -> list[dict[str, Any]]:
    """Every method with its summary, targets, settings and deviations: what `methods --json`
    prints."""
    listing = []
    for name in names():
        kind = method_class(name)
        document = inspect.getdoc(inspect.getmodule(kind)) or ""
        fields = kind.Config.model_json_schema()["properties"]
        listing.append(
            {
                "name": name,
                "summary": document.splitlines()[0] if document else "",
                **Face.of(kind)._asdict(),
                "role": kind.role,
                "uses_unlabeled": kind.uses_unlabeled,
                "least_precision": kind.least_precision,
                "targets": sorted(kind.targets),
                "as_released": dict(kind.Config.as_released),
                "beside_released_code": beside_released_code().get(name),
                "deviations": deviations(name),
                "settings": {
                    key: {k: v for k, v in field.items() if k != "title"}
                    for key, field in fields.items()
                },
            }
        )
    return listing
