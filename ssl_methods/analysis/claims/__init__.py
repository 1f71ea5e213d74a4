"""The claims that DTC was published with, as hypotheses: each with its tests and a verdict.

Luo, Chen, Song, Wang, "Semi-supervised Medical Image Segmentation through Dual-task Consistency",
AAAI 2021, tests none of its claims. ``declared`` says each as parts: this method is better than
that one, by this metric, with so many labels. A part is decided by the rules of the comparisons
(``components``): paired by subset, seed and case; supported (or contradicted) if the interval
lies on that side of 0 and p, adjusted by Holm over the parts of its claim, is below 0.05, on at
least 3 subsets and 20 cases.

- Dice: interval and t test over subsets and cases.
- What a run costs: t interval and t test over the subsets' means; there are no cases to count.
- 'No worse than' allows a margin: it is tested whether the difference is above minus the margin.

A claim is supported only if every part is, contradicted if one part is, not run if no part was.
What is undecided is not refuted: with 3 subsets a small difference cannot be shown.
"""

from ssl_methods.analysis.claims.declared import CLAIMS, EACH_OTHER
from ssl_methods.analysis.claims.judged import judge_claims
from ssl_methods.analysis.claims.shown import claims_note, shown_claims

__all__ = [
    "CLAIMS",
    "EACH_OTHER",
    "claims_note",
    "judge_claims",
    "shown_claims",
]
