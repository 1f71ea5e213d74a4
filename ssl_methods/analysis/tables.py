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
from ssl_methods.files import file_sha256, write_text
from ssl_methods.measures import Measure, compared, of

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
    "labeled", "unlabeled", "parameters", "iterations", "claim", "part", "runs", "subsets",
    "cases", "measurements", "failures", "absent", "false_positives",
)  # fmt: skip
MEAN_CLASS = "mean"
FLAGS = ("empty_prediction", "empty_reference")

ROLES = ("bound", "method", "control")
"""In the order of rows: upper bounds, the methods that are compared, controls."""

UNKNOWN = "\N{EN DASH}"
"""Stands for a number that is not known."""


SUMS = "SHA256SUMS"
"""Beside the tables: the checksum of each, as ``sha256sum --check`` reads them."""

LARGEST_TABLE = 512 << 20  # bytes


def read_table(path: Path) -> pd.DataFrame:
    """A table with its names as text ('1.0' stays all labels, case '007' keeps its zeros).

    Raises UserError if it is absent, no table, or not what ``SHA256SUMS`` beside it says.
    """
    _verify(path)
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: is no file")
        if path.stat().st_size > LARGEST_TABLE:
            raise UserError(f"{path}: is larger than {LARGEST_TABLE >> 20} MiB, too large a table")
        with path.open(newline="", encoding="utf-8") as file:
            columns = next(csv.reader(file), [])
        frame = pd.read_csv(
            path,
            dtype={name: str for name in TEXT if name in columns},
            keep_default_na=False,
            na_values={name: ["", "nan", "NaN"] for name in columns if name not in TEXT},
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: is not a valid table ({' '.join(str(error).split())})") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise UserError(f"{path}: is not a valid table (rows are longer than the heading)")
    for name in frame.columns[[is_text(frame[name]) for name in frame]]:
        frame[name] = frame[name].map(_as_it_was, na_action="ignore")
    return frame


def _verify(path: Path) -> None:
    sums = path.parent / SUMS
    if not (sums.is_file() and path.is_file()):
        return
    with sums.open("rb") as file:
        lines = file.read(1 << 20).decode(errors="replace").splitlines()
    recorded = {name.strip(): digest for digest, _, name in (line.partition(" ") for line in lines)}
    if recorded.get(path.name, "") and file_sha256(path) != recorded[path.name]:
        raise UserError(f"{path}: is not as 'collect' wrote it; run 'collect' again")


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """The checksums of these tables, to be compared when one of them is read."""
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in sorted(names)]
    write_text(folder / SUMS, "".join(lines))


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """As CSV with six significant digits; what is not known is blank, names are no formulas."""
    whole = {name: "Int64" for name in INTEGERS if name in frame}
    inert = {
        name: frame[name].map(no_formula, na_action="ignore")
        for name in frame
        if is_text(frame[name])
    }
    write_text(
        path,
        frame.assign(**inert)
        .astype(whole)
        .to_csv(index=False, float_format="%.6g", lineterminator="\n"),
    )


def is_text(column: pd.Series) -> bool:
    """May a column hold text, alone or beside numbers?"""
    return pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)


NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
QUOTED = re.compile("'" + FORMULA.pattern)


def no_formula(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, behind an apostrophe.

    These begin with = + - @ (also of full width), a tab or a line's end; numbers stay as they are.
    ``read_table`` takes the apostrophe away.
    """
    if isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _as_it_was(value: Any) -> Any:
    return value[1:] if isinstance(value, str) and QUOTED.match(value) else value


def case_matrix(cases: pd.DataFrame, metric: str) -> pd.DataFrame:
    """(runs, cases) of one metric for one method, budget and class; a run is a (subset, seed)."""
    return cases.pivot(index=["subset", "seed"], columns="case", values=metric)


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
    metric unknown for one of them is unknown for the mean.
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


def with_interval(
    row: pd.Series, columns: Sequence[str], measure: Measure, sign: bool = False
) -> str:
    """'71.1 [62.0, 76.7]' from three columns: the value and both ends; without ends if unknown."""
    value, low, high = (number(row[name], measure.digits, measure.scale, sign) for name in columns)
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


def shown_summary(summary: pd.DataFrame) -> pd.DataFrame:
    """``summary.csv`` as it is read: percent, intervals in brackets, no column without content.

    Its index is each row's role.
    """
    rows, summary = [], in_order(summary, "labeled")
    some_absent = absent_classes(summary)
    for _, row in summary.iterrows():
        shown = {
            "Method": row["method"],
            "Labeled": labeled_text(row),
            "Class": row["class"],
        }
        shown |= {"Recipe": row["recipe"], "Runs": f"{row['runs_done']} of {row['runs_declared']}"}
        for metric, measure in compared(summary).items():
            ends = [metric, f"{metric}_low", f"{metric}_high"]
            shown[measure.heading] = with_interval(row, ends, measure)
        shown["SD subsets"] = number(row["dice_sd_subsets"], 1, 100)
        shown["SD seeds"] = number(row["dice_sd_seeds"], 1, 100)
        shown["Failures"] = f"{number(row['failures'], 0)} of {number(row['measurements'], 0)}"
        if some_absent:
            false = f"{number(row['false_positives'], 0)} of {number(row['absent'], 0)}"
            shown["False positives"] = false
        shown["Time"] = duration(row["train_seconds"])
        rows.append(shown)
    return drop_silent(pd.DataFrame(rows, index=roles(summary)), "SD subsets", "SD seeds")


def absent_classes(summary: pd.DataFrame) -> bool:
    """Does a case lack a class? (Tables of earlier versions do not say.)"""
    return bool("absent" in summary and (summary["absent"].fillna(0) > 0).any())


def count_note(summary: pd.DataFrame) -> str:
    """What the counts of a summary are of, and what a mean over classes is of."""
    several, absent = MEAN_CLASS in set(summary["class"]), absent_classes(summary)
    has = "a run, a case and a class" if several else "a run and a case"
    if absent:
        has += " that the case has" if several else " that has the class"
    sentences = [f"Failures: empty predictions among all measurements, each of {has}."]
    if absent:
        sentences.append(
            "A case without a class enters no mean of it; what is predicted there is a false "
            "positive, among all measurements of what a case does not have."
        )
    if several:
        sentences.append("Mean over classes: of those that each case has.")
    return " ".join(sentences)


def shown_comparisons(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``comparisons.csv`` of one kind of pair as they are read.

    Differences of Dice and Jaccard in percentage points. Its index is each row's role.
    """
    rows, comparisons = [], in_order(comparisons, "labeled")
    best = "pair" in comparisons and (comparisons["pair"] == "best").any()
    for _, row in comparisons.iterrows():
        measure = of(row["metric"])
        difference = with_interval(row, ["difference", "low", "high"], measure, sign=True)
        rows.append({
            "Method": row["method"],
            "Labeled": labeled_text(row),
            "Class": row["class"],
            "Metric": measure.heading,
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


HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Characters that are not seen and change what is: controls, marks of direction, half pairs."""


def visible(text: str) -> str:
    """The text with hidden characters (``HIDDEN``; not tab and line's end) as '\\u202e'."""
    return HIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str) -> str:
    """Visible, in one line."""
    return " ".join(visible(text).split())


def markdown_text(text: str) -> str:
    """A cell that is shown as it is: no column, HTML tag or link begins in it."""
    return re.sub(r"\||<(?=[A-Za-z/!?])|(?<=\])\(", r"\\\g<0>", one_line(text))


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
