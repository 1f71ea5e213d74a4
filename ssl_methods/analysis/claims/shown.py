"""``claims.csv`` as the report shows it."""

from __future__ import annotations

import pandas as pd

from ssl_methods.analysis.shown import WORDS, drop_silent, or_dash, p_text, with_interval
from ssl_methods.measures import of

NOTE = (
    "Effect: method minus against, with its 95 % interval and in a word: better and worse need p "
    "(Holm, over the parts of a claim) < 0.05, on at least 3 subsets and 20 cases (costs: 3 "
    "subsets); equivalent, not worse: by the margin. A claim is supported if every part is, "
    "contradicted if one part is, and equivalent if better was claimed and no part has a "
    "difference that matters; undecided is not refuted. Data, size and length of training are this "
    "experiment's, not the paper's."
)
NO_CLAIMS = "No claims were judged."


def shown_claims(claims: pd.DataFrame) -> pd.DataFrame:
    """``claims.csv`` as it is read: claim 2, its parts 2.1, 2.2, ...; of Dice percentage points.

    Whole claims alone, or parts alone, have no column without content. Its index is the claim.
    """
    if claims.empty:
        return pd.DataFrame()
    rows = []
    for _, row in claims.iterrows():
        whole = pd.isna(row["part"])
        measure = of(row["metric"])
        rows.append({
            "Claim": f"{row['claim']:.0f}" + ("" if whole else f".{row['part']:.0f}"),
            "Says": row["text"],
            "Source": or_dash(row["source"] if whole else ""),
            "Budget": or_dash(row["budget"]),
            "Metric": or_dash(measure.heading),
            "Effect": with_interval(row, ["effect", "low", "high"], measure, sign=True),
            "p (Holm)": p_text(row["p_holm"]),
            "Finding": WORDS.get(row["finding"], or_dash("")),
            "Verdict": row["verdict"],
            "Why": row["reason"],
        })  # fmt: skip
    frame = pd.DataFrame(rows, index=list(claims["claim"]))
    return drop_silent(frame, "Source", "Budget", "Metric", "Effect", "p (Holm)", "Finding")


def claims_note(claims: pd.DataFrame) -> str:
    """What stands below the claims wherever they are shown."""
    return NO_CLAIMS if claims.empty else NOTE
