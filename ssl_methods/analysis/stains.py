"""What stain normalisation does: Dice by laboratory, and the paired difference from raw colours."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ssl_methods.analysis.components import mean_interval
from ssl_methods.analysis.components import table as table_of
from ssl_methods.analysis.shown import number
from ssl_methods.analysis.statistics import limits_of
from ssl_methods.analysis.tables import case_matrix, overall, roles
from ssl_methods.measures import of

ALL = "all"
"""Stands for the laboratories together."""

COLUMNS = [
    "method", "role", "budget", "labeled", "laboratory", "stain", "runs", "cases",
    "dice", "dice_low", "dice_high", "difference", "difference_low", "difference_high",
]  # fmt: skip

NOTE = (
    "Dice, mean over runs and test tiles, with 95 % intervals. Difference: from the same method on "
    "raw colours, paired by labeled subset, seed and tile."
)


def laboratory(case: str) -> str:
    """What a case's id says before its first '-': the laboratory, or the slide of a tile."""
    return case.partition("-")[0]


def stain_effect(experiments: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Dice of every method, budget, laboratory and stain, and what the stain changed.

    Args:
        experiments: stain ('none', 'macenko', ...) -> ``cases.csv`` (with the rows of the mean over
            classes, if more than one) of experiments that differ in the stain alone.

    Returns:
        The columns ``COLUMNS``; Dice in 0..1. Laboratories in the order of the cases, then 'all'.
        The difference is blank for 'none', and where no raw run has its counterpart.
    """
    parts = [overall(cases).assign(stain=stain) for stain, cases in experiments.items()]
    cases = pd.concat(parts, ignore_index=True)
    cases = cases.assign(role=roles(cases), laboratory=cases["case"].map(laboratory))
    both = pd.concat([cases, cases.assign(laboratory=ALL)], ignore_index=True)
    both["method"] = pd.Categorical(both["method"], both["method"].unique())
    both = both.sort_values("method", kind="stable").astype({"method": str})
    rows = []
    keys = ["method", "budget", "laboratory"]
    for (method, budget, place), group in both.groupby(keys, sort=False):
        measured = {stain: case_matrix(own, "dice") for stain, own in group.groupby("stain")}
        for stain in [stain for stain in experiments if stain in measured]:
            first = group[group["stain"] == stain].iloc[0]
            dice = measured[stain]
            row = {
                "method": method, "role": first["role"], "budget": budget,
                "labeled": first["labeled"], "laboratory": place, "stain": stain,
                "runs": len(dice), "cases": dice.shape[1],
            }  # fmt: skip
            row |= _interval("dice", dice, *of("dice").range)
            if stain != "none" and "none" in measured:
                difference = (dice - measured["none"]).dropna(how="all")
                row |= _interval("difference", difference, *limits_of("dice"))
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def _interval(name: str, values: pd.DataFrame, *limits: float) -> dict[str, float]:
    if values.empty:
        return {}
    table = table_of(values.to_numpy(float), values.index.get_level_values("subset").tolist())
    found = mean_interval(table, *limits)
    return {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}


def shown_stains(table: pd.DataFrame) -> pd.DataFrame:
    """The table as pages show it: percent, intervals in brackets."""

    def text(row: pd.Series, name: str, sign: bool) -> str:
        low, high = (number(row[f"{name}_{end}"], 1, 100, sign) for end in ("low", "high"))
        return f"{number(row[name], 1, 100, sign)} [{low}, {high}]"

    return pd.DataFrame(
        {
            "Method": table["method"],
            "Labeled": table["labeled"].map(lambda value: number(value, 0)),
            "Laboratory": table["laboratory"],
            "Stain": table["stain"],
            "Dice %": [text(row, "dice", False) for _, row in table.iterrows()],
            "Difference": [
                "" if pd.isna(row["difference"]) else text(row, "difference", True)
                for _, row in table.iterrows()
            ],
        }
    )
