"""What a study is: an experiment's data and training, and the settings to try on them.

A study is declared under ``studies`` in an experiment, or in a file of its own
(``configs/studies/``) that names its experiment; either way dataset, network, training and
evaluation are the experiment's but for what the study overrides. Flow:
``load_studies(file) -> [Study]``; ``Study.run(...) -> Run``. Imports neither torch nor Optuna: this
is read each time the workflow is planned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, field_validator, model_validator

from ssl_methods.config import (
    Budget,
    Dataset,
    EvaluationConfig,
    Experiment,
    MethodChoice,
    Name,
    NetworkConfig,
    Run,
    Settings,
    TrainingConfig,
    did_you_mean,
    digest,
    find_config,
    load_experiment,
    name_importer,
    parse,
    read_yaml,
    setting,
)
from ssl_methods.errors import UserError
from ssl_methods.measures import name_metrics
from ssl_methods.shown import has_password, masked

KINDS = ("log", "linear", "int", "choice")


def _check_range(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """[log, 1, 5000], [linear, 0.9, 0.999], [int, 1, 4] or [choice, a, b, ...]."""
    kind, *ends = value or ("",)
    if kind not in KINDS:
        raise ValueError(f"a range begins with one of {', '.join(KINDS)}, e.g. [log, 1, 5000]")
    if kind == "choice":
        if len(ends) < 2:
            raise ValueError("choice needs at least two values")
        return tuple(value)
    numbers = [end for end in ends if isinstance(end, int | float) and not isinstance(end, bool)]
    if len(ends) != 2 or len(numbers) != 2 or not numbers[0] < numbers[1]:
        raise ValueError(f"{kind} needs two numbers that rise, e.g. [{kind}, 1, 10]")
    if kind == "log" and numbers[0] <= 0:
        raise ValueError("log needs numbers above 0")
    if kind == "int" and any(not isinstance(end, int) for end in ends):
        raise ValueError("int needs whole numbers")
    return tuple(value)


Range = Annotated[tuple[Any, ...], AfterValidator(_check_range)]


class StudyMethod(Settings):
    """One method of a study: how it is set, and what is searched."""

    choice: MethodChoice = Field(description="the method, and its settings that are not searched")
    search: dict[str, Range | None] | None = setting(
        None, "settings to search; null: with the method's own range; none: all that have one"
    )


class Study(Settings):
    """A declared study. Its objective is the mean validation Dice over its subsets and seeds."""

    name: Name = Field(description="name of the study, and of its folder")
    description: str = setting("", "one or two sentences, shown at the head of its showcase")
    experiment: Name = Field(description="the experiment in whose folder the study's results are")
    dataset: Dataset = Field(description="the scans, which are the experiment's")
    methods: dict[Name, StudyMethod] = Field(
        min_length=1, description="the methods to tune, each with what is searched"
    )
    budget: Budget = Field(description="how many training cases are labeled")
    subsets: tuple[int, ...] = setting(
        (100,), "which labeled subsets are trained, none that the experiment reports"
    )
    seeds: tuple[int, ...] = setting((0,), "which seeds every trial is trained with")
    fresh_seeds: tuple[int, ...] = setting(
        (1000, 1001, 1002),
        "seeds with which the best and the default are trained anew; empty: they are not",
    )
    validation_cases: int = setting(
        4, "number of labeled training cases held out, by which a setting is judged", ge=1
    )
    trials: int = setting(
        40, "number of settings tried for each method, the same for every method", ge=1, le=100_000
    )
    grid: dict[str, tuple[Any, ...]] = setting(
        {}, "values of each setting: all combinations are tried instead of a search"
    )
    sampler: Literal["tpe", "gp", "random"] = setting(
        "tpe", "which of Optuna's samplers chooses the settings"
    )
    pruner: Literal["median", "none"] = setting(
        "median",
        "which trials are stopped early; median: those worse than half of the completed ones",
    )
    prune_after: float = setting(
        0.8,
        "fraction of a run before which none is stopped; lambda is then at 82 % of its maximum",
        gt=0,
        lt=1,
    )
    seed: int = setting(0, "seed of the sampler", ge=0)
    workers: int = setting(
        2, "number of jobs that share the trials; with 1 the study is deterministic", ge=1, le=1000
    )
    storage: str = setting(
        "journal",
        "where trials are kept: journal (a file), postgresql://USER@HOST/DATABASE, or "
        "sqlite:///FILE",
    )
    network: NetworkConfig = Field(description="the network of every trial")
    training: TrainingConfig = Field(description="the training loop of every trial")
    evaluation: EvaluationConfig = Field(description="inference on the validation cases")

    @field_validator("subsets", "seeds", "fresh_seeds")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value) or any(item < 0 for item in value):
            raise ValueError("must not be negative, and none twice")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.subsets or not self.seeds:
            raise ValueError("subsets and seeds must name at least one value")
        if both := set(self.seeds) & set(self.fresh_seeds):
            raise ValueError(f"fresh_seeds must not be among seeds (both have {sorted(both)})")
        for name, values in self.grid.items():
            if len(set(values)) < 2 or len(set(values)) != len(values):
                raise ValueError(f"grid.{name}: needs at least two values, none twice")
        searched = [row for row, it in self.methods.items() if it.search is not None]
        if self.grid and searched:
            raise ValueError(f"grid: replaces the search; take 'search' out of {searched[0]}")
        if not self.storage.startswith(("journal", "postgresql://", "sqlite:///")):
            raise ValueError("storage must be 'journal', 'postgresql://...' or 'sqlite:///FILE'")
        if has_password(self.storage):
            raise ValueError(
                f"storage: {masked(self.storage)} holds a password, and a file is no place for one;"
                " take it out of the URL, and give it by the environment variable PGPASSWORD or in"
                " ~/.pgpass"
            )
        if self.storage.startswith("sqlite") and self.workers > 1:
            raise ValueError(
                "storage: SQLite is not for parallel workers; use 'journal', 'postgresql://...',"
                " or workers: 1"
            )
        return self

    @property
    def folder(self) -> Path:
        """Below results/: where everything of this study is."""
        return Path(self.experiment, "tuning", self.name)

    @property
    def slots(self) -> int:
        """Settings tried per method."""
        return math.prod(map(len, self.grid.values())) if self.grid else self.trials

    def grid_points(self) -> list[dict[str, Any]]:
        """Every combination of the grid's values; none without a grid."""
        points = product(*self.grid.values()) if self.grid else ()
        return [dict(zip(self.grid, point, strict=True)) for point in points]

    def run(self, row: str, settings: Mapping[str, Any], subset: int, seed: int) -> Run:
        """One training of a trial: validated at ``prune_after`` and at the end."""
        choice = self.methods[row].choice
        first_look = math.ceil(self.prune_after * self.training.iterations)
        return Run(
            # Not the experiment's: its splits may hold out fewer cases.
            experiment=f"{self.experiment}.{self.name}"[:80],
            dataset=self.dataset,
            name=row,
            choice=choice.model_copy(update={"settings": {**choice.settings, **settings}}),
            budget=self.budget,
            subset=subset,
            seed=seed,
            validation_cases=self.validation_cases,
            network=self.network,
            training=self.training.model_copy(update={"validate_every": first_look}),
            evaluation=self.evaluation,
        )

    def row_digest(self, row: str) -> str:
        """Trials with equal digests may be compared: the same runs, and the same search."""
        runs = [
            self.run(row, {}, subset, seed).training_digest()
            for subset in self.subsets
            for seed in self.seeds
        ]
        return digest([runs, self.methods[row].model_dump(mode="json"), self.grid])


def load_studies(source: Path | Mapping[str, Any]) -> list[Study]:
    """The studies of a file: an experiment's, a study's own, or one resolved before.

    Raises UserError: one line per fault, each naming the file and the key.
    """
    data = read_yaml(source) if isinstance(source, Path) else dict(source)
    where = str(source) if isinstance(source, Path) else str(data.get("name", "study"))
    if "experiment" not in data:
        return studies_of(load_experiment(source), where)
    if isinstance(data.get("dataset"), dict):
        name_importer(data["dataset"])  # the file is the user's, and so is what it names
        return [_named(parse(Study, data, where))]
    return [_of_experiment(load_experiment(_experiment_file(data, where)), data, where)]


def experiment_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping of the experiment that a study's file names."""
    return read_yaml(_experiment_file(data, str(data.get("name", "study"))))


def _experiment_file(data: Mapping[str, Any], where: str) -> Path:
    named = str(data["experiment"])
    try:
        return Path(named) if named.endswith(".yaml") else find_config("experiments", named)
    except UserError as error:
        raise UserError(f"{where}: experiment: {error}") from None


def studies_of(experiment: Experiment, where: str = "") -> list[Study]:
    """Those that an experiment declares: in full, or by their names in configs/studies/.

    A file that is named here is a study of this experiment, whichever it is of by itself.
    """
    found = []
    for name, declared in experiment.studies.items():
        at = f"{where or experiment.name}: studies.{name}"
        data = _mapping(declared, at)
        if declared is None:
            try:
                path = find_config("studies", name)
            except UserError as error:
                raise UserError(f"{at}: {error}") from None
            data, at = read_yaml(path), str(path)
        found.append(_of_experiment(experiment, {"name": name} | data, at))
    return found


def _of_experiment(experiment: Experiment, data: Mapping[str, Any], where: str) -> Study:
    """What the study says, over what the experiment says."""
    data = dict(data) | {"experiment": experiment.name, "dataset": experiment.dataset.model_dump()}
    for part in ("network", "training", "evaluation"):
        own: BaseModel = getattr(experiment, part)
        data[part] = own.model_dump() | _mapping(data.get(part), f"{where}: {part}")
    if "budget" not in data and len(experiment.budgets) == 1:
        data["budget"] = experiment.budgets[0]
    methods = _mapping(data.get("methods") or list(experiment.methods), f"{where}: methods")
    data["methods"] = {row: _method(experiment, row, it, where) for row, it in methods.items()}
    study = _named(parse(Study, data, where))
    if study.budget in experiment.budgets:
        _not_reported(study, experiment, where)
    return study


def _named(study: Study) -> Study:
    """The study, its metrics of one's own made known: the file is the user's."""
    name_metrics(study.evaluation.metrics)
    return study


def _method(experiment: Experiment, row: str, given: Any, where: str) -> dict[str, Any]:
    """A row of the experiment, or one declared as there; ``search`` is taken out."""
    given = _mapping(given, f"{where}: methods.{row}")
    search = given.pop("search", None)
    if search is not None:
        search = _mapping(search, f"{where}: methods.{row}.search")
    if row in experiment.methods and not given:
        choice = experiment.methods[row]
    else:
        own = experiment.model_dump(mode="json") | {"methods": {row: given}, "baseline": row}
        choice = parse(Experiment, own, where).methods[row]
    return {"choice": choice.model_dump(), "search": search}


def _mapping(given: Any, where: str) -> dict[str, Any]:
    """What is given under names, also as a list of names alone; empty if it is left blank."""
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return dict.fromkeys(given)
    if not isinstance(given, Mapping | None):
        raise UserError(f"{where}: must be 'key: value' lines, or a list of names")
    return dict(given or {})


def _not_reported(study: Study, experiment: Experiment, where: str) -> None:
    """Settings must not be chosen on runs that the experiment's tables hold."""
    shared = sorted(set(study.subsets) & set(experiment.subsets))
    seeds = sorted({*study.seeds, *study.fresh_seeds} & set(experiment.seeds))
    if shared and seeds:
        raise UserError(
            f"{where}: subset {shared[0]} with seed {seeds[0]} is reported by the experiment"
            f" '{experiment.name}'; a study needs subsets or seeds of its own, e.g. subsets: [100]"
        )


def choose(studies: list[Study], name: str | None, where: str) -> list[Study]:
    """All, or the one that is named. Raises UserError if there is none."""
    if not studies:
        raise UserError(f"{where}: declares no study; add 'studies', or give a file that is one")
    if name is None:
        return studies
    names = [study.name for study in studies]
    if name not in names:
        raise UserError(f"{where}: there is no study '{name}'{did_you_mean(name, names)}")
    return [study for study in studies if study.name == name]
