"""Which labeled subsets are compared where there are two phases, chosen by the baseline's level.

The baseline is trained on many subsets; the other rows on some of them that spread evenly over the
baseline's level there, so that no method is judged on subsets that happened to be easy or hard
(stratification of the second phase: Neyman, JASA 1938). The level is read from labeled training
cases outside the subset: no test case steers the design.

Where looks are declared, only so many subsets are compared as the next look asks for, and no more
once a look has decided every comparison.

In: ``level.json`` of the baseline's runs, by `evaluate`, and what `look` wrote. Out, by `choose`:
``splits/labeled-<budget>_compared.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ssl_methods.config import Experiment, Run, budget_name, budget_text, digest
from ssl_methods.data.draw import shuffled
from ssl_methods.data.splits import Split
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError, printable
from ssl_methods.files import read_json, write_json

LEVEL = "level.json"


class Compared(BaseModel):
    """The subsets that are compared at one budget, in the order in which looks take them.

    ``levels``: of the baseline on every subset of the first phase, a mean Dice. ``rests_on``: the
    settings and measurements from which they were chosen, as a digest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget: int | float
    subsets: list[int]
    levels: dict[int, float]
    rests_on: str


def compared_name(budget: int | float) -> str:
    """'labeled-4_compared.json'"""
    return f"{budget_name(budget)}_compared.json"


def compared_file(experiment: Experiment, budget: int | float, results: Path) -> Path:
    """Where the choice at a budget is written."""
    return results / experiment.name / "splits" / compared_name(budget)


def has_choice(experiment: Experiment, budget: int | float) -> bool:
    """Whether subsets are chosen at this budget: two phases are declared."""
    phases = experiment.phases.get(budget_text(budget))
    return phases is not None and phases.compared is not None


def read_compared(experiment: Experiment, results: Path) -> dict[str, Compared]:
    """The choices that are made, by the text of their budget.

    Raises UserError if a file of one is damaged or of another declaration.
    """
    found = {}
    for budget in experiment.budgets:
        path = compared_file(experiment, budget, results)
        if not has_choice(experiment, budget) or not path.is_file():
            continue
        try:
            choice = Compared.model_validate(read_json(path))
        except ValidationError as error:
            fault = error.errors()[0]
            key = printable(".".join(map(str, fault["loc"])), 200)
            raise UserError(f"{path}: {key}: {fault['msg']}; run 'choose' again") from None
        phases = experiment.phases[budget_text(budget)]
        if len(choice.subsets) != phases.compared or len(choice.levels) != phases.baseline:
            raise UserError(
                f"{path}: is of another declaration of subsets ({len(choice.subsets)} of "
                f"{len(choice.levels)}); run 'choose' again"
            )
        found[budget_text(budget)] = choice
    return found


def compared_now(experiment: Experiment, results: Path) -> dict[str, list[int]]:
    """The subsets that are compared by now, by budget, as ``Experiment.runs`` takes them."""
    choices, found = read_compared(experiment, results), {}
    for budget in experiment.budgets:
        text = budget_text(budget)
        if has_choice(experiment, budget):
            if text not in choices:
                continue
            order = choices[text].subsets
        elif len(experiment.budget_looks(budget)) > 1:
            phases = experiment.phases.get(text)
            order = [*experiment.subsets][: None if phases is None else phases.baseline]
        else:
            continue
        found[text] = order[: next_look(experiment, budget, results)]
    return found


def runs_of(experiment: Experiment, results: Path) -> list[Run]:
    """The runs that are asked for by now: those of a choice or a look to come are not."""
    return [*experiment.runs(compared_now(experiment, results))]


# ---- looks ---------------------------------------------------------------------------------------


def look_file(experiment: Experiment, budget: int | float, subsets: int, results: Path) -> Path:
    """Where `look` writes what it found at a budget on so many subsets."""
    name = f"{budget_name(budget)}_subsets-{subsets}.json"
    return results / experiment.name / "looks" / name


def is_decided(path: Path) -> bool:
    """Whether a look decided every comparison. Raises UserError if its file is damaged."""
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("decided"), bool):
        raise UserError(f"{path}: is no record of a look; delete it, and look again")
    return bool(content["decided"])


def next_look(experiment: Experiment, budget: int | float, results: Path) -> int:
    """The number of subsets of the look that is ahead, of the one that decided, or of the last."""
    for subsets in experiment.budget_looks(budget):
        path = look_file(experiment, budget, subsets, results)
        if not path.is_file() or is_decided(path):
            break
    return subsets


def runs_of_look(
    experiment: Experiment, budget: int | float, subsets: int, results: Path
) -> list[Run]:
    """The runs that a look needs: those of rows with ``subsets`` of their own are none of them.

    Raises UserError if the compared subsets are still to be chosen.
    """
    text, choices = budget_text(budget), read_compared(experiment, results)
    phases = experiment.phases.get(text)
    order = [*experiment.subsets][: None if phases is None else phases.baseline]
    if phases is not None and phases.compared is not None:
        if text not in choices:
            raise UserError(
                f"{experiment.name}: the compared subsets of {text} labels are not chosen yet; "
                "run 'choose' first"
            )
        order = choices[text].subsets
    looked_at = set(order[:subsets])
    return [
        run
        for run in experiment.runs({text: order[:subsets]})
        if run.budget == budget
        and run.subset in looked_at
        and experiment.looks_of(run.name, budget) == experiment.budget_looks(budget)
    ]


# ---- the level of the baseline -------------------------------------------------------------------


def level_ids(store: Store, split: Split, count: int) -> list[str]:
    """Labeled training cases from which a subset's level is read: of ``count``, those outside it.

    The ``count`` are the same for every subset with the same test cases; validation cases are none
    of them.
    """
    labeled = [case for case in (*split.labeled, *split.unlabeled) if store.cases[case].labeled]
    common = shuffled(labeled, "level", split.dataset)[:count]
    return [case for case in common if case not in set(split.labeled)]


def write_level(path: Path, dice: Mapping[str, float]) -> None:
    """``level.json``: case -> mean Dice of its classes."""
    write_json(path, dict(dice))


def read_level(path: Path) -> dict[str, float]:
    """Case -> Dice. Raises UserError if the file is absent or damaged."""
    found = read_json(path)
    if (
        not isinstance(found, dict)
        or not found
        or not all(isinstance(it, float | int) and 0 <= it <= 1 for it in found.values())
    ):
        raise UserError(f"{path}: holds no Dice of cases; run 'evaluate' again")
    return {case: float(dice) for case, dice in found.items()}


def levels(of_subsets: Mapping[int, Iterable[Mapping[str, float]]]) -> dict[int, float]:
    """Each subset's level: its mean Dice over cases and seeds, as if all had the same cases.

    A subset lacks the cases that it labels itself; what these would change is taken away: each
    value is set beside its case's mean over the subsets that have it.
    """
    values = [
        (subset, case, dice)
        for subset, seeds in of_subsets.items()
        for run in seeds
        for case, dice in run.items()
    ]
    by_case: dict[str, list[float]] = {}
    for _, case, dice in values:
        by_case.setdefault(case, []).append(dice)
    means = {case: float(np.mean(dice)) for case, dice in by_case.items()}
    overall = float(np.mean([*means.values()]))
    return {
        subset: overall + float(np.mean([d - means[c] for s, c, d in values if s == subset]))
        for subset in of_subsets
    }


# ---- the choice ----------------------------------------------------------------------------------


def choose(experiment: Experiment, budget: int | float, results: Path) -> Path:
    """Choose the compared subsets of a budget by the baseline's levels; returns the file written.

    Raises UserError if the budget has no two phases, or a run of the baseline has no level yet.
    """
    if not has_choice(experiment, budget):
        raise UserError(
            f"{experiment.name}: subsets of {budget_text(budget)} labels declare no second phase "
            "(compared): nothing is to be chosen"
        )
    phases = experiment.phases[budget_text(budget)]
    assert phases.compared is not None
    of_subsets: dict[int, list[dict[str, float]]] = {}
    for run in experiment.runs():
        if run.name == experiment.baseline and run.budget == budget:
            path = results / run.folder / LEVEL
            if not path.is_file():
                raise UserError(f"{path}: is not there; evaluate the baseline's runs first")
            of_subsets.setdefault(run.subset, []).append(read_level(path))
    known = levels(of_subsets)
    looks = [look for look in experiment.looks if look < phases.compared]
    choice = Compared(
        budget=budget,
        subsets=stratified_order(known, [*looks, phases.compared]),
        levels=known,
        rests_on=rests_on(experiment, budget),
    )
    path = compared_file(experiment, budget, results)
    write_json(path, choice.model_dump(mode="json"))
    return path


def rests_on(experiment: Experiment, budget: int | float) -> str:
    """A digest of the settings that a choice depends on."""
    phases = experiment.phases[budget_text(budget)].model_dump(mode="json")
    return digest([phases, experiment.looks, experiment.baseline, experiment.seeds])


def stratified_order(levels: Mapping[int, float], looks: Sequence[int]) -> list[int]:
    """The subsets to compare, in an order of which those up to each look spread evenly.

    Subsets are sorted by the baseline's level and cut into as many strata as the first look has
    subsets; one of each comes first. Later looks add one of each of theirs, from the strata that
    have the fewest so far. Deterministic: within a stratum the middle one is taken.

    Args:
        levels: subset -> level of the baseline, in any unit.
        looks: rising numbers of compared subsets, the last at most ``len(levels)``.
    """
    ranked = sorted(levels, key=lambda subset: (levels[subset], subset))
    taken: list[int] = []
    for look in looks:
        strata = [list(part) for part in np.array_split(np.array(ranked), look)]
        counts = [sum(subset in taken for subset in stratum) for stratum in strata]
        for place in sorted(range(look), key=lambda it: (counts[it], it)):
            free = [int(subset) for subset in strata[place] if subset not in taken]
            if len(taken) < look and free:
                taken.append(free[(len(free) - 1) // 2])
        left = [subset for subset in ranked if subset not in taken]
        while len(taken) < look:
            taken.append(left.pop(len(left) // 2))
    return taken
