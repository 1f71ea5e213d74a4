"""Two experiments that differ in one setting: which it is, and what it changes, run by run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from ssl_methods.analysis.measurements import metric_columns
from ssl_methods.analysis.names import label
from ssl_methods.analysis.pairing import OTHER, beside, paired_difference
from ssl_methods.analysis.shown import WORDS, labeled_text, number, with_interval
from ssl_methods.analysis.tables import in_order, overall, roles, with_class_mean
from ssl_methods.config import Experiment, changes
from ssl_methods.config.run import WHERE_NOT_WHAT
from ssl_methods.errors import UserError
from ssl_methods.measures import compared, of

ALL = "all"
"""Stands for the groups of cases together."""

BELONGS_TO = {
    "dataset.stain_reference": "dataset.stain",
    "dataset.crop_margin_mm": "dataset.crop",
    "dataset.source_crop_used_label": "dataset.crop",
}
"""Settings that mean nothing without another; where that one differs, they are part of it."""

COLUMNS = [
    "method", "role", "budget", "labeled", "group", "metric", "setting", "first_as", "second_as",
    "first", "second", "difference", "low", "high", "verdict", "runs", "subsets",
    "cases",
]  # fmt: skip


class Setting(NamedTuple):
    """The one that differs, e.g. 'dataset.stain', and its value in each experiment, as text."""

    name: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.name}: {self.first} / {self.second}"


def differing(first: Experiment, second: Experiment) -> Setting:
    """The setting that differs between two experiments.

    What the grids have in common is compared: which budgets, subsets, seeds and rows each declares
    does not count, nor where it is computed. Of a row that both have its method and settings count.
    Raises UserError if nothing differs, or more than one setting, which are then listed.
    """
    found = {
        name: tuple("default" if value == "nothing" else value.strip('"') for value in values)
        for name, values in changes(_settings(first, second), _settings(second, first)).items()
    }
    kept = {name: values for name, values in found.items() if BELONGS_TO.get(name, "") not in found}
    recipes = [name for name in kept if name.startswith("methods.") and name.endswith(".recipe")]
    if len(recipes) > 1 and len({kept[name] for name in recipes}) == 1:  # of every row alike
        values = kept[recipes[0]]
        kept = {name: it for name, it in kept.items() if name not in recipes} | {"recipe": values}
    if not kept:
        raise UserError(f"{first.name} and {second.name}: no setting differs")
    if len(kept) > 1:
        listed = "; ".join(f"{name}: {old} / {new}" for name, (old, new) in kept.items())
        raise UserError(
            f"{first.name} and {second.name}: differ in {len(kept)} settings, so that none of them "
            f"can be said to make the difference: {listed}"
        )
    ((name, (old, new)),) = kept.items()
    return Setting(name, old, new)


def _settings(own: Experiment, other: Experiment) -> dict[str, Any]:
    """All that a run's result depends on, of the rows that both have."""
    parts = {
        "dataset",
        "validation_cases",
        "labeled_cases",
        "budgets_count",
        "test",
        "network",
        "training",
    }
    settings = own.model_dump(mode="json", include={*parts, "evaluation"})
    for name in WHERE_NOT_WHAT:
        settings["training"].pop(name)
    settings["evaluation"].pop("metrics", None)  # what is measured in both is compared
    rows = {}
    for name in [name for name in own.methods if name in other.methods]:
        row = own.methods[name].model_dump(mode="json")
        rows[name] = row | row.pop("settings")
    return settings | {"methods": rows}


def comparison(
    setting: Setting,
    first: pd.DataFrame,
    second: pd.DataFrame,
    groups: bool = False,
    margin: float = 2.0,
) -> pd.DataFrame:
    """What the setting changes: a row per metric, method and budget, and per group of cases.

    Args:
        setting: the one that differs.
        first, second: ``cases.csv`` of the two experiments.
        groups: also by what stands before the first '-' of a case's id, e.g. the laboratory or
            the slide of a tile.
        margin: the largest difference that does not matter, in percentage points.

    Returns:
        The columns ``COLUMNS``: ``first`` and ``second`` are means over the runs and cases that
        both have, ``difference`` is second minus first, ``low`` and ``high`` its 95 % interval; all
        in the metric's stored unit. Raises UserError if no run and case is in both.
    """
    metrics = [name for name in compared(list(first)) if name in second]
    rows = overall(with_class_mean(first, metric_columns(first)))
    both = beside(rows.assign(role=roles(rows), group=ALL), second, metrics)
    if both.empty:
        raise UserError("the two experiments have no run and test case in common")
    if groups:
        both = pd.concat([both, both.assign(group=both["case"].map(group_of))], ignore_index=True)
    found = [row for metric in metrics for row in _rows(in_order(both), metric, margin)]
    named = {"setting": setting.name, "first_as": setting.first, "second_as": setting.second}
    return pd.DataFrame(found).assign(**named)[COLUMNS]


def group_of(case: str) -> str:
    """What a case's id says before its first '-'."""
    return case.partition("-")[0]


def _rows(both: pd.DataFrame, metric: str, margin: float) -> Iterator[dict[str, Any]]:
    for (method, budget, group), own in both.groupby(["method", "budget", "group"], sort=False):
        found = paired_difference(own, metric, metric + OTHER, metric, margin)
        if found is not None:
            yield {
                "method": method, "role": own["role"].iloc[0], "budget": budget,
                "labeled": own["labeled"].iloc[0], "group": group, "metric": metric,
                "first": found.first, "second": found.second,
                "difference": found.difference.mean, "low": found.difference.low,
                "high": found.difference.high, "verdict": found.word, "runs": found.runs,
                "subsets": found.subsets,
                "cases": found.cases,
            }  # fmt: skip


# ---- as shown ------------------------------------------------------------------------------------


def shown_comparison(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read; its index is each row's role."""
    rows = []
    for _, row in table.iterrows():
        measure = of(row["metric"])
        rows.append({
            "Method": label(row["method"]),
            "Labeled": labeled_text(row),
            "Cases": row["group"],
            "Metric": measure.heading,
            row["first_as"]: number(row["first"], measure.digits, measure.scale),
            row["second_as"]: number(row["second"], measure.digits, measure.scale),
            "Difference": with_interval(row, ["difference", "low", "high"], measure, sign=True),
            "Verdict": WORDS[row["verdict"]],
            "Runs": number(row["runs"], 0),
        })  # fmt: skip
    shown = pd.DataFrame(rows, index=roles(table))
    return shown.drop(columns="Cases") if set(table["group"]) == {ALL} else shown


def comparison_note(
    table: pd.DataFrame, names: tuple[str, str], left_out: Mapping[str, int]
) -> str:
    """What stands below it: the setting, and how the pairs are made."""
    row = table.iloc[0]
    said = (
        f"{names[0]} with {row['setting']} {row['first_as']}, {names[1]} with {row['second_as']}; "
        "no other setting differs. Difference: the second minus the first, paired by method, "
        "budget, subset, seed and test case, mean with its 95 % interval over subsets and cases."
    )
    without = [f"{count} of {name}" for name, count in left_out.items() if count]
    return f"{said} Runs without a counterpart: {', '.join(without)}." if without else said
