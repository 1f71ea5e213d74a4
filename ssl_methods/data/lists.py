"""Lists of cases as published data sets come with them: one id a line, one file for each role.

Which of them is for training, for testing or left out as somebody's validation cases; a case that
stands in two roles is an error, not a choice made here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ssl_methods.config import ListSettings, find_config, read_yaml
from ssl_methods.data.importers.base import raise_faults
from ssl_methods.data.store import is_folder_name
from ssl_methods.errors import UserError
from ssl_methods.files import read_text

Lists = Mapping[str, Sequence[str]]
"""Ids in their order, by the name of the list that an error gives."""

MOST = 5  # ids that an error names


class Sides(NamedTuple):
    """What lists say of the cases that they name."""

    split: dict[str, Literal["train", "test"]]  # by id, in the order of the lists
    left_out: list[str]  # cases for validation: neither trained on nor tested
    named_by: dict[str, str]  # id -> its list
    remarks: tuple[str, ...]

    def absent(self, found: Container[str], where: Callable[[str], object]) -> list[str]:
        """A line for each case that is not ``found``; ``where`` it should be."""
        return [
            f"{self.named_by[case]}: case '{case}' has no file {where(case)}"
            for case in self.split
            if case not in found
        ]


def read_id_list(path: Path) -> list[str]:
    """One id per line; blank lines are skipped. Raises UserError if the file cannot be read."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_lists(paths: Sequence[Path], id_of: Callable[[str], str] = str) -> Lists:
    """The ids of each file, as ``id_of`` has them of a line.

    Raises UserError if one cannot be read or names no case.
    """
    lists = {str(path): [id_of(line) for line in read_id_list(path)] for path in paths}
    raise_faults(f"{name}: names no case" for name, ids in lists.items() if not ids)
    return lists


def sides_of(
    train: Lists,
    test: Lists,
    validation: Lists | None = None,
    rules: Literal["refuse", "training", "validation"] = "refuse",
) -> Sides:
    """The side of each case. Cases for validation are left out, and a remark says so.

    ``rules``: which list counts where a case for validation is listed for training too. Raises
    UserError with a line for each list that names a case twice, and for each two that share cases.
    """
    validation = validation or {}
    roles = {name: role for role, of in enumerate((train, validation, test)) for name in of}
    faults = []
    lists = {**train, **validation, **test}
    for name, ids in lists.items():
        faults += [
            f"{name}: case id {case!r} cannot be a folder's name; rename it"
            for case in ids
            if not is_folder_name(case)
        ]
        if twice := [case for case, count in Counter(ids).items() if count > 1]:
            faults.append(f"{name}: names {_quoted(twice)} more than once")
    for one, other in combinations(lists, 2):
        between = {roles[one], roles[other]}
        if not (both := [case for case in dict.fromkeys(lists[one]) if case in {*lists[other]}]):
            continue
        if between == {0, 1} and rules != "refuse":
            continue
        advice = (
            "; dataset.overlap: training or validation says which list counts"
            if between == {0, 1}
            else "; a case has one role: take it out of one list"
        )
        faults.append(f"{one} and {other} both name {_quoted(both)}{advice}")
    raise_faults(faults)
    trained = dict.fromkeys(case for ids in train.values() for case in ids)
    held_out = dict.fromkeys(case for ids in validation.values() for case in ids)
    shared = [case for case in trained if case in held_out]
    loser = held_out if rules == "training" else trained
    for case in shared:
        del loser[case]
    split: dict[str, Literal["train", "test"]] = dict.fromkeys(trained, "train")
    split |= dict.fromkeys((case for ids in test.values() for case in ids), "test")
    remarks = []
    if shared:
        remarks.append(
            f"{len(shared)} cases are in lists for training and for validation, and were taken for "
            f"{rules} (dataset.overlap): {', '.join(shared[:MOST])}{_more(shared)}"
        )
    if held_out:
        names = ", ".join(Path(name).name for name in validation)
        remarks.append(f"{len(held_out)} cases for validation are left out ({names})")
    named_by = {case: name for name, ids in lists.items() for case in ids}
    return Sides(split, list(held_out), named_by, tuple(remarks))


def sides_of_folder(
    train: Sequence[Path],
    test: Sequence[Path],
    validation: Sequence[Path],
    dataset: ListSettings,
    id_of: Callable[[str], str] = str,
) -> Sides:
    """``sides_of`` of files; of those for validation the ones that there are."""
    there = [path for path in validation if path.exists()]
    trained, tested, held_out = (read_lists(paths, id_of) for paths in (train, test, there))
    return sides_of(trained, tested, held_out, dataset.overlap)


def published_sides(
    name: str,
    fold: int | None = None,
    ids_of: Callable[[Any], Sequence[str]] = lambda entry: [str(entry)],
) -> Sides:
    """``sides_of`` the lists of configs/splits/<name>.yaml: train, test and perhaps validation; or
    folds, of which one is tested and the others, in their order there, are for training.

    ``ids_of``: the cases of an entry. Raises UserError if there is no such fold.
    """
    path = find_config("splits", name)
    lists = read_yaml(path)

    def named(parts: Mapping[str, Sequence[Any]]) -> Lists:
        try:
            return {
                f"{path}: {part}": [case for entry in entries for case in ids_of(entry)]
                for part, entries in parts.items()
            }
        except (TypeError, ValueError):
            raise UserError(f"{path}: expected lists of cases, as the project's file has") from None

    if (folds := lists.get("folds")) is not None:
        tested = str(fold)
        if tested not in folds:
            raise UserError(f"{path}: has no fold {fold}; it has {', '.join(folds)}")
        others = {number: ids for number, ids in folds.items() if number != tested}
        return sides_of(named(others), named({tested: folds[tested]}))
    train, test, validation = (
        named({role: lists[role]} if role in lists else {})
        for role in ("train", "test", "validation")
    )
    return sides_of(train, test, validation)


def _quoted(ids: Sequence[str]) -> str:
    return ", ".join(f"'{case}'" for case in ids[:MOST]) + _more(ids)


def _more(ids: Sequence[str]) -> str:
    return f" and {len(ids) - MOST} more" if len(ids) > MOST else ""
