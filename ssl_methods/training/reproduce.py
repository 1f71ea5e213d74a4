"""The verb `reproduce`: an earlier run trained and evaluated once more, and compared with it.

In: the ``run.yaml`` of the earlier run, whose folder holds its model, measurements and provenance.
Out, printed: what differs in what both rest on, then whether weights and measurements agree.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ssl_methods.config import declared_run, differences, read_yaml
from ssl_methods.config.run import WHERE_NOT_WHAT
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import evaluate
from ssl_methods.files import read_json
from ssl_methods.measures import named
from ssl_methods.methods import check_choice, named_by_the_user
from ssl_methods.training.train import train
from ssl_methods.weights import Damaged, load_state

COMPARED = (
    "settings", "seeds", "sources", "git", "versions", "device", "processor", "precision", "data",
    "split",
)  # fmt: skip


def reproduce(path: Path, results: Path, out: Path | None = None) -> bool:
    """Train and evaluate the run of ``path`` again, into ``out`` or a temporary folder.

    ``results`` holds the prepared data. Returns whether weights and measurements are the same, bit
    for bit. Raises UserError if the earlier run left nothing to compare with, or if ``out`` is its
    own folder.
    """
    earlier, run = path.parent, declared_run(read_yaml(path), path)
    run = run.model_copy(update={"choice": named_by_the_user(run.choice, str(path))})
    named(run.evaluation.metrics, str(path))
    needed = [earlier / name for name in ("provenance.json", "cases.csv")]
    for file in needed:
        if not file.is_file():
            raise UserError(f"{file}: is absent; there is nothing to compare with")
    both_provenances(earlier, earlier), measurements(earlier / "cases.csv")  # before hours of work
    if out is not None and out.resolve() == earlier.resolve():
        raise UserError(f"{out}: is the folder of the earlier run; give another --out")
    check_choice(run.choice, str(path))
    with nullcontext(out) if out else TemporaryDirectory() as folder:
        again = Path(folder)
        train(run, results, again)
        evaluate(again, results)
        for line in other_circumstances(*both_provenances(earlier, again)):
            print(line)
        same_weights, weights = compare_weights(earlier, again)
        same_measurements, lines = compare_measurements(earlier, again)
    print(weights, *lines, sep="\n")
    agree = same_weights and same_measurements
    print("reproduced" if agree else "NOT reproduced")
    return agree


def both_provenances(earlier: Path, again: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Raises UserError if the earlier one is no record of a run."""
    path = earlier / "provenance.json"
    before, now = read_json(path), read_json(again / "provenance.json")
    if not isinstance(before, dict) or not isinstance(before.get("model_sha256"), str):
        raise UserError(f"{path}: is no record of a run; there is nothing to compare with")
    return before, now


def other_circumstances(earlier: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[str]:
    """One line per circumstance that is recorded otherwise, or that was not recorded."""
    for name in COMPARED:
        if name not in earlier:
            yield f"{name}: not recorded"
            continue
        before, now = ({name: some[name]} for some in (earlier, again))
        for line in differences(_what(before), _what(now)):
            yield line if len(line) <= 160 else f"{line[:157]}..."


def _what(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The run without the settings that say where a run is made, and change nothing of it."""
    settings = recorded.get("settings")
    training = settings.get("training") if isinstance(settings, dict) else None
    if not isinstance(settings, dict) or not isinstance(training, dict):
        return dict(recorded)
    kept = {key: value for key, value in training.items() if key not in WHERE_NOT_WHAT}
    return {"settings": settings | {"training": kept}}


def compare_weights(earlier: Path, again: Path) -> tuple[bool, str]:
    """Compare by checksum, and if that differs by the largest difference, if both are there."""
    before, now = both_provenances(earlier, again)
    if before["model_sha256"] == now["model_sha256"]:
        return True, "weights: the same, bit for bit"
    if not (earlier / "model.pt").is_file():
        return False, "weights: differ (by the recorded checksum; the earlier model is absent)"
    try:
        models = [load_state(folder / "model.pt") for folder in (earlier, again)]
    except Damaged as error:
        return False, f"weights: differ (by the recorded checksum; {error})"
    shapes = [{name: tensor.shape for name, tensor in model.items()} for model in models]
    if shapes[0] != shapes[1]:
        return False, "weights: differ in names or shapes"
    furthest = {
        name: float((tensor.double() - models[1][name].double()).abs().max())
        for name, tensor in models[0].items()
        if tensor.numel()
    }
    name = max(furthest, key=lambda name: furthest[name])
    if furthest[name] == 0:
        return False, "weights: the same values in other files; the earlier model may be changed"
    return False, f"weights: differ by up to {furthest[name]:.3g} ({name})"


def compare_measurements(earlier: Path, again: Path) -> tuple[bool, list[str]]:
    """The largest difference of each column of ``cases.csv``, if there is one."""
    before, now = (measurements(folder / "cases.csv") for folder in (earlier, again))
    if before.keys() != now.keys():
        return False, ["measurements: of other cases, classes or columns"]
    worst: dict[str, float] = {}
    for (case, klass, column), old in before.items():
        new = now[case, klass, column]
        difference = abs(old - new)
        if math.isnan(difference):  # one or both are not defined
            difference = 0.0 if math.isnan(old) == math.isnan(new) else math.inf
        worst[column] = max(worst.get(column, 0.0), difference)
    lines = [f"{column}: differs by up to {most:.3g}" for column, most in worst.items() if most]
    return not lines, lines or [f"measurements: the same in all {len(worst)} columns"]


def measurements(path: Path) -> dict[tuple[str, str, str], float]:
    """(case, class, column) -> value; flags as 0 and 1, what is not defined as NaN.

    Raises UserError for what is no table of measurements.
    """
    words = {"True": 1.0, "False": 0.0, "": math.nan}
    found = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                case, klass = row.pop("case"), row.pop("class")
                row.pop("patient", None)
                for column, text in row.items():
                    found[case, klass, column] = words[text] if text in words else float(text)
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: is no table of measurements ({error}); evaluate again") from None
    return found
