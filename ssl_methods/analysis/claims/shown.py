"""``claims.csv`` as the report shows it."""

from __future__ import annotations

import pandas as pd

from ssl_methods.analysis.tables import drop_silent, or_dash, p_text, with_interval

NOTE = (
    "Effect: method minus against, with its 95 % interval. A part needs the interval on one side "
    "of 0 and p (Holm, over the parts of a claim) < 0.05, on at least 3 subsets and 20 cases "
    "(costs: 3 subsets). Supported: every part is; contradicted: one part is; undecided is not "
    "refuted. Data, size and length of training are this experiment's, not the paper's."
)
NO_CLAIMS = "No claims were judged."
EFFECTS = {
    "": ("", 1.0),
    "dice": ("Dice %", 100.0),
    "seconds_per_iteration": ("ms / iteration", 1000.0),
    "train_seconds": ("training s", 1.0),
    "forward_passes_per_iteration": ("forward passes / iteration", 1.0),
}


def shown_claims(claims: pd.DataFrame) -> pd.DataFrame:
    """``claims.csv`` as it is read: claim 2, its parts 2.1, 2.2, ...; of Dice percentage points.

    Whole claims alone, or parts alone, have no column without content. Its index is the claim.
    """
    if claims.empty:
        return pd.DataFrame()
    rows = []
    for _, row in claims.iterrows():
        whole = pd.isna(row["part"])
        title, scale = EFFECTS[row["metric"]]
        rows.append({
            "Claim": f"{row['claim']:.0f}" + ("" if whole else f".{row['part']:.0f}"),
            "Says": row["text"],
            "Source": or_dash(row["source"] if whole else ""),
            "Budget": or_dash(row["budget"]),
            "Metric": or_dash(title),
            "Effect": with_interval(row, ["effect", "low", "high"], scale, sign=True),
            "p (Holm)": p_text(row["p_holm"]),
            "Verdict": row["verdict"],
            "Why": row["reason"],
        })  # fmt: skip
    frame = pd.DataFrame(rows, index=list(claims["claim"]))
    return drop_silent(frame, "Source", "Budget", "Metric", "Effect", "p (Holm)")


def claims_note(claims: pd.DataFrame) -> str:
    """What stands below the claims wherever they are shown."""
    return NO_CLAIMS if claims.empty else NOTE
