"""The registry of importers: an importer is a file in this folder, a file of one's own, or an
entry point of the group `ssl_methods.importers`.

What it found is checked here, and given a test set.
"""

from __future__ import annotations

from dataclasses import replace

from ssl_methods.config import IMPORTERS, DatasetBase
from ssl_methods.data.draw import drawn, share
from ssl_methods.data.importers.base import RawCase, Source, check_ids, raise_faults
from ssl_methods.errors import UserError
from ssl_methods.plugins import is_file, name_of


def read_source(dataset: DatasetBase) -> Source:
    """List the cases of a data set, with a test set. Raises UserError, one line per fault."""
    module_of(dataset)
    module = IMPORTERS.module(name_of(dataset.importer))
    if not callable(getattr(module, "read", None)):
        raise UserError(f"{module.__file__}: must define read(dataset), which returns a Source")
    source: Source = module.read(dataset)
    check_ids(dataset, [case.id for case in source.cases])
    for name in (source.classes or {}).values():
        if not name.isprintable() or not name.strip():
            raise UserError(f"{dataset.name}: class name {name!r} is no line of text; rename it")
    drawn_here = all(case.split == "train" for case in source.cases)
    cases = with_test_set(dataset, source.cases) if drawn_here else source.cases
    check_groups(dataset, cases)
    if not any(case.split == "train" for case in cases):
        raise UserError(f"{dataset.name}: there is no training case")
    return replace(source, cases=cases, test_drawn=drawn_here)


def module_of(dataset: DatasetBase) -> str:
    """The module of a data set's importer; of one in a file of one's own, its path.

    Raises UserError if it is a file that the user has not named.
    """
    name = name_of(dataset.importer)
    if is_file(dataset.importer) and name not in IMPORTERS.own:
        raise UserError(
            f"{dataset.name}: its importer is a program, {dataset.importer}, which runs only if "
            "you name it: in the experiment or data set that you give"
        )
    return IMPORTERS.modules()[name]


def with_test_set(dataset: DatasetBase, cases: list[RawCase]) -> list[RawCase]:
    """Draw ``test_cases`` of the labeled cases, as the source declares no test set.

    Groups are drawn whole, so there may be a few more.
    """
    labeled = {case.id: case.group or case.id for case in cases if case.labeled}
    if not labeled:
        raise UserError(f"{dataset.name}: none of its {len(cases)} cases has a label")
    if not dataset.test_cases:
        raise UserError(
            f"{dataset.name}: the source declares no test set; set dataset.test_cases, e.g. 0.2"
        )
    count = share(dataset.test_cases, len(labeled))
    test = drawn(labeled, count, "test", dataset.name, dataset.split_seed)
    if len(test) >= len(labeled):
        groups = len(set(labeled.values()))
        in_groups = f", in {groups} groups" if groups < len(labeled) else ""
        raise UserError(
            f"{dataset.name}: test_cases {dataset.test_cases} leaves no labeled training case: "
            f"{len(labeled)} cases have a label{in_groups}"
        )
    units = {labeled[case_id] for case_id in test}
    return [
        replace(case, split="test") if (case.group or case.id) in units else case for case in cases
    ]


def check_groups(dataset: DatasetBase, cases: list[RawCase]) -> None:
    """Raises UserError if a group, such as a slide, has training and test cases."""
    sides = {side: {c.group for c in cases if c.split == side} for side in ("train", "test")}
    both = (sides["train"] & sides["test"]) - {None}
    raise_faults(
        f"{dataset.name}: '{group}' has both training and test cases; put all on one side"
        for group in sorted(map(str, both))
    )
