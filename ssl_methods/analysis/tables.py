"""Rows of measurements: which run they are of, which enter a mean, what is counted, their role."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from ssl_methods.config import is_all

CELL = ("method", "budget", "subset", "seed")
"""Names one run within an experiment."""

MEAN_CLASS = "mean"

PATIENT = "patient"
"""The column of ``cases.csv`` that says whose a case is, if a patient has several."""

FLAGS = ("empty_prediction", "empty_reference")

ROLES = ("bound", "method", "control")
"""In the order of rows: upper bounds, the methods that are compared, controls."""


def case_matrix(cases: pd.DataFrame, metric: str) -> pd.DataFrame:
    """(runs, cases) of one metric for one method, budget and class; a run is a (subset, seed).

    Where patients have several test cases each, a patient's mean is what stands for a case: the
    scans of one patient are no independent ones.
    """
    if PATIENT not in cases:
        return cases.pivot(index=["subset", "seed"], columns="case", values=metric)
    return cases.groupby(["subset", "seed", PATIENT])[metric].mean().unstack()


def units_of_runs(subsets: Iterable[int], budget: str) -> list[int]:
    """The unit of each run: its subset; itself where the subsets hold the same cases."""
    return [i if is_all(budget) else int(subset) for i, subset in enumerate(subsets)]


def present(cases: pd.DataFrame) -> pd.DataFrame:
    """The rows whose case has the class: those that enter means, intervals and comparisons.

    What the overlap with an empty reference is, no metric says (``evaluation.metrics``, which
    states the rule); ``counts`` tells how many rows are left out.
    """
    return cases[~cases["empty_reference"].astype(bool)] if "empty_reference" in cases else cases


def counts(cases: pd.DataFrame) -> dict[str, int]:
    """What stands behind a mean, of rows as they were measured, one or several classes of them.

    ``cases`` have one of the classes. ``measurements`` are of a run, a case and a class that the
    case has, and ``failures`` those among them whose prediction is empty. ``absent`` are of a run,
    a case and a class that the case does not have, and ``false_positives`` those among them whose
    prediction is not empty.
    """
    absent, empty = (cases[name].astype(bool) for name in ("empty_reference", "empty_prediction"))
    return {
        "cases": cases.loc[~absent, "case"].nunique(),
        "measurements": int((~absent).sum()),
        "failures": int((empty & ~absent).sum()),
        "absent": int(absent.sum()),
        "false_positives": int((absent & ~empty).sum()),
    }


def by_class(cases: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each class, and of several classes all rows as those of their mean."""
    groups: dict[str, pd.DataFrame] = dict(tuple(cases.groupby("class", sort=False)))
    return groups | {MEAN_CLASS: cases} if len(groups) > 1 else groups


def with_class_mean(cases: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """The rows whose case has the class and, if there are several classes, rows of class 'mean'.

    A row of 'mean' is the mean over the classes that the case has. It fails as often as they do. A
    metric unknown for one of them is unknown for the mean. ``metrics`` are all measurements among
    the columns: what is no metric tells rows apart.
    """
    several, cases = cases["class"].nunique() > 1, present(cases)
    if not several:
        return cases
    flags = [name for name in FLAGS if name in cases]
    keys = [name for name in cases.columns if name not in (*metrics, "class", "failure", *flags)]
    grouped = cases.groupby(keys, sort=False, dropna=False, as_index=False)
    means = grouped[list(metrics)].agg(lambda column: column.mean(skipna=False))
    means["failure"] = grouped["failure"].sum()["failure"]
    for name in flags:  # of any class
        means[name] = grouped[name].any()[name]
    return pd.concat([cases, means.assign(**{"class": MEAN_CLASS})], ignore_index=True)


def overall(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that stand for the whole: of the only class, or of the mean over classes."""
    classes = list(frame["class"].unique())
    whole = MEAN_CLASS if MEAN_CLASS in classes else next(iter(classes), "")
    return frame[frame["class"] == whole]


def roles(frame: pd.DataFrame) -> pd.Series:
    """The role of each row: 'method' where none is recorded, as in tables of earlier versions."""
    if "role" not in frame:
        return pd.Series("method", index=frame.index)
    return frame["role"].where(frame["role"].isin(ROLES), "method")


def in_order(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Rows by these columns, then upper bounds first and controls last; else as they were."""
    keyed = frame.assign(_rank=roles(frame).map(ROLES.index))
    return keyed.sort_values([*columns, "_rank"], kind="stable").drop(columns="_rank")
