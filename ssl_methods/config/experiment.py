"""An experiment: a declared grid of runs, in the short forms in which a file may write it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_serializer, field_validator, model_validator

from ssl_methods.config.base import (
    LARGEST_SEED,
    Counted,
    LabeledCases,
    Name,
    Recipe,
    Settings,
    TestFold,
    setting,
)
from ssl_methods.config.budget import Budget, budget_text
from ssl_methods.config.datasets import Dataset
from ssl_methods.config.evaluation import EvaluationConfig
from ssl_methods.config.network import NetworkConfig
from ssl_methods.config.run import MethodChoice, Run
from ssl_methods.config.subsets import Phases, Scope, Subsets, spread_subsets
from ssl_methods.config.training import TrainingConfig
from ssl_methods.config.yaml_files import find_config, read_yaml
from ssl_methods.errors import UserError, did_you_mean
from ssl_methods.measures import OF_PAPERS
from ssl_methods.plugins import name_of
from ssl_methods.shown import all_masked

MOST_RUNS = 1_000_000  # of a grid; Snakemake plans a hundredth of it in a minute
RESERVED_EXPERIMENT_NAMES = {"prepared", "showcase"}


class Experiment(Settings):
    """A declared grid on one dataset: methods x budgets x subsets x seeds."""

    name: Name = Field(description="name of the experiment; its results are in results/<name>/")
    description: str = setting("", "one or two sentences, shown at the head of the report")
    dataset: Dataset = Field(
        description="the scans: a name in configs/datasets/, or the keys of its importer"
    )
    methods: dict[Name, MethodChoice] = Field(
        min_length=1,
        description="the rows of the comparison: names of methods, or each row with its overrides",
    )
    budgets: tuple[Budget, ...] = Field(
        min_length=1, description="how many training cases are labeled: counts, fractions, or all"
    )
    subsets: Subsets = setting(
        (0, 1, 2),
        "which labeled subsets are trained; a number n means 0..n-1; {baseline: 40, compared: 12}: "
        "the baseline on 40, the others on 12 of them; by budget: {'4': 20, '8': 10}",
    )
    phases: dict[str, Phases] = setting(
        {}, "what subsets says by budget, as it is written down; not to be given"
    )
    scopes: dict[Name, Scope] = setting(
        {}, "budgets and subsets of single rows, given with the row under methods"
    )
    looks: tuple[int, ...] = setting(
        (),
        "numbers of compared subsets at which methods are judged, and training stops once all are; "
        "none: judged at the end alone",
    )
    primary: str = setting(
        "dice", "the metric by which methods are judged; the others are described"
    )
    margin: float = setting(
        2.0,
        "the largest difference of the primary metric that does not matter, in percentage points "
        "of Dice and Jaccard, else in the metric's unit",
        gt=0,
    )
    seeds: tuple[int, ...] = setting(
        (0,), "which seeds each run is trained with; a number n means 0..n-1"
    )
    recipe: Recipe = setting("unified", "recipe of every method that names none")
    baseline: str = setting("supervised", "the method with which every other one is compared")
    validation_cases: int = setting(
        0, "number of labeled training cases that are held out for validation", ge=0, le=1_000_000
    )
    labeled_cases: LabeledCases = setting(
        "drawn",
        "how labeled cases are chosen; partition: blocks of one random order, so that subsets "
        "share "
        "no case until all cases were used, and blocks of 4 are halves of blocks of 8; drawn: at "
        "random, anew for each subset; first: the first in the order of the source",
        source="first: DTC and UA-MT code, in the order of train.list",
    )
    budgets_count: Counted = setting(
        "cases",
        "what a budget counts, and what is drawn; patients: all cases of a patient are labeled, or "
        "none",
        source="patients: SSL4MIS on ACDC",
    )
    test: TestFold = setting(
        "listed",
        "which cases are test cases; listed: those of the data set's list; rotated: a fold of all "
        "labeled cases, as large as that list, which moves on with the subset, so that every case "
        "is a test case in its turn",
    )
    other_crop: Name | None = setting(
        None, "experiment on the same scans with the other crop; the audits set it beside this one"
    )
    other_precision: Name | None = setting(
        None,
        "experiment that differs in training.precision alone; the audits set it beside this one",
    )
    network: NetworkConfig = setting(NetworkConfig(), "the network of every method")
    training: TrainingConfig = setting(TrainingConfig(), "the training loop of every method")
    evaluation: EvaluationConfig = setting(
        EvaluationConfig(), "inference and measurement on the test cases"
    )
    figures: tuple[Path, ...] = setting(
        (),
        "Python files that each draw one more figure for the report; relative to the working "
        "directory",
    )
    questions: tuple[Path, ...] = setting(
        (),
        "Python files that each ask one more question, answered by a table; relative to the "
        "working directory",
    )
    studies: dict[Name, dict[str, Any] | None] = setting(
        {}, "tuning studies: names in configs/studies/, or each declared here"
    )

    @field_validator("studies", mode="before")
    @classmethod
    def _names_are_files(cls, value: Any) -> Any:
        return dict.fromkeys(value) if isinstance(value, list) else value

    @field_validator("figures")
    @classmethod
    def _names_differ(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        if len({file.stem for file in value}) != len(value):
            raise ValueError("a figure's name is that of its file: no two may have the same")
        return value

    @field_validator("questions")
    @classmethod
    def _names_of_questions_differ(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        if len({file.stem for file in value}) != len(value):
            raise ValueError("a question's name is that of its file: no two may have the same")
        return value

    @field_serializer("studies")
    def _no_passwords(self, value: dict[str, Any]) -> dict[str, Any]:
        masked: dict[str, Any] = all_masked(value)
        return masked

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in RESERVED_EXPERIMENT_NAMES:
            raise ValueError(f"'{value}' is reserved; choose another name")
        return value

    @field_validator("subsets", "seeds", mode="before")
    @classmethod
    def _count_means_range(cls, value: Any) -> Any:
        if not isinstance(value, int):
            return value
        if value > MOST_RUNS:
            raise ValueError(f"must be at most {MOST_RUNS}")
        return tuple(range(value))

    @field_validator("subsets", "seeds", "budgets")
    @classmethod
    def _non_empty_and_distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value or len({budget_text(item) for item in value}) != len(value):
            raise ValueError("must name at least one value, and none twice")
        if any(item < 0 for item in value):
            raise ValueError("must not be negative")
        if max(value) > LARGEST_SEED:
            raise ValueError(f"must be at most {LARGEST_SEED}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _spread_methods(cls, data: Any) -> Any:
        """``dtc: {k: 100}`` and ``[dtc, supervised]`` become method choices."""
        if not isinstance(data, dict) or "methods" not in data:
            return data
        data = spread_subsets(data)
        methods = data["methods"]
        if isinstance(methods, list) and all(isinstance(name, str) for name in methods):
            methods = {name: {} for name in methods}
        if not isinstance(methods, dict) or not isinstance(data.get("scopes"), dict | None):
            return data
        recipe = data.get("recipe", "unified")
        scopes = dict(data.get("scopes") or {})
        for name, row in methods.items():
            given = row if isinstance(row, dict) else {}
            if own := {key: given[key] for key in Scope.model_fields if key in given}:
                scopes[name] = own
                methods = methods | {name: {key: row[key] for key in row if key not in own}}
        return data | {
            "scopes": scopes,
            "methods": {name: _method_choice(name, it, recipe) for name, it in methods.items()},
        }

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        grid = (self.methods, self.budgets, self.subsets, self.seeds)
        if (runs := math.prod(map(len, grid))) > MOST_RUNS:
            raise ValueError(f"declares {runs} runs, and may declare at most {MOST_RUNS}")
        dimensions = len(self.training.patch_size)
        factor = self.network.divisor
        if any(size < factor or size % factor for size in self.training.patch_size):
            raise ValueError(
                f"training.patch_size {list(self.training.patch_size)} must be multiples of"
                f" {factor} (network.levels: {self.network.levels})"
            )
        if self.training.slices == "resized" and dimensions != 2:
            raise ValueError("training.slices: resized is for a training.patch_size of two numbers")
        if any(not 0 <= axis < dimensions for axis in self.training.flip_axes):
            raise ValueError(f"training.flip_axes must be within 0..{dimensions - 1}")
        if self.evaluation.stride is not None:
            if len(self.evaluation.stride) != dimensions:
                raise ValueError(
                    f"evaluation.stride needs {dimensions} numbers, as training.patch_size"
                )
            pairs = zip(self.evaluation.stride, self.training.patch_size, strict=True)
            if any(not 1 <= stride <= patch for stride, patch in pairs):
                raise ValueError("evaluation.stride must be within 1..training.patch_size")
        if (
            self.baseline not in self.methods
            and len(self.methods) > 1
            and self.baseline != "supervised"
        ):
            raise ValueError(
                f"baseline '{self.baseline}' is not among methods"
                f"{did_you_mean(self.baseline, self.methods)}"
            )
        if self.training.validate_every and not self.validation_cases:
            raise ValueError("training.validate_every needs validation_cases of at least 1")
        metrics = [*OF_PAPERS, *map(name_of, self.evaluation.metrics)]
        if self.primary not in metrics:
            raise ValueError(
                f"primary '{self.primary}' is no metric by which methods are compared"
                f"{did_you_mean(self.primary, metrics)}"
            )
        if list(self.looks) != sorted(set(self.looks)) or any(look < 2 for look in self.looks):
            raise ValueError("looks must rise, and be at least 2 subsets each")
        if self.labeled_cases == "first" and len(self.subsets) > 1:
            raise ValueError("labeled_cases 'first' makes one subset: set subsets: 1")
        return self

    def run(self, name: str, budget: int | float, subset: int, seed: int) -> Run:
        """One cell of the grid. Raises UserError for a name that is not declared."""
        if name not in self.methods:
            raise UserError(f"{self.name}: no method '{name}'{did_you_mean(name, self.methods)}")
        return Run(
            experiment=self.name,
            dataset=self.dataset,
            name=name,
            choice=self.methods[name],
            budget=budget,
            subset=subset,
            seed=seed,
            validation_cases=self.validation_cases,
            labeled_cases=self.labeled_cases,
            budgets_count=self.budgets_count,
            test=self.test,
            level_cases=self._level_cases(name, budget),
            network=self.network,
            training=self.training,
            evaluation=self.evaluation,
        )

    def declared_run(self, name: str, budget: int | float, subset: int, seed: int) -> Run:
        """``run``, of the declared grid alone. Raises UserError that says what is declared."""
        self.check_cell(budget, subset)
        if seed not in self.seeds:
            raise UserError(f"{self.name}: no seed {seed}; declared: {_listed(self.seeds)}")
        return self.run(name, budget, subset, seed)

    def check_cell(self, budget: int | float | None, subset: int | None) -> None:
        """Raises UserError for a budget or subset that is not declared; None is any."""
        budgets = [budget_text(it) for it in self.budgets]
        if budget is not None and budget_text(budget) not in budgets:
            text = budget_text(budget)
            raise UserError(f"{self.name}: no budget {text}; declared: {_listed(budgets)}")
        if subset is not None and subset not in self.subsets:
            raise UserError(f"{self.name}: no subset {subset}; declared: {_listed(self.subsets)}")

    def runs(self, compared: Mapping[str, Sequence[int]] | None = None) -> Iterator[Run]:
        """Every run of the grid, in order.

        ``compared``: by budget the subsets that are compared by now. Until those of a budget with
        two phases are chosen, the rows that wait for them have none there; with one phase they are
        all that are declared.
        """
        for name in self.methods:
            for budget in self.budgets:
                for subset in self.subsets_of(name, budget, compared or {}):
                    for seed in self.seeds:
                        yield self.run(name, budget, subset, seed)

    def _level_cases(self, name: str, budget: int | float) -> int:
        phases = self.phases.get(budget_text(budget))
        if phases is None or phases.compared is None or name != self.baseline:
            return 0
        return phases.level_cases

    def looks_of(self, name: str, budget: int | float) -> tuple[int, ...]:
        """Numbers of subsets at which a row is judged at a budget, the last being all of its own.

        A row with ``subsets`` of its own is judged at the end alone.
        """
        phases = self.phases.get(budget_text(budget))
        own = self.scopes.get(name, Scope()).subsets
        if own is None:
            return self.budget_looks(budget)
        return (min(own, len(self.subsets) if phases is None else phases.baseline),)

    def budget_looks(self, budget: int | float) -> tuple[int, ...]:
        """The looks of the rows that have no ``subsets`` of their own at a budget."""
        phases = self.phases.get(budget_text(budget))
        every = len(self.subsets) if phases is None else phases.baseline
        compared = every if phases is None or phases.compared is None else phases.compared
        return (*(look for look in self.looks if look < compared), compared)

    def waits_at(self, name: str, compared: Mapping[str, Sequence[int]] | None = None) -> list[str]:
        """Budgets at which a row has no runs before its compared subsets are chosen."""
        budgets = self.scopes.get(name, Scope()).budgets or self.budgets
        return [
            budget_text(budget)
            for budget in self.budgets
            if budget in budgets
            and budget_text(budget) in self.phases
            and not self.subsets_of(name, budget, compared or {})
        ]

    def waiting(self, compared: Mapping[str, Sequence[int]] | None = None) -> list[str]:
        """One line for each row that has no runs before its compared subsets are chosen."""
        return [
            f"{self.name}: {name} at {budget} labels waits for the choice of its "
            f"{self.phases[budget].compared} compared subsets, which is not made yet"
            for name in self.methods
            for budget in self.waits_at(name, compared)
        ]

    def subsets_of(
        self, name: str, budget: int | float, compared: Mapping[str, Sequence[int]]
    ) -> Sequence[int]:
        """On which subsets a row is trained at a budget."""
        scope = self.scopes.get(name, Scope())
        if scope.budgets is not None and budget not in scope.budgets:
            return ()
        phases = self.phases.get(budget_text(budget))
        every = self.subsets if phases is None else self.subsets[: phases.baseline]
        if scope.subsets is not None:
            return every[: scope.subsets]
        if phases is None or phases.compared is None:
            return compared.get(budget_text(budget), every)
        return every if name == self.baseline else compared.get(budget_text(budget), ())


def _listed(values: Sequence[Any]) -> str:
    shown = ", ".join(map(str, values[:10]))
    return shown + (f", ... {values[-1]}" if len(values) > 10 else "")


def _method_choice(name: str, overrides: Any, recipe: str) -> Any:
    if isinstance(overrides, str):  # a name in configs/methods/, or a file; one may hold many rows
        is_file = overrides.endswith(".yaml")
        overrides = read_yaml(Path(overrides) if is_file else find_config("methods", overrides))
        overrides = overrides.get(name, overrides)
    overrides = dict(overrides or {})
    if set(overrides) == set(MethodChoice.model_fields):
        return overrides
    module = overrides.pop("module", None)
    return {
        "method": overrides.pop("method", Path(module).stem if module else name),
        "module": module,
        "recipe": overrides.pop("recipe", recipe),
        "settings": overrides,
    }
