"""The grid as the workflow sees it: its files, what each job rests on, which devices jobs take.

In: what Snakemake was given, as one mapping. Out: a ``Grid``, of which the rules of ``workflow/``
take names and digests. Knows nothing of Snakemake; reads no scans; imports torch only where a
method's settings are overridden and have to be checked.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from ssl_methods import rests_on
from ssl_methods.config import (
    Experiment,
    Run,
    budget_name,
    budget_text,
    digest,
    load_experiment,
    parse_budget,
)
from ssl_methods.config.training import TrainingConfig
from ssl_methods.data.compared import compared_now, has_choice, runs_of, runs_of_look
from ssl_methods.data.prepare import made_from, source_fingerprint
from ssl_methods.data.splits import check_prepared, split_name
from ssl_methods.data.store import store_folder
from ssl_methods.errors import UserError
from ssl_methods.files import write_yaml
from ssl_methods.locks import holder, take
from ssl_methods.measures import named
from ssl_methods.methods import check_choice
from ssl_methods.tuning.study import Study, experiment_of, load_studies, studies_of

RUN = "{experiment}/runs/{method}/labeled-{budget}/subset-{subset}/seed-{seed}"
"""A run's folder below the results, with the names that rules give to its parts."""


# ---- the experiment ------------------------------------------------------------------------------


def with_own_methods(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with ``method_module: FILE.py,...`` as methods, each named as its file."""
    found = dict(settings)
    for file in filter(None, str(found.pop("method_module", "")).split(",")):
        listed, name = found.get("methods") or {}, Path(file).stem
        methods = dict.fromkeys(listed) if isinstance(listed, list) else listed
        own = (methods.get(name) or {}) | {"module": file}
        found["methods"] = methods | {name: own}
    return found


def fingerprint(experiment: Experiment, results: Path) -> str:
    """Fingerprint of the data's source; if only data prepared from it are here, of what it was.

    Raises UserError if neither is here.
    """
    try:
        return source_fingerprint(experiment.dataset)
    except UserError:
        store = store_folder(experiment.dataset, results)
        if (prepared_from := made_from(store)) is None:
            raise
        print(f"{store}: its source is not here; taken as it is", file=sys.stderr)
        return prepared_from


def check_metrics(experiment: Experiment) -> None:
    """Raises UserError if a metric's file does not define one, or the primary is not compared."""
    metrics = named(experiment.evaluation.metrics, experiment.name)
    primary = metrics.get(experiment.primary)
    if primary is not None and not primary.measure.compared:
        raise UserError(
            f"{experiment.name}: primary: its measure says that methods are not compared by "
            f"'{experiment.primary}'"
        )


@dataclass(frozen=True)
class Grid:
    """An experiment's results: their names, and what each rests on.

    ``fingerprint``: of the data's source as it is now. ``is_study``: a file of ``configs/studies/``
    was given, and its answers are what is wanted.
    """

    experiment: Experiment
    studies: Mapping[str, Study]
    fingerprint: str
    is_study: bool = False
    results: Path = Path("results")

    @classmethod
    def of(cls, given: Mapping[str, Any], results: Path = Path("results")) -> Grid:
        """The grid that an experiment's or a study's settings declare, checked as far as is known.

        Raises UserError: one line per fault.
        """
        is_study = "experiment" in given
        experiment = load_experiment(experiment_of(given) if is_study else with_own_methods(given))
        studies = load_studies(given) if is_study else studies_of(experiment)
        for choice in experiment.methods.values():
            check_choice(choice, f"{experiment.name}: methods")
        check_metrics(experiment)
        source = fingerprint(experiment, results)
        if made_from(store_folder(experiment.dataset, results)) == source:
            check_prepared(experiment, results)
        return cls(experiment, {study.name: study for study in studies}, source, is_study, results)

    # ---- files: text, as Snakemake's are, relative to where it runs ------------------------------

    @cached_property
    def home(self) -> str:
        return f"{self.results.as_posix()}/{self.experiment.name}"

    @cached_property
    def declaration(self) -> str:
        return f"{self.home}/experiment.yaml"

    @cached_property
    def store(self) -> str:
        return store_folder(self.experiment.dataset, self.results).as_posix()

    @cached_property
    def manifest(self) -> str:
        return f"{self.store}/manifest.json"

    @cached_property
    def tables(self) -> list[str]:
        return [f"{self.home}/tables/{name}.csv" for name in rests_on.table_names(self.experiment)]

    @cached_property
    def report(self) -> str:
        return f"{self.home}/report.html"

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Every run of the grid, by its folder."""
        below = self.results.as_posix()
        runs = runs_of(self.experiment, self.results)
        return {f"{below}/{run.folder.as_posix()}": run for run in runs}

    @cached_property
    def tuned(self) -> list[str]:
        return [f"{self.home}/tuning/{name}/best.yaml" for name in self.studies]

    def split(self, budget: int | float, subset: int) -> str:
        return f"{self.home}/splits/{split_name(budget, subset)}"

    def of_every_split(self) -> list[str]:
        declared = self.experiment
        return [self.split(it, subset) for it in declared.budgets for subset in declared.subsets]

    def of_every_run(self, name: str) -> list[str]:
        return [f"{folder}/{name}" for folder in self.runs]

    def run(self, folder: str) -> Run:
        """A run by its folder; one that is asked for since subsets were chosen is found too."""
        if folder not in self.runs:
            self.__dict__.pop("runs")
        return self.runs[folder]

    # ---- what is decided while it runs -----------------------------------------------------------

    @cached_property
    def staged(self) -> list[str]:
        """Budgets with a choice of subsets or several looks: later runs follow from earlier."""
        return [
            budget_text(it)
            for it in self.experiment.budgets
            if has_choice(self.experiment, it) or len(self.experiment.budget_looks(it)) > 1
        ]

    def has_choice(self, budget: str) -> bool:
        return has_choice(self.experiment, parse_budget(budget))

    def looks(self, budget: str) -> tuple[int, ...]:
        return self.experiment.budget_looks(parse_budget(budget))

    def measurements(self) -> list[str]:
        """What the tables are made of; of a staged budget its last look stands for its runs."""
        if not self.staged:
            return self.of_every_run("cases.csv")
        of_others = [
            f"{folder}/cases.csv"
            for folder, run in self.runs.items()
            if budget_text(run.budget) not in self.staged
        ]
        return [*of_others, *(f"{self.home}/looks/{budget_name(it)}.json" for it in self.staged)]

    def of_the_baseline(self, budget: str) -> list[str]:
        """The baseline's measurements at a budget, on every subset of the first phase."""
        return self._cases(
            run
            for run in self.experiment.runs()
            if run.name == self.experiment.baseline and budget_text(run.budget) == budget
        )

    def of_look(self, budget: str, subsets: int) -> list[str]:
        """The measurements that a look needs."""
        amount = parse_budget(budget)
        return self._cases(runs_of_look(self.experiment, amount, subsets, self.results))

    def of_no_look(self, budget: str) -> list[str]:
        """Measurements of rows with subsets of their own, which no look waits for."""
        amount = parse_budget(budget)
        looks = self.experiment.budget_looks(amount)
        return self._cases(
            run
            for run in self.experiment.runs()
            if run.budget == amount and self.experiment.looks_of(run.name, amount) != looks
        )

    def _cases(self, runs: Iterable[Run]) -> list[str]:
        below = self.results.as_posix()
        return [f"{below}/{run.folder.as_posix()}/cases.csv" for run in runs]

    def deleted_measurements(self) -> list[str]:
        """``cases.csv`` of runs that were deleted after the tables were made.

        Snakemake asks for nothing that lies behind a file that is up to date. To name those of all
        runs would cost 16 MB at 10,000 runs.
        """
        if not all(os.path.exists(table) for table in self.tables):
            return []
        return [file for file in self.of_every_run("cases.csv") if not os.path.exists(file)]

    def declare(self, studies: bool) -> None:
        """Write the settings that the jobs read, as Snakemake resolved them (--config included).

        They are no job's input: a job runs again if the digest in its params, of the settings that
        concern it, has changed. (Nor a rule's output taken as ancient(): if that rule has to run,
        Snakemake 9.27 overlooks that the params of what follows have changed too.)
        """
        write_yaml(Path(self.declaration), self.experiment.model_dump(mode="json"))
        write_yaml(Path(f"{self.store}.yaml"), self.experiment.dataset.model_dump(mode="json"))
        for name, study in self.studies.items() if studies else ():
            path = Path(self.home, "tuning", name, "study.yaml")
            write_yaml(path, study.model_dump(mode="json"))

    def waiting(self) -> list[str]:
        """A line for each row whose subsets are still to be chosen."""
        return self.experiment.waiting(compared_now(self.experiment, self.results))

    # ---- digests ---------------------------------------------------------------------------------

    def rests_on(self, rule: str, of: str = "") -> str:
        """What a job's results rest on beside its inputs: if it changes, the job runs again.

        One text, since each parameter costs time at every job of a grid. ``of``: a run's folder, or
        the name of a study.
        """
        match rule:
            case "prepare":  # of the source's files, and of the code that prepares them
                return self.fingerprint
            case "split":
                return rests_on.splitting(self.experiment)
            case "train":
                return rests_on.training(self.run(of))
            case "evaluate":
                return rests_on.evaluation(self.run(of))
            case "choose":
                return rests_on.choice(self.experiment, parse_budget(of))
            case "look":
                return rests_on.look(self.experiment)
            case "collect":
                return rests_on.tables(self.experiment, self.results)
            case "report":
                return rests_on.report(self.experiment)
            case "tuning_layout":
                return digest(self.studies[of].model_dump(mode="json", exclude={"workers"}))
            case "tuning_answers":
                return rests_on.sources("tune")
        raise ValueError(f"no rule {rule!r}")

    # ---- the lock --------------------------------------------------------------------------------

    @property
    def lock(self) -> Path:
        return Path(f".snakemake/{self.experiment.name}.lock")

    def turn(self) -> IO[bytes] | None:
        """The experiment's lock: one Snakemake works on it at a time. None while another does.

        Snakemake's own is off (profiles/default/profile.yaml), because it stays when its holder is
        killed. To be taken before jobs are planned: a plan made while another Snakemake works is
        outdated when that one has ended.
        """
        return take(self.lock)

    def not_alone(self) -> str:
        return (
            f"{self.home}: another Snakemake works on this experiment ({holder(self.lock)}); "
            "wait for it or stop it"
        )


# ---- the clock -----------------------------------------------------------------------------------


def mend_times(files: Iterable[str | os.PathLike[str]]) -> None:
    """Bring files that are newer than now back to now.

    After the clock was set back, Snakemake fails every job whose input comes from the future.
    """
    now = time.time()
    for path in map(Path, sorted(set(map(str, files)))):
        if path.exists() and path.stat().st_mtime > now:
            print(f"{path}: is from the future, as if the clock had been set back; its time is now")
            os.utime(path, (now, now))


# ---- devices -------------------------------------------------------------------------------------


def gpus_of_a_job(training: TrainingConfig) -> int:
    """What a job asks for. Where a cluster has no GPUs, --resources gpu=0 lowers it to none."""
    return 0 if training.device == "cpu" else 1


def gpu_slots(training: TrainingConfig, visible: Sequence[str]) -> int:
    """How many GPU jobs are to run at a time on these GPUs; 0 without one: no bound.

    One more would do no harm, but hold a core while it waits for its device (ssl_methods/devices/).
    """
    return len(visible) * training.runs_per_gpu
