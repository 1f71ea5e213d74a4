"""The table ``claims.csv``: each claim and its parts, with effects and verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ssl_methods.analysis.claims.declared import CLAIMS, EACH_OTHER, KIN, Claim, Part
from ssl_methods.analysis.claims.measured import measure
from ssl_methods.analysis.families import holm
from ssl_methods.analysis.names import labels
from ssl_methods.analysis.tables import CELL, overall, roles

COLUMNS = [
    "claim", "part", "text", "source", "method", "against", "budget", "metric",
    "effect", "low", "high", "p_value", "p_holm", "runs", "subsets", "cases",
    "finding", "verdict", "reason",
]  # fmt: skip


def judge_claims(cases: pd.DataFrame, runs: pd.DataFrame, margin: float = 2.0) -> pd.DataFrame:
    """The table ``claims.csv``: for each claim a row for the whole, then one per part.

    Args:
        cases: the table ``cases.csv``, with its rows of the mean over classes if more than one.
        runs: the table ``runs.csv``.
        margin: the largest difference of Dice that does not matter, in percentage points.

    Returns:
        The columns ``COLUMNS``. ``part`` is blank for the whole. ``effect`` is method minus
        against, in the metric's unit (for 'few - most': that difference at the smallest budget
        minus that at the largest), ``low`` and ``high`` its 95 % interval. ``finding`` says that
        effect in one of five words (``verdicts``). ``verdict`` is whether the claim holds:
        'supported', 'contradicted', 'equivalent' (better was claimed, and no difference that
        matters is there), 'undecided' or 'not run'; ``reason`` says what it stands on, or what is
        missing.
    """
    cases = overall(cases)
    cases = cases[roles(cases) == "method"]
    runs = runs[runs["status"] == "done"].drop_duplicates([*CELL])
    rows: list[dict[str, object]] = []
    for claim in CLAIMS:
        parts = [measure(part, cases, runs) for part in _asked(claim, cases)]
        adjusted = holm(np.array([part.p_value for part in parts], float))
        own = [
            {"claim": claim.number, "part": i, "source": claim.source}
            | measured.row(float(p), margin)
            for i, (measured, p) in enumerate(zip(parts, adjusted, strict=True), start=1)
        ]
        whole = {"claim": claim.number, "text": claim.text, "source": claim.source}
        whole |= dict.fromkeys(("method", "against", "budget", "metric", "finding"), "")
        rows += [whole | _whole(own, _left_out(claim, cases)), *own]
    return pd.DataFrame(rows, columns=COLUMNS)


def _asked(claim: Claim, cases: pd.DataFrame) -> list[Part]:
    """The parts that the experiment's methods call for."""
    present = list(cases["method"].unique())
    asked = []
    for part in claim.parts:
        if part.against == EACH_OTHER:
            named = {part.against for claim in CLAIMS for part in claim.parts}
            others = [name for name in present if name not in named and name not in KIN]
            asked += [replace(part, against=name) for name in others] or [
                replace(part, not_here="the experiment has no other method")
            ]
        elif not part.optional or part.against in present:
            asked.append(part)
    return asked


def _left_out(claim: Claim, cases: pd.DataFrame) -> list[str]:
    present = set(cases["method"])
    return [part.against for part in claim.parts if part.optional and part.against not in present]


def _whole(parts: list[dict[str, object]], left_out: list[str]) -> dict[str, object]:
    """Verdict and reason of a claim from those of its parts."""
    named: dict[str, list[str]] = {}
    for part in parts:
        named.setdefault(str(part["verdict"]), []).append(str(part["against"]))
    if "contradicted" in named:
        verdict = "contradicted"
    elif len(named) == 1:
        [verdict] = named
    else:
        verdict = "undecided"
    supported = len(named.pop("supported", []))
    reasons = [f"{supported} of {len(parts)} parts supported"]
    for other in ("contradicted", "equivalent", "undecided", "not run"):
        if other in named:
            reasons.append(f"{other}: {labels(dict.fromkeys(named[other]))}")
    if left_out:
        reasons.append(f"not in the experiment: {labels(left_out)}")
    return {"verdict": verdict, "reason": "; ".join(reasons)}
