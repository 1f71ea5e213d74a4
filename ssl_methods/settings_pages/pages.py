"""The reference pages, from the settings and methods themselves, for the verb `reference`.

A test says when `docs/reference/settings.md` and `docs/reference/methods.md` are stale.
"""

from __future__ import annotations

import importlib
import json
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ssl_methods import config, methods
from ssl_methods.analysis.bibliography import papers

MADE = "<!-- Made by `ssl-methods reference`; edit the settings, not this page. -->"
EXPERIMENT: dict[str, type[BaseModel]] = {
    "An experiment": config.Experiment,
    "One row of `methods`": config.MethodChoice,
    "`network`": config.NetworkConfig,
    "`training`": config.TrainingConfig,
    "`evaluation`": config.EvaluationConfig,
    "Every method": config.MethodConfig,
    "Every method with a term that warms up": config.RampedConfig,
}


def settings_page() -> str:
    """Every key of an experiment file, in the order of the file."""
    parts = [
        "# Settings",
        MADE,
        "What an experiment file may say. A key that is not here is refused, and the nearest valid "
        "one named. The settings of each method: [methods](methods.md).",
        "What has one value per axis has them in the order of the file's array: x, y, z of NIfTI, "
        "NRRD and MetaImage, x, y of pictures, the axes of other arrays as they are.",
    ]
    for title, model in EXPERIMENT.items():
        inherited = set(config.MethodConfig.model_fields) if model is config.RampedConfig else set()
        parts += section(title, model, inherited)
    parts += section("`dataset`, whatever the importer", config.DatasetBase, {"importer"})
    for importer in config.IMPORTERS.names():
        kind = config.dataset_class(importer)
        shared = {
            key
            for key, field in config.DatasetBase.model_fields.items()
            if kind.model_fields[key].default == field.default
        }
        parts += section(f"`dataset` with `importer: {importer}`", kind, shared | {"importer"})
    return "\n\n".join(parts) + "\n"


def section(title: str, model: type[BaseModel], leave_out: set[str]) -> list[str]:
    """Heading, the first line of the class, and its table; without keys explained elsewhere."""
    own = {key: field for key, field in model.model_fields.items() if key not in leave_out}
    said = (model.__doc__ or "").partition("\n")[0]
    return [f"## {title}", said, *([table(own)] if own else [])]


def table(fields: dict[str, FieldInfo]) -> str:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for key, field in fields.items():
        extra: dict[str, Any] = (
            field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        )
        meaning = [field.description or "", bounds(field)]
        if source := extra.get("source"):
            meaning.append(f"source: {source}")
        text = "; ".join(part for part in meaning if part).replace("|", "\\|")
        lines.append(f"| `{key}` | {default(field)} | {text} |")
    return "\n".join(lines)


def default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, BaseModel):
        return "see below"
    return f"`{json.dumps(short(field.default), default=str)}`"


def short(value: Any) -> Any:
    """Numbers to four digits."""
    if isinstance(value, tuple | list):
        return [short(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def bounds(field: FieldInfo) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return ", ".join(
        f"{sign} {getattr(item, name):g}"
        for item in field.metadata
        for name, sign in signs.items()
        if getattr(item, name, None) is not None
    )


def methods_page() -> str:
    """Every method of the package: what it is, its papers, its own settings."""
    parts = [
        "# Methods",
        MADE,
        "Each method's file, `ssl_methods/methods/<name>.py`, says its equations, the source of "
        "each default and every deviation. Keys: `ssl_methods/analysis/references.bib`.",
    ]
    parts += beside_released_code()
    for name, module in packaged().items():
        kind = methods.method_class(name)
        ramped = issubclass(kind.Config, config.RampedConfig)
        base = config.RampedConfig if ramped else config.MethodConfig
        shared = {
            key
            for key, field in base.model_fields.items()
            if kind.Config.model_fields[key].default == field.default
        }
        own = {k: f for k, f in kind.Config.model_fields.items() if k not in shared}
        parts += [f"## {name}", first_line(module)]
        facts = [f"role: {kind.role}"] * (kind.role != "method")
        facts += ["settings of every method" + ", and `weight`, `ramp`, `ramp_fraction`" * ramped]
        if kind.Config.as_released:
            facts.append(f"`as_released` changes {', '.join(map(str, kind.Config.as_released))}")
        if cited := papers(name):
            facts.append("papers: " + ", ".join(f"{e.short} (`{e.key}`)" for e in cited))
        parts += ["\n".join(f"- {fact}" for fact in facts), *([table(own)] if own else [])]
    return "\n\n".join(parts) + "\n"


def packaged() -> dict[str, str]:
    own = methods.modules().items()
    return {name: module for name, module in own if module.startswith("ssl_methods.")}


def beside_released_code() -> list[str]:
    """The table of `as_released` steps beside those of the released code."""
    lines = [
        "| method | released code that was run | loss | gradient |",
        "|---|---|---|---|",
    ]
    found = methods.beside_released_code()
    for name, row in found.items():
        others = [{"what": row["reference"]} | row, *row.get("otherwise", [])]
        lines += [
            f"| {name if other is others[0] else f'{name}, not followed'} | {other['what']} "
            f"| {other['loss_difference']:.2g} | {other['gradient_difference']:.2g} |"
            for other in others
        ]
    rest = [name for name in packaged() if name not in found]
    return [
        "## Beside the released code",
        "One step of each method in the recipe `as_released`, beside lines of the released code "
        "run on the same weights, images and draws, in float32: the relative difference of the "
        "loss, and the largest of the gradient over its largest component. A test holds the steps "
        "to what those lines gave and to a restatement of the formulas. Each method's file lists "
        "what differs otherwise.",
        "\n".join(lines),
        f"Not run beside released code, for the reason that its file gives: {', '.join(rest)}.",
    ]


def first_line(module: str) -> str:
    return (importlib.import_module(module).__doc__ or "").partition("\n")[0]


PAGES = {"settings.md": settings_page, "methods.md": methods_page}
