"""Which training cases are labeled: the same for every method."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ssl_methods.config import (
    Counted,
    Experiment,
    LabeledCases,
    Run,
    TestFold,
    budget_name,
    budget_text,
    digest,
    is_all,
)
from ssl_methods.data.draw import drawn, share, shuffled
from ssl_methods.data.duplicates import same_scans
from ssl_methods.data.folds import fold_of
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError, printable
from ssl_methods.files import read_json, write_json
from ssl_methods.locks import alone


class Split(BaseModel):
    """The ids of one (data set, budget, subset), each list in the order of the manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    budget: int | float
    subset: int
    labeled: list[str]
    unlabeled: list[str]  # may have label files: training never opens them
    validation: list[str]
    test: list[str]

    def write(self, path: Path) -> None:
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Split:
        """Raises UserError naming the file and the key at fault."""
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            fault = error.errors()[0]
            key = printable(".".join(map(str, fault["loc"])), 200)
            raise UserError(f"{path}: {key}: {fault['msg']}; run 'split' again") from None


def split_name(budget: int | float, subset: int) -> str:
    """'labeled-4_subset-0.json'"""
    return f"{budget_name(budget)}_subset-{subset}.json"


def make_split(
    store: Store,
    budget: int | float,
    subset: int,
    validation_cases: int = 0,
    labeled_cases: LabeledCases = "drawn",
    test: TestFold = "listed",
    budgets_count: Counted = "cases",
) -> Split:
    """Choose the labeled cases of one subset from the training cases that have a label.

    ``labeled_cases``: ``partition``: blocks of a random order of the cases, another order when one
    is used up, so that subsets share no case until every case was labeled once, and neighbouring
    blocks of 4 are a block of 8; ``drawn``: anew for each subset; ``first``: of the manifest.
    ``budget`` is a count, or a fraction of the labeled training cases left after validation
    (rounded half up, at least one); 1.0 is all of them. A draw depends on (data set, budget,
    subset), a partition's order on the data set and how often it was used up; the validation cases
    on (data set, split_seed) alone, so that they are the same in all runs. Test cases are those
    with a label. Groups, such as the tiles of a slide, go to validation whole: there may be a few
    more cases, and what has no label there is in no list.

    ``budgets_count``: ``patients``: the budget counts groups, which are drawn in place of cases;
    all labeled cases of a group are labeled then.

    ``test``: ``listed``: the test cases are the manifest's; ``rotated``: they are the subset's fold
    of all labeled cases but those for validation (``folds``), each as large as the manifest's list,
    and all other cases are training cases.

    Raises UserError if the data set has too few labeled cases, no labeled test case, or the same
    scan under two ids on two sides.
    """
    name = store.manifest.dataset
    tested = _labeled(store, store.ids("test"))
    if not tested:
        raise UserError(f"{name}: there is no labeled test case; set dataset.test_cases")
    training = store.ids("train")
    candidates = _labeled(store, training)
    if not candidates:
        raise UserError(f"{name}: none of the {len(training)} training cases has a label")
    units = {case: record.group or case for case, record in store.cases.items()}
    validation = _validation(store, candidates, units, validation_cases)
    candidates = [case for case in candidates if case not in validation]
    held_units, order, turn = {units[case] for case in validation}, None, subset
    if test == "rotated":
        labels = {case: units[case] for case in (*candidates, *tested)}
        tested, order, turn = fold_of(labels, len(tested), subset, name)
        inside = {*training, *order} - {*tested}
        training = [case for case in store.cases if case in inside]
        candidates = [case for case in training if case in {*order}]
        tested = [case for case in store.cases if case in {*tested}]
        held_units |= {units[case] for case in tested}
    owners = units if budgets_count == "patients" else {case: case for case in units}
    pool = [*dict.fromkeys(owners[case] for case in candidates)]
    count = share(budget, len(pool))
    if count > len(pool):
        held_out = f" (after {len(validation)} for validation)" if validation else ""
        raise UserError(
            f"{name}: budget {budget_text(budget)} is larger than the training set: "
            f"there are {len(pool)} labeled training {budgets_count}{held_out}"
        )
    if labeled_cases == "drawn":
        pool = shuffled(pool, "labeled", name, budget_text(budget), subset)
    elif labeled_cases == "partition":
        round_, block = divmod(turn, len(pool) // count)
        if order is None or round_:
            pool = shuffled(pool, "partition", name, round_)
        else:
            pool = [*dict.fromkeys(owners[case] for case in order)]
        pool = pool[block * count :]
    chosen = {*pool[:count]}
    labeled = {case for case in candidates if owners[case] in chosen}
    split = Split(
        dataset=name,
        budget=budget,
        subset=subset,
        labeled=[case for case in training if case in labeled],
        unlabeled=[
            case for case in training if case not in labeled and units[case] not in held_units
        ],
        validation=[case for case in training if case in validation],
        test=tested,
    )
    _check_apart(store, split)
    return split


def split_of(declared: Experiment | Run, store: Store, budget: int | float, subset: int) -> Split:
    """``make_split`` by what an experiment or a run declares."""
    held_out, labeled_cases = declared.validation_cases, declared.labeled_cases
    how = labeled_cases, declared.test, declared.budgets_count
    return make_split(store, budget, subset, held_out, *how)


def _validation(
    store: Store, candidates: list[str], units: Mapping[str, str], count: int
) -> set[str]:
    """The validation cases, by whole units. Raises UserError if nothing is left to train on."""
    name, seed = store.manifest.dataset, store.manifest.settings.get("split_seed")
    if not isinstance(seed, int):
        raise UserError(
            f"{store.folder / 'manifest.json'}: settings.split_seed: is no whole number; "
            "run 'prepare' again"
        )
    validation = drawn({case: units[case] for case in candidates}, count, "validation", name, seed)
    if len(validation) >= len(candidates):
        raise UserError(
            f"{name}: validation_cases {count} leaves nothing to train on: "
            f"there are {len(candidates)} labeled training cases"
        )
    return validation


def _check_apart(store: Store, split: Split) -> None:
    """Raises UserError if one scan is in two of training, validation and test, under two ids."""
    if store.manifest.settings.get("repeated_scans"):
        return
    sides = {case: "test" for case in split.test} | {
        case: "validation" for case in split.validation
    }
    sides |= {case: "training" for case in (*split.labeled, *split.unlabeled)}
    faults = []
    for ids in same_scans(store.cases[case] for case in store.cases if case in sides):
        if len({sides[case] for case in ids}) > 1:
            where = ", ".join(f"'{case}' ({sides[case]})" for case in ids)
            faults.append(
                f"{split.dataset}: cases {where} are the same scan; take away all but one, or put "
                "them on one side"
            )
    if faults:
        raise UserError("\n".join(faults))


def _labeled(store: Store, ids: list[str]) -> list[str]:
    return [case for case in ids if store.cases[case].labeled]


def check_budgets(store: Store, experiment: Experiment) -> None:
    """Raises UserError if the data cannot give a budget, or if two budgets mean equally many cases.

    Such two would be trained twice, and shown as two rows.
    """
    of_count: dict[int, int | float] = {}
    for budget in experiment.budgets:
        split = split_of(experiment, store, budget, 0)
        count = len(split.labeled)
        if count in of_count:
            both = " and ".join(
                "all" if is_all(it) else budget_text(it) for it in (of_count[count], budget)
            )
            raise UserError(
                f"{experiment.name}: budgets {both} both mean {count} labeled cases of "
                f"{store.manifest.dataset}; keep one of them"
            )
        of_count[count] = budget


def write_splits(
    experiment: Experiment,
    store: Store,
    results: Path,
    budget: int | float | None = None,
    subset: int | None = None,
) -> list[Path]:
    """Write the splits of an experiment, or of one budget or subset of it; returns their files.

    Waits while another process writes there. Raises UserError if any budget of the experiment
    cannot be drawn, which stops all before any training.
    """
    check_budgets(store, experiment)
    folder, written = results / experiment.name / "splits", []
    with alone(folder):
        for one in experiment.budgets if budget is None else [budget]:
            for number in experiment.subsets if subset is None else [subset]:
                written.append(folder / split_name(one, number))
                split_of(experiment, store, one, number).write(written[-1])
    return written


def check_prepared(experiment: Experiment, results: Path) -> None:
    """``check_budgets``, if the data are prepared."""
    folder = store_folder(experiment.dataset, results)
    if (folder / "manifest.json").is_file():
        check_budgets(Store.open(folder), experiment)


def load_split(run: Run, store: Store, results: Path) -> Split:
    """The split of a run, drawn from its store.

    Raises UserError if 'split' has written another one earlier, e.g. before cases were added.
    """
    split = split_of(run, store, run.budget, run.subset)
    path = results / run.experiment / "splits" / split_name(run.budget, run.subset)
    if path.exists() and Split.read(path) != split:
        raise UserError(f"{path}: is of other data or settings than this run; run 'split' again")
    return split


def labeled_count(run: Run, store: Store) -> int:
    """How many cases the run's budget labels; of a bound too, which is given every label."""
    split = split_of(run, store, run.budget, run.subset)
    return len(split.labeled)


def with_every_label(split: Split, store: Store) -> Split:
    """The same split with every training label given: for upper bounds."""
    more = [id for id in split.unlabeled if store.cases[id].labeled]
    rest = [id for id in split.unlabeled if not store.cases[id].labeled]
    return split.model_copy(update={"labeled": [*split.labeled, *more], "unlabeled": rest})


def training_checksum(store: Store, split: Split) -> str:
    """One digest of the prepared cases that training reads, and of which of them are labeled."""
    images = {id: store.cases[id].image_sha256 for id in (*split.labeled, *split.unlabeled)}
    labels = {id: store.cases[id].label_sha256 for id in split.labeled}
    return digest([split.labeled, split.unlabeled, images, labels])


def measuring_checksum(store: Store, split: Split) -> str:
    """One digest of the prepared cases that a run is measured on, images and labels."""
    cases = [store.cases[id] for id in (*split.test, *split.validation)]
    return digest([[case.id, case.image_sha256, case.label_sha256] for case in cases])
