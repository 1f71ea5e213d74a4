"""How numbers and tables are written for people: in text, Markdown and on the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from ssl_methods.analysis.names import label, labels
from ssl_methods.analysis.tables import MEAN_CLASS, ROLES, in_order, roles
from ssl_methods.config import FASTEST_FIRST, is_all, rounds_more
from ssl_methods.measures import Measure, compared, of
from ssl_methods.shown import one_line

UNKNOWN = "\N{EN DASH}"
"""Stands for a number that is not known."""


def role_note(frame: pd.DataFrame) -> str:
    """What sets some rows apart, in a sentence or two that go below a table; '' if nothing does."""
    names = {role: labels(frame.loc[roles(frame) == role, "method"].unique()) for role in ROLES}
    bound, control = names["bound"], names["control"]
    sentences = []
    if bound:
        sentences.append(f"Upper bound, given every training label at each budget: {bound}.")
    if control:
        sentences.append(f"Control, trained on no image; any method should beat it: {control}.")
    return " ".join([*sentences, "These are not among the methods compared."] if sentences else [])


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


BESIDE = 0.25
"""From this share of the machine's cores on that others used, a time is marked."""


def time_text(row: pd.Series, column: str) -> str:
    """A row's duration, with a star if other jobs had much of the machine meanwhile."""
    text = duration(row[column])
    return f"{text} *" if text != UNKNOWN and row.get("others_share", 0.0) >= BESIDE else text


def time_note(summary: pd.DataFrame) -> str:
    """What the stars at times mean; '' without any."""
    if "others_share" not in summary:  # tables of earlier versions
        return ""
    shares = pd.to_numeric(summary["others_share"])
    marked = 100 * shares[shares >= BESIDE]
    if marked.empty:
        return ""
    low, high = f"{marked.min():.0f}", f"{marked.max():.0f}"
    many = low if low == high else f"{low} to {high}"
    return f"*: trained beside jobs that had {many} % of the machine: such times tell little."


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


def listed(items: Iterable[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def drop_silent(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The table without a class or recipe that never varies, and these columns if all dashes."""
    silent = [
        name
        for name in ("Class", "Recipe")
        if name in frame and frame[name].replace("", None).dropna().nunique() < 2
    ]
    silent += [name for name in columns if name in frame and (frame[name] == UNKNOWN).all()]
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
        f"Computed in {own}, where {least} is asked for (training.precision): {labels(names)}."
        for (own, least), names in rounded_more(runs).items()
    )


def shown_summary(summary: pd.DataFrame, primary: str = "dice") -> pd.DataFrame:
    """``summary.csv`` as it is read: percent, intervals in brackets, no column without content.

    The ``primary`` metric first, with its interval and the difference from the baseline; of the
    others the means, whose intervals are in the CSV. Its index is each row's role. Runs are shown
    where some are missing.
    """
    rows, summary = [], in_order(summary, "labeled")
    some_absent, measures = absent_classes(summary), compared(summary)
    some_missing = (summary["runs_done"] != summary["runs_declared"]).any()
    for _, row in summary.iterrows():
        shown = {
            "Method": label(row["method"]),
            "Labeled": labeled_text(row),
            "Class": row["class"],
        }
        shown |= {"Recipe": row["recipe"]}
        if some_missing:
            shown["Runs"] = f"{row['runs_done']} of {row['runs_declared']}"
        for metric in sorted(measures, key=lambda name: name != primary):
            measure, ends = measures[metric], [metric, f"{metric}_low", f"{metric}_high"]
            if metric != primary:
                shown[measure.heading] = number(row[metric], measure.digits, measure.scale)
                continue
            shown[measure.heading] = with_interval(row, ends, measure)
            if "difference" in row:
                ends = ["difference", "difference_low", "difference_high"]
                shown["Difference"] = with_interval(row, ends, measure, sign=True)
                shown["Verdict"] = WORDS.get(row["verdict"], UNKNOWN)
                won, of_all = (number(row[it], 0) for it in ("subsets_won", "subsets_compared"))
                shown["Won"] = UNKNOWN if of_all == UNKNOWN else f"{won} of {of_all}"
        shown["Failures"] = f"{number(row['failures'], 0)} of {number(row['measurements'], 0)}"
        if some_absent:
            false = f"{number(row['false_positives'], 0)} of {number(row['absent'], 0)}"
            shown["False positives"] = false
        shown["Time"] = time_text(row, "train_seconds")
        rows.append(shown)
    return drop_silent(pd.DataFrame(rows, index=roles(summary)), "Difference", "Verdict", "Won")


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


WORDS = {
    "better": "better", "worse": "worse", "equivalent": "equivalent",
    "not_worse": "not worse", "undecided": "undecided",
}  # fmt: skip
"""Verdicts as they are read (``analysis.verdicts``)."""


def shown_comparisons(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``comparisons.csv`` of one kind of pair as they are read.

    Differences of shares in percentage points. Its index is each row's role.
    """
    rows, comparisons = [], in_order(comparisons, "labeled")
    best = "pair" in comparisons and (comparisons["pair"] == "best").any()
    for _, row in comparisons.iterrows():
        measure = of(row["metric"])
        difference = with_interval(row, ["difference", "low", "high"], measure, sign=True)
        unit = "seeds" if is_all(row["budget"]) else "subsets"
        rows.append({
            "Method": label(row["method"]),
            "Labeled": labeled_text(row),
            "Class": row["class"],
            "Metric": measure.heading,
            **({"Best": label(row["baseline"])} if best else {}),
            f"Difference from {'the best' if best else label(row['baseline'])}": difference,
            "Verdict": WORDS.get(row["verdict"], UNKNOWN),
            "p (Holm)": p_text(row["p_holm"]),
            "Won": f"{row['subsets_won']} of {row['subsets']} {unit}",
            "What would decide it": row["missing"] or UNKNOWN,
        })  # fmt: skip
    frame = pd.DataFrame(rows, index=roles(comparisons))
    if frame.empty:
        return frame
    silent = [name for name in ("Verdict", "p (Holm)", "What would decide it")
              if (frame[name] == UNKNOWN).all()]  # fmt: skip
    return frame.drop(columns=[*silent, *(["Class"] if frame["Class"].nunique() == 1 else [])])


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
