"""Tables as LaTeX that can be pasted: booktabs, the note as caption, no wider than the page.

A table needs ``booktabs`` and ``graphicx``; one that is long, or has columns of long text, goes
over pages on its side, and needs ``booktabs``, ``longtable``, ``array`` and ``pdflscape``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from ssl_methods.analysis.shown import UNKNOWN, is_apart
from ssl_methods.shown import one_line, visible

PAGE_ROWS = 45
LONG_TEXT = 28  # characters of a cell
WIDEST = 80  # characters by which a column of long text counts
NARROWEST = 0.08  # of the line: a column of long text
LANDSCAPE = 150  # characters of \scriptsize on a line
TIED = r"$^{\approx}$"

Marks = Sequence[Mapping[str, str]]
"""For each row, columns whose cell is 'best' or 'tied' (``analysis.marks``)."""

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": "$<$", ">": "$>$", UNKNOWN: "--", "\N{DAGGER}": r"\dag{}", "\N{ALMOST EQUAL TO}": TIED,
    "\N{SUPERSCRIPT MINUS}": "$^{-}$", "\N{SUPERSCRIPT ONE}": "$^{1}$",
}  # fmt: skip


def latex(frame: pd.DataFrame, note: str, marks: Marks = (), name: str = "") -> str:
    """A table with its note as caption; a comment alone if it has no rows.

    The first sentence of the note is the caption in a list of tables; ``name``: of the label,
    ``tab:name``.

    What the frame's index calls no method is in italics, with some space around. Cells marked best
    are bold, tied ones carry a sign.
    """
    if frame.empty:
        return f"% {note}\n"
    cells = [[escape(one_line(str(cell))) for cell in row] for row in frame.to_numpy()]
    for row, marked in zip(cells, marks, strict=False):
        for place, name in enumerate(frame.columns):
            kind = marked.get(str(name), "")
            if kind == "best":
                row[place] = rf"\textbf{{{row[place]}}}"
            elif kind == "tied":
                row[place] += TIED
    kinds = column_kinds(frame)
    for row in cells:  # in a paragraph a long name may be broken
        for place in [i for i, kind in enumerate(kinds) if "p{" in kind]:
            row[place] = re.sub(r"\\_|/", r"\g<0>\\allowbreak{}", row[place])
    body, before = [], frame.index[0]
    for role, row in zip(frame.index, cells, strict=True):
        if role != before:
            body.append(r"\addlinespace")
        if is_apart(role):
            row[0] = rf"\textit{{{row[0]}}}"
        body.append(" & ".join(row) + r" \\")
        before = role
    head = " & ".join(escape(str(name)) for name in frame.columns) + r" \\"
    long = len(frame) > PAGE_ROWS or any("p{" in kind for kind in kinds)
    lines = (over_pages if long else on_a_page)(head, body, caption(note, name), "".join(kinds))
    return "\n".join(lines) + "\n"


def caption(note: str, name: str) -> str:
    """The caption with its short form, and the label."""
    short = re.split(r" \(|[.;:] |\.$", note)[0]
    label = rf"\label{{tab:{name}}}" if name else ""
    return rf"\caption[{escape(short)}]{{{escape(note)}}}{label}"


def on_a_page(head: str, body: list[str], caption: str, kinds: str) -> list[str]:
    """A tabular, made smaller if it is wider than the text."""
    return [
        r"% \usepackage{booktabs,graphicx}",
        r"\begin{table}",
        caption,
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule", head, r"\midrule", *body, r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]  # fmt: skip


def over_pages(head: str, body: list[str], caption: str, kinds: str) -> list[str]:
    """A longtable on its side; later pages repeat the headings alone."""
    return [
        r"% \usepackage{array,booktabs,longtable,pdflscape}",
        r"\begin{landscape}",
        r"\scriptsize\setlength{\tabcolsep}{3pt}\setlength{\LTcapwidth}{\linewidth}",
        rf"\begin{{longtable}}{{{kinds}}}",
        rf"{caption} \\",
        r"\toprule", head, r"\midrule", r"\endfirsthead",
        r"\toprule", head, r"\midrule", r"\endhead",
        r"\bottomrule", r"\endlastfoot",
        *body,
        r"\end{longtable}",
        r"\end{landscape}",
    ]  # fmt: skip


def column_kinds(frame: pd.DataFrame) -> list[str]:
    """LaTeX's name for each column: two of text, then numbers; paragraphs where text is long.

    Paragraphs share what the other columns leave of the line, by the lengths of their longest text.
    """
    cells = [max(len(str(cell)) for cell in column) for column in frame.to_numpy().T]
    widths = [max(len(str(name)), cell) for name, cell in zip(frame.columns, cells, strict=True)]
    kinds = ["l", "l", *"r" * len(widths)][: len(widths)]
    long = {i: min(cell, WIDEST) for i, cell in enumerate(cells) if cell > LONG_TEXT}
    left = 1 - sum(width + 2 for i, width in enumerate(widths) if i not in long) / LANDSCAPE
    left -= 2 * len(long) / LANDSCAPE
    for i, width in long.items():
        share = max(left * width / sum(long.values()), NARROWEST)
        kinds[i] = rf">{{\raggedright\arraybackslash}}p{{{share:.3f}\linewidth}}"
    return kinds


def escape(text: str) -> str:
    """Text for LaTeX; a minus before a number is a minus sign."""
    signed = re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", visible(text))
    escaped = "".join(SPECIAL.get(letter, letter) for letter in signed)
    return escaped.replace("\N{MINUS SIGN}", "$-$")
