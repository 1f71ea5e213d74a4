"""What a run's folder says of what its model and its measurements rest on, and if that still holds.

In: ``run.yaml``, by `train`, and ``measured.yaml``, by `evaluate` (docs/reference/formats.md).
Settings are compared by the one definition of what a model depends on, ``Run.training_settings``.
Imports no torch: tables and plans are made with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ssl_methods.config import (
    Run,
    budget_text,
    declared_run,
    differences,
    parse_run,
    read_yaml,
)
from ssl_methods.data.splits import Split, measuring_checksum, training_checksum, with_every_label
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError
from ssl_methods.files import read_json, write_yaml

MEASURED = "measured.yaml"
CHECKPOINTS = ("checkpoint.pt", "checkpoint-previous.pt")  # the newest, and the one before it


@dataclass(frozen=True)
class Record:
    """The ``run.yaml`` of a trained run."""

    folder: Path
    content: Mapping[str, Any]

    @property
    def path(self) -> Path:
        return self.folder / "run.yaml"

    @cached_property
    def run(self) -> Run:
        """The run as it was trained."""
        return parse_run(self.content, self.path)

    @cached_property
    def declared(self) -> Run:
        """The run as it was declared, before its recipe replaced settings of the training."""
        return declared_run(self.content, self.path)

    @cached_property
    def rests_on(self) -> Mapping[str, Any]:
        """``settings``, ``sources``, ``data``; of earlier versions what `provenance.json` holds."""
        found = self.content.get("rests_on")
        return found if isinstance(found, Mapping) else self._provenance

    @cached_property
    def model_sha256(self) -> str | None:
        """Checksum of ``model.pt``; None if it is recorded nowhere."""
        found = self.content.get("model_sha256", self._provenance.get("model_sha256"))
        return found if isinstance(found, str) else None

    @property
    def knows_its_training(self) -> bool:
        """Earlier versions kept only what ``as_released`` made of the training's settings."""
        return "rests_on" in self.content or self.run.choice.recipe == "unified"

    @cached_property
    def _provenance(self) -> Mapping[str, Any]:
        path = self.folder / "provenance.json"
        found = read_json(path) if path.is_file() else {}
        if not isinstance(found, Mapping):
            raise UserError(f"{path}: is no record of a run; train it again")
        return {key: found[key] for key in ("sources", "data", "model_sha256") if key in found}


def read_record(folder: Path) -> Record:
    """Raises UserError if the folder holds no trained run, or a broken record of one."""
    if not (folder / "run.yaml").is_file():
        raise UserError(f"{folder}: is not trained yet (it has no run.yaml); run 'train' first")
    return Record(folder, read_yaml(folder / "run.yaml"))


def train_again(run: Run) -> str:
    """The command that makes the model of a run anew."""
    return (
        f"train it again (ssl-methods train EXPERIMENT.yaml --method {run.name} "
        f"--budget {budget_text(run.budget)} --subset {run.subset} --seed {run.seed})"
    )


# ---- the model -----------------------------------------------------------------------------------


def check_settings(record: Record, declared: Run) -> None:
    """Raises UserError, saying what differs, if the model is of other settings than declared."""
    if record.rests_on.get("settings") == declared.training_digest():
        return
    old, new = record.declared.training_settings(), declared.training_settings()
    if not record.knows_its_training:
        old["training"] = new["training"]
    if changed := differences(old, new):
        raise UserError(
            f"{record.path}: was trained with other settings than '{declared.experiment}' declares "
            f"({_some(changed)}); {train_again(declared)}"
        )


def trained_on(record: Record, store: Store, split: Split) -> str:
    """The checksum of what `train` would read of this store and split."""
    if record.content.get("role") == "bound":
        split = with_every_label(split, store)
    return training_checksum(store, split)


def check_data(record: Record, now: str, where: Path) -> None:
    """Raises UserError if the model is of other data than are there ``now`` (``trained_on``)."""
    if record.rests_on.get("data", now) != now:
        raise UserError(
            f"{record.folder}: its model was trained on other data than {where} holds now; "
            + train_again(record.run)
        )


# ---- the measurements ----------------------------------------------------------------------------


def write_measured(
    folder: Path,
    record: Record,
    run: Run,
    store: Store,
    split: Split,
    sources: str,
    model_sha256: str,
) -> None:
    """``measured.yaml``: the model, settings and cases that ``cases.csv`` is measured with.

    Of ``run`` the settings of the measurement count, those of the training are the record's.
    """
    now = {"evaluation": run.evaluation, "level_cases": run.level_cases}
    measured = record.declared.model_copy(update=now)
    rests_on = {
        "settings": measured.evaluation_digest(),
        "sources": sources,
        "data": measuring_checksum(store, split),
    }
    write_yaml(
        folder / MEASURED,
        {
            "rests_on": rests_on,
            "model_sha256": model_sha256,
            "evaluation": run.evaluation.model_dump(mode="json"),
        },
    )


def check_measured(record: Record, declared: Run, now: str | None) -> str | None:
    """The checksum of the cases that ``cases.csv`` was measured on; None if it is not recorded.

    Raises UserError if it was measured with another model or other settings than are declared, or
    on other cases than the store has ``now`` (``measuring_checksum``; None: there is no store).
    """
    path = record.folder / MEASURED
    if not path.is_file():
        return None
    content = read_yaml(path)
    rests_on, evaluation = content.get("rests_on"), content.get("evaluation")
    if not isinstance(rests_on, Mapping) or not isinstance(evaluation, Mapping):
        raise UserError(f"{path}: is no record of measurements; evaluate the run again")
    wrong = []
    if content.get("model_sha256") != record.model_sha256:
        wrong.append("another model")
    wrong += differences(evaluation, declared.evaluation.model_dump(mode="json"))
    if now is not None and rests_on.get("data") != now:
        wrong.append("other data than the prepared store holds now")
    if wrong:
        raise UserError(
            f"{record.folder / 'cases.csv'}: was measured with {_some(wrong)}; evaluate it again"
        )
    return str(rests_on.get("data"))


def _some(changes: list[str]) -> str:
    more = len(changes) - 3
    return "; ".join(changes[:3]) + (f"; and {more} more" if more > 0 else "")


def remove_checkpoints(folder: Path) -> None:
    """When the run is evaluated: it is never resumed."""
    for name in CHECKPOINTS:
        (folder / name).unlink(missing_ok=True)
