"""Tables as files: reading, writing, and how their numbers are shown in text and Markdown."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ssl_methods.config import FASTEST_FIRST, rounds_more
from ssl_methods.errors import UserError
from ssl_methods.files import write_text

CELL = ("method", "budget", "subset", "seed")
"""Names one run within an experiment."""

TEXT = (
    "dataset", "method", "role", "recipe", "budget", "case", "class", "device",
    "pair", "baseline", "metric", "support", "verdict",
    "title", "mark", "citation", "place", "checkpoint", "post_processing", "split", "unknown",
    "note", "run",  # published
    "text", "source", "against", "reason",  # claims
    "between", "first", "second",  # agreement
    "better", "worse",  # false claims, beside pair
    "negative", "not_known",  # variance
    "audit", "reported_as", "instead_as", "status", "meaning",  # audits
)  # fmt: skip
INTEGERS = (
    "labeled", "unlabeled", "parameters", "cases", "failures", "measurements", "iterations",
    "claim", "part", "runs", "subsets",
)  # fmt: skip
MEAN_CLASS = "mean"
FLAGS = ("empty_prediction", "empty_reference")

ROLES = ("bound", "method", "control")
"""In the order of rows: upper bounds, the methods that are compared, controls."""

UNKNOWN = "\N{EN DASH}"
"""Stands for a number that is not known."""


def read_table(path: Path) -> pd.DataFrame:
    """A table with its names as text ('1.0' stays all labels, case '007' keeps its zeros).

    Raises UserError if it is absent or not a table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            columns = next(csv.reader(file), [])
        return pd.read_csv(
            path,
            dtype={name: str for name in TEXT if name in columns},
            keep_default_na=False,
            na_values={name: ["", "nan", "NaN"] for name in columns if name not in TEXT},
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not a valid table ({' '.join(str(error).split())})") from None


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """As CSV with six significant digits; what is not known is blank."""
    whole = {name: "Int64" for name in INTEGERS if name in frame}
    write_text(
        path, frame.astype(whole).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    )


def case_matrix(cases: pd.DataFrame, metric: str) -> pd.DataFrame:
    """(runs, cases) of one metric for one method, budget and class; a run is a (subset, seed)."""
    return cases.pivot(index=["subset", "seed"], columns="case", values=metric)


def with_class_mean(cases: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Adds, if there are several classes, rows of class 'mean': the mean over a case's classes.

    A case fails as often as its classes do. A metric unknown for one class is unknown for the mean.
    """
    if cases["class"].nunique() < 2:
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
    classes = frame["class"].unique()
    return frame[frame["class"] == (MEAN_CLASS if MEAN_CLASS in classes else classes[0])]


# ---- roles ---------------------------------------------------------------------------------------


def roles(frame: pd.DataFrame) -> pd.Series:
    """The role of each row: 'method' where none is recorded, as in tables of earlier versions."""
    if "role" not in frame:
        return pd.Series("method", index=frame.index)
    return frame["role"].where(frame["role"].isin(ROLES), "method")


def in_order(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Rows by these columns, then upper bounds first and controls last; else as they were."""
    keyed = frame.assign(_rank=roles(frame).map(ROLES.index))
    return keyed.sort_values([*columns, "_rank"], kind="stable").drop(columns="_rank")


def role_note(frame: pd.DataFrame) -> str:
    """What sets some rows apart, in a sentence or two that go below a table; '' if nothing does."""
    names = {role: list(frame.loc[roles(frame) == role, "method"].unique()) for role in ROLES}
    bound, control = ", ".join(names["bound"]), ", ".join(names["control"])
    sentences = []
    if bound:
        sentences.append(f"Upper bound, given every training label at each budget: {bound}.")
    if control:
        sentences.append(f"Control, trained on no image; any method should beat it: {control}.")
    return " ".join([*sentences, "These are not among the methods compared."] if sentences else [])


# ---- as shown ------------------------------------------------------------------------------------


def number(value: Any, digits: int = 1, scale: float = 1.0, sign: bool = False) -> str:
    """A number with fixed digits; a dash if it is not known."""
    if pd.isna(value):
        return UNKNOWN
    return f"{value * scale:{'+' if sign else ''}.{digits}f}"


def or_dash(text: Any) -> str:
    """A text; a dash if there is none."""
    return UNKNOWN if pd.isna(text) or text == "" else str(text)


def duration(seconds: Any) -> str:
    """'48 s', '12.5 min', '3.2 h'."""
    if pd.isna(seconds):
        return UNKNOWN
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / size:.{0 if size == 1 and seconds >= 10 else 1}f} {unit}"
    return f"{seconds / 3600:.1f} h"


def p_text(p: Any) -> str:
    if pd.isna(p):
        return UNKNOWN
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def labeled_text(row: pd.Series) -> str:
    """How many labels a row's runs were given: the budget's, and for an upper bound all."""
    return "all" if row.get("role") == "bound" else number(row["labeled"], 0)


def with_interval(row: pd.Series, columns: Sequence[str], scale: float, sign: bool = False) -> str:
    """'71.1 [62.0, 76.7]' from three columns: the value and both ends; without ends if unknown."""
    value, low, high = (
        number(row[name], 1 if scale == 100 else 2, scale, sign) for name in columns
    )
    return value if low == UNKNOWN else f"{value} [{low}, {high}]"


def drop_silent(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Without class and recipe where there is one, and without these columns if all dashes."""
    silent = [
        name
        for name in ("Class", "Recipe")
        if name in frame and frame[name].replace("", None).dropna().nunique() < 2
    ]
    silent += [name for name in columns if (frame[name] == UNKNOWN).all()]
    return frame.drop(columns=silent)


def rounded_more(runs: pd.DataFrame) -> dict[tuple[str, str], list[str]]:
    """Methods that were computed in less than they ask for, by (precision, what is asked for).

    ``runs``: a table with the columns method, precision and least_precision (runs, summary).
    """
    found: dict[tuple[str, str], list[str]] = {}
    if not {"precision", "least_precision"} <= set(runs):  # results of earlier versions
        return found
    both = ["precision", "least_precision"]
    known = runs[runs[both].isin(FASTEST_FIRST).all(axis=1)]
    for row in known.drop_duplicates(["method", *both]).to_dict("records"):
        pair = row["precision"], row["least_precision"]
        if rounds_more(*pair):
            found.setdefault(pair, []).append(str(row["method"]))
    return found


def precision_note(runs: pd.DataFrame) -> str:
    """A sentence below a table on methods that were computed in less than they ask for."""
    return " ".join(
        f"Computed in {own}, where {least} is asked for (training.precision): {', '.join(names)}."
        for (own, least), names in rounded_more(runs).items()
    )


HEADINGS = {
    "dice": ("Dice %", 100.0),
    "jaccard": ("Jaccard %", 100.0),
    "asd_voxel": ("ASD voxel", 1.0),
    "hd95_voxel": ("95HD voxel", 1.0),
}


def shown_summary(summary: pd.DataFrame) -> pd.DataFrame:
    """``summary.csv`` as it is read: percent, intervals in brackets, no column without content.

    Its index is each row's role.
    """
    rows, summary = [], in_order(summary, "labeled")
    for _, row in summary.iterrows():
        shown = {
            "Method": row["method"],
            "Labeled": labeled_text(row),
            "Class": row["class"],
        }
        shown |= {"Recipe": row["recipe"], "Runs": f"{row['runs_done']} of {row['runs_declared']}"}
        for metric, (title, scale) in HEADINGS.items():
            shown[title] = with_interval(row, [metric, f"{metric}_low", f"{metric}_high"], scale)
        shown["SD subsets"] = number(row["dice_sd_subsets"], 1, 100)
        shown["SD seeds"] = number(row["dice_sd_seeds"], 1, 100)
        shown["Failures"] = f"{number(row['failures'], 0)} of {number(row['measurements'], 0)}"
        shown["Time"] = duration(row["train_seconds"])
        rows.append(shown)
    return drop_silent(pd.DataFrame(rows, index=roles(summary)), "SD subsets", "SD seeds")


def shown_comparisons(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``comparisons.csv`` of one kind of pair as they are read.

    Differences of Dice and Jaccard in percentage points. Its index is each row's role.
    """
    rows, comparisons = [], in_order(comparisons, "labeled")
    best = "pair" in comparisons and (comparisons["pair"] == "best").any()
    for _, row in comparisons.iterrows():
        title, scale = HEADINGS[row["metric"]]
        difference = with_interval(row, ["difference", "low", "high"], scale, sign=True)
        rows.append({
            "Method": row["method"],
            "Labeled": labeled_text(row),
            "Class": row["class"],
            "Metric": title,
            **({"Best": row["baseline"]} if best else {}),
            f"Difference from {'the best' if best else row['baseline']}": difference,
            "Verdict": row["verdict"] or UNKNOWN,
            "p (Wilcoxon)": p_text(row["p_value"]),
            "p (Holm)": p_text(row["p_holm"]),
            "Effect": number(row.get("effect_size"), 2, sign=True),
            "P(false)": p_text(row.get("false_claim")),
            "Cases won": f"{row['wins']} of {row['cases']}",
            "Stands on": row["support"].removesuffix(": too few to tell"),
        })  # fmt: skip
    frame = pd.DataFrame(rows, index=roles(comparisons))
    return frame if frame.empty or frame["Class"].nunique() > 1 else frame.drop(columns="Class")


def markdown_text(text: str) -> str:
    """A cell that is shown as it is: no column, HTML tag or link begins in it."""
    return re.sub(r"\||<(?=[A-Za-z/!?])|(?<=\])\(", r"\\\g<0>", text)


def markdown(frame: pd.DataFrame, note: str) -> str:
    """A pipe table with its note below; in italics what its index calls no method."""

    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(markdown_text(str(cell)) for cell in cells) + " |"

    if frame.empty:
        return f"{note}\n"
    lines = [line(frame.columns), line("---" for _ in frame.columns)]
    for role, (name, *cells) in zip(frame.index, frame.to_numpy(), strict=True):
        lines.append(line([f"*{name}*" if is_apart(role) else name, *cells]))
    return "\n".join(lines) + f"\n\n{note}\n"


def is_apart(role: object) -> bool:
    """Is a row of this role no method that is compared? (A table without roles: all are.)"""
    return role in ("bound", "control")
