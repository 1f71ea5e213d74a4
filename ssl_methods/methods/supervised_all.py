"""Supervised with every training label: an upper bound for what unlabeled images can give.

Loss: 0.5 cross-entropy + 0.5 Dice, that of `supervised`; the harness gives it the labels of all
training cases, whatever the budget (`role = "bound"`).

Defaults: those of `supervised`.

Deviations
- Those of `supervised`; none of its own.
- A training case that has no label at all, as in a set with unlabeled scans, is left out.
- It repeats the run at each budget with random streams of that budget: equal but for chance.
"""

from __future__ import annotations

from ssl_methods.methods.supervised import Supervised


class SupervisedAll(Supervised):
    """``supervised``; what differs is the cases that it is given."""

    title, family, marker = "Supervised (all labels)", "every label", "s"
    role = "bound"
