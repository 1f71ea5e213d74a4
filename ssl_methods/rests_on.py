"""What results rest on, as their own folders say it: settings, sources and data, each a digest.

Snakemake remembers in `.snakemake` what it made from what. Results that were copied, moved,
restored or made by hand come without that memory; here their own records answer instead:
``run.yaml`` and ``measured.yaml`` of a run, ``collected.yaml`` beside the tables, ``reported.yaml``
of the report.
Imports no torch: each plan of the workflow reads this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ssl_methods.config import (
    EvaluationConfig,
    Experiment,
    Run,
    digest,
    published_folder,
    read_yaml,
)
from ssl_methods.data import compared
from ssl_methods.data.compared import runs_of
from ssl_methods.data.splits import (
    Split,
    measuring_checksum,
    split_name,
    split_of,
    training_checksum,
    with_every_label,
)
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError
from ssl_methods.files import file_sha256, read_text, write_yaml
from ssl_methods.measures import modules_of
from ssl_methods.methods import modules
from ssl_methods.plugins import Plugins
from ssl_methods.provenance import source_digest

COLLECTED, REPORTED = "tables/collected.yaml", "reported.yaml"
QUESTIONS = Plugins("ssl_methods.analysis.questions", "question")
MEASUREMENTS = ("cases", "runs")
"""The tables that questions are answered from."""

OF_TRAINING = ("history.csv", "cost.json", "provenance.json")
OF_EVALUATION = ("slices.npz", "measured.yaml")

sources = cache(source_digest)


def table_names(experiment: Experiment) -> list[str]:
    """Names of all tables that `collect` writes for an experiment; no question is imported."""
    return [*MEASUREMENTS, *QUESTIONS.packaged, *(file.stem for file in experiment.questions)]


# ---- what is declared now ------------------------------------------------------------------------
# Each is 'settings sources': one value, since each parameter costs time at every job of a grid.


def training(run: Run) -> str:
    return f"{run.training_digest()} {sources('train', modules()[run.choice.method])}"


def evaluation(run: Run) -> str:
    programs = measuring_programs(run, run.evaluation)
    return f"{run.evaluation_digest()} {sources('evaluate', *programs)}"


def measuring_programs(run: Run, evaluation: EvaluationConfig) -> tuple[str, ...]:
    """The modules of the metrics and of the method, of which a run's measurements are made."""
    return (*metric_programs(evaluation), modules()[run.choice.method])


def metric_programs(evaluation: EvaluationConfig) -> tuple[str, ...]:
    return tuple(modules_of(evaluation.metrics, "evaluation.metrics").values())


def splitting(experiment: Experiment) -> str:
    drawn_by = f"{experiment.validation_cases} {experiment.labeled_cases} {experiment.test}"
    drawn_by += " by patients" * (experiment.budgets_count == "patients")
    return f"{drawn_by} {sources('split')}"


def choice(experiment: Experiment, budget: int | float) -> str:
    return f"{compared.rests_on(experiment, budget)} {sources('choose')}"


def look(experiment: Experiment) -> str:
    used = sources("look", *metric_programs(experiment.evaluation))
    return f"{digest(experiment.model_dump(mode='json'))} {used}"


def tables(experiment: Experiment, results: Path) -> str:
    """Digest of what tables rest on beside the runs: published values, experiments beside."""
    named = filter(None, [experiment.other_crop, experiment.other_precision])
    others = [results / name / "tables" / "cases.csv" for name in named]
    beside = [*sorted(published_folder().glob("*.yaml")), *filter(Path.is_file, others)]
    texts = {path.name: path.read_text(encoding="utf-8") for path in beside}
    metrics = metric_programs(experiment.evaluation)
    used = sources("collect", *metrics, *_own(experiment, "questions", experiment.questions))
    declared = experiment.model_dump(mode="json", exclude={"figures"})
    return f"{digest([declared, texts])} {used}"


def report(experiment: Experiment) -> str:
    """What the page rests on. Raises UserError if a file of the user's own is not there."""
    own = _own(experiment, "questions", experiment.questions)
    own = (*metric_programs(experiment.evaluation), *own)
    used = sources("report", *own, *_own(experiment, "figures", experiment.figures))
    return f"{digest(experiment.model_dump(mode='json'))} {used}"


def _own(experiment: Experiment, setting: str, files: Iterable[Path]) -> tuple[str, ...]:
    """The files of one's own that a setting names. Raises UserError if one is not there."""
    for file in files:
        if not file.is_file():
            raise UserError(f"{experiment.name}: {setting}: {file}: there is no such file")
    return tuple(str(file.resolve()) for file in files)


# ---- records of tables and report ----------------------------------------------------------------


def record_tables(experiment: Experiment, results: Path) -> None:
    """Written by `collect` when all tables are."""
    folder = results / experiment.name
    made = [f"tables/{path.name}" for path in folder.glob("tables/[!.]*.*")]
    data = _measurements(experiment, results)
    _record(folder / COLLECTED, tables(experiment, results), data, made)


def record_report(experiment: Experiment, results: Path) -> None:
    """Written by `report` when the page is."""
    folder = results / experiment.name
    made = [f"figures/{path.name}" for path in folder.glob("figures/[!.]*.*")]
    _record(folder / REPORTED, report(experiment), _tables(experiment, results), made)


def _record(path: Path, text: str, data: str, made: Iterable[str]) -> None:
    settings, used = text.split()
    rests_on = {"settings": settings, "sources": used, "data": data}
    made = sorted(name for name in made if not name.endswith((".log", ".tsv", ".yaml")))
    write_yaml(path, {"rests_on": rests_on, "made": made})


def _measurements(experiment: Experiment, results: Path) -> str:
    return _files(
        results, [results / run.folder / "cases.csv" for run in runs_of(experiment, results)]
    )


def _tables(experiment: Experiment, results: Path) -> str:
    folder = results / experiment.name / "tables"
    return _files(results, [folder / f"{name}.csv" for name in table_names(experiment)])


def _files(results: Path, paths: Iterable[Path]) -> str:
    return digest(
        {
            path.relative_to(results).as_posix(): file_sha256(path)
            for path in paths
            if path.is_file()
        }
    )


# ---- what is recorded ----------------------------------------------------------------------------


class Recorded:
    """What an experiment's results rest on, compared with what is declared and prepared.

    Each question is answered by a text: the one above if the result is current, else another that
    says of what it is instead.
    """

    def __init__(self, experiment: Experiment, results: Path) -> None:
        self.experiment, self.results = experiment, results
        self.folder = results / experiment.name
        self._splits: dict[tuple[Any, ...], Split | None] = {}

    def split(self, budget: int | float, subset: int) -> str:
        path = self.folder / "splits" / split_name(budget, subset)
        now = self._split(budget, subset)
        try:
            same = now is None or Split.read(path) == now
        except UserError:
            same = False
        return splitting(self.experiment) if same else "of other settings or data"

    def training(self, run: Run) -> str:
        text, recorded = _head(self.results / run.folder / "run.yaml")
        split = self._split(run.budget, run.subset)
        if split is not None and self.store is not None:
            if re.search(r"^role: bound$", text, re.MULTILINE):
                split = with_every_label(split, self.store)
            if recorded.get("data") != training_checksum(self.store, split):
                return f"{_text(recorded)}, of other data"
        return _text(recorded)

    def evaluation(self, run: Run) -> str:
        text, recorded = _head(self.results / run.folder / "measured.yaml")
        model = re.search(r"^model_sha256: '?(\w+)'?$", text, re.MULTILINE)
        path = self.results / run.folder / "model.pt"
        if path.is_file() and (model is None or model[1] != file_sha256(path)):
            return f"{_text(recorded)}, of another model"
        split = self._split(run.budget, run.subset)
        if split is None or self.store is None:
            return _text(recorded)
        same = recorded.get("data") == measuring_checksum(self.store, split)
        return _text(recorded) + ("" if same else ", of other data")

    def tables(self) -> str:
        recorded = _head(self.folder / COLLECTED)[1]
        same = recorded.get("data") == _measurements(self.experiment, self.results)
        return _text(recorded) + ("" if same else ", of other measurements")

    def report(self) -> str:
        recorded = _head(self.folder / REPORTED)[1]
        same = recorded.get("data") == _tables(self.experiment, self.results)
        return _text(recorded) + ("" if same else ", of other tables")

    def gone(self, record: str) -> list[str]:
        """What was made with the tables (COLLECTED) or the report (REPORTED), and is not there."""
        path = self.folder / record
        try:
            made = read_yaml(path).get("made") if path.is_file() else []
        except UserError:
            return [record]
        names = [name for name in made or [] if isinstance(name, str)]
        return [name for name in names if not (self.folder / name).is_file()]

    @cached_property
    def store(self) -> Store | None:
        try:
            return Store.open(store_folder(self.experiment.dataset, self.results))
        except UserError:
            return None

    def _split(self, budget: int | float, subset: int) -> Split | None:
        """The split as it would be drawn now; None if the prepared data cannot give it."""
        if (budget, subset) not in self._splits:
            self._splits[budget, subset] = self._drawn(budget, subset)
        return self._splits[budget, subset]

    def _drawn(self, budget: int | float, subset: int) -> Split | None:
        if self.store is None:
            return None
        try:
            return split_of(self.experiment, self.store, budget, subset)
        except UserError:
            return None


def _head(path: Path) -> tuple[str, Mapping[str, str]]:
    """A record's text, and what it says under ``rests_on``, its first key; nothing of none."""
    try:
        text = read_text(path)
    except UserError:
        return "", {}
    if not text.startswith("rests_on:\n"):
        return text, {}
    lines = re.findall(r"^  (settings|sources|data): '?(\w+)'?$", text[:400], re.MULTILINE)
    return text, dict(lines)


def _text(recorded: Mapping[str, str]) -> str:
    if "settings" not in recorded or "sources" not in recorded:
        return "nothing is recorded"
    return f"{recorded['settings']} {recorded['sources']}"
