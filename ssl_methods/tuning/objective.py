"""One trial: a setting trained on every subset and seed of the study, judged on validation cases.

The runs are those of the verb `train`, each in a folder of its own, so a retried trial goes on
where the last one stopped: finished runs are read, the interrupted one resumes from its checkpoint.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_methods.config import Run
from ssl_methods.data.inputs import open_inputs, open_store
from ssl_methods.devices.claim import computing
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import as_csv, evaluate_cases
from ssl_methods.evaluation.trained import predictor_of, restore
from ssl_methods.files import write_text
from ssl_methods.run_record import read_record
from ssl_methods.training.checkpoint import Row
from ssl_methods.training.observers import Observer
from ssl_methods.training.train import build_for, train
from ssl_methods.tuning.study import Study

Look = Callable[[int, float], None]
"""Called with a step (iterations, over all runs of the trial) and the mean Dice seen so far."""


class Refused(UserError):
    """A method does not take a setting, although it is within the ranges that are searched."""


class Watcher(Observer):
    """Tells of each validation while a run trains."""

    def __init__(self, name: str, tell: Callable[[int, float], None]) -> None:
        super().__init__(name)
        self.tell = tell

    def see(self, row: Row, total: int) -> None:
        super().see(row, total)
        if "validation_dice" in row:
            self.tell(int(row["iteration"]), row["validation_dice"])


def run_setting(
    study: Study,
    row: str,
    settings: Mapping[str, Any],
    seeds: Sequence[int],
    folder: Path,
    results: Path,
    look: Look | None = None,
    keep_cases: bool = False,
) -> dict[tuple[int, int], float]:
    """Validation Dice, 0..1, of every (subset, seed), at the last iteration.

    Args:
        settings: overrides of the row's settings.
        folder: of the trial; each run has a folder below.
        look: sees each validation, and may raise to stop the trial.
        keep_cases: also write each run's ``cases.csv``, of the validation cases.

    Raises:
        TrainingDiverged: a loss became NaN or infinite.
        Refused: the method does not take the setting.
        UserError: bad settings or data.
    """
    check_accepted(study, row, settings, results)
    found: dict[tuple[int, int], float] = {}
    for subset in study.subsets:
        for seed in seeds:
            before = list(found.values())

            def tell(iteration: int, dice: float, before: list[float] = before) -> None:
                if look is not None:
                    step = len(before) * study.training.iterations + iteration
                    look(step, sum([*before, dice]) / (len(before) + 1))

            run = study.run(row, settings, subset, seed)
            own = folder / f"subset-{subset}" / f"seed-{seed}"
            if not (own / "provenance.json").exists():  # what `train` writes last
                train(run, results, own, Watcher(f"{row} in {folder.name}", tell))
            if keep_cases and not (own / "cases.csv").exists():
                measure(run, results, own)
            (own / "model.pt").unlink(missing_ok=True)  # what is tuned is trained anew
            found[subset, seed] = last_dice(own / "history.csv")
    return found


def check_accepted(study: Study, row: str, settings: Mapping[str, Any], results: Path) -> None:
    """Raises Refused if the method cannot be made with the settings."""
    run = study.run(row, settings, study.subsets[0], study.seeds[0])
    store = open_store(run.dataset, results, make=True)
    try:
        build_for(run, store)
    except UserError as error:
        raise Refused(str(error)) from None


def last_dice(history: Path) -> float:
    """The validation Dice of the last iteration."""
    with history.open(newline="", encoding="utf-8") as file:
        *_, last = csv.DictReader(file)
    return float(last["validation_dice"])


def measure(run: Run, results: Path, folder: Path) -> None:
    """``cases.csv`` of a run, as the verb `evaluate` writes it, but of the validation cases."""
    inputs = open_inputs(run, results)
    store, ids = inputs.store, inputs.split.validation
    inputs.verify(ids)
    method = restore(read_record(folder), store)
    with computing(run.training, f"evaluate {folder}") as device:
        predictor = predictor_of(method, run, store, run.evaluation, device)
        rows, _ = evaluate_cases(predictor, store, ids)
    write_text(folder / "cases.csv", as_csv(rows, run.evaluation))
