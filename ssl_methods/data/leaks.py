"""What stands on two sides of a split: a case, a group such as a patient, one scan of two ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from ssl_methods.data.duplicates import same_scans
from ssl_methods.data.splits import Split
from ssl_methods.data.store import Store

MOST = 5  # that a line names


def leaks(split: Split, store: Store) -> list[str]:
    """A line for each two sides that share something, with the names; none if all are apart.

    No case is on two of labeled, unlabeled, validation and test; no group, and unless the data set
    allows ``repeated_scans`` no scan, on two of training, validation and test.
    """
    lists = {
        "labeled": split.labeled,
        "unlabeled": split.unlabeled,
        "for validation": split.validation,
        "tested": split.test,
    }
    lines = []
    for one, other in combinations(lists, 2):
        if both := [case for case in lists[one] if case in {*lists[other]}]:
            lines.append(f"{_said('case', both)} both {one} and {other}")
    sides = {"for training": [*split.labeled, *split.unlabeled]}
    sides |= {name: lists[name] for name in ("for validation", "tested")}
    groups = {name: _groups(cases, store) for name, cases in sides.items()}
    for one, other in combinations(sides, 2):
        if shared := [
            group
            for group, members in groups[one].items()
            if group in groups[other] and {*members} != {*groups[other][group]}
        ]:
            lines.append(f"{_said('group', shared)} both {one} and {other}")
    if store.manifest.settings.get("repeated_scans"):
        return lines
    side_of = {case: name for name, cases in sides.items() for case in cases}
    for ids in same_scans(store.cases[case] for case in store.cases if case in side_of):
        if len({side_of[case] for case in ids}) > 1:
            where = ", ".join(f"'{case}' ({side_of[case]})" for case in ids)
            lines.append(f"cases {where} are the same scan")
    return lines


def half_labeled(split: Split, store: Store) -> list[str]:
    """The groups that have labeled and unlabeled cases: no leak, yet less labels than it seems.

    A budget counts cases, so that a patient's other scan may be an unlabeled one.
    """
    unlabeled = _groups(split.unlabeled, store)
    return [group for group in _groups(split.labeled, store) if group in unlabeled]


def _groups(cases: Sequence[str], store: Store) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for case in cases:
        if case in store.cases and (group := store.cases[case].group):
            found.setdefault(group, []).append(case)
    return found


def _said(what: str, names: Sequence[str]) -> str:
    """ "cases 'a', 'b' and 3 more are", or of one "case 'a' is"."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    listed = ", ".join(f"'{name}'" for name in names[:MOST])
    return f"{what}{'s' * (len(names) > 1)} {listed}{more} {'are' if len(names) > 1 else 'is'}"
