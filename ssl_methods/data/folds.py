"""Test folds that move on with the labeled subset: each labeled case is tested in its turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ssl_methods.data.draw import shuffled
from ssl_methods.errors import UserError


class Fold(NamedTuple):
    """What a subset tests and may label, and how many subsets before it had the same test cases.

    ``others`` are in the order in which blocks of labeled cases are cut from them.
    """

    test: list[str]
    others: list[str]
    turn: int


def fold_of(units: Mapping[str, str], size: int, subset: int, dataset: str) -> Fold:
    """The fold of a subset: n tests fold n modulo their number.

    One random order of the cases is cut into folds of about ``size``. Labeled cases are taken from
    behind the fold that is tested, so that the folds' first blocks share no case, and with whole
    folds of blocks every case is labeled once.

    Args:
        units: case -> what it must not be parted from, e.g. its slide; its own id if it stands
            alone.
        size: about how many cases a fold has.
        subset: number of the labeled subset.
        dataset: on which the order depends, beside the cases.

    Raises UserError if there are fewer than two folds.
    """
    wanted = round(len(units) / size)
    order: list[str] = []
    folds: list[list[str]] = [[] for _ in range(max(wanted, 1))]
    for unit in shuffled(set(units.values()), "test fold", dataset):
        members = shuffled((case for case, its in units.items() if its == unit), "test fold")
        folds[len(order) * len(folds) // len(units)] += members
        order += members
    folds = [fold for fold in folds if fold]
    if len(folds) < 2:
        raise UserError(
            f"{dataset}: test 'rotated' needs two folds of {size} labeled cases at least, and "
            f"{len(units)} cases give {len(folds)}; list fewer test cases, or set test: listed"
        )
    number = subset % len(folds)
    others = [case for fold in (*folds[number + 1 :], *folds[:number]) for case in fold]
    return Fold(folds[number], others, subset // len(folds))
