"""Trials shared out: how many, in which order, and what happens to those that end badly."""

from __future__ import annotations

import csv
import re
import threading
from pathlib import Path

import pytest
from support.studies import TINY, declare

from ssl_methods.analysis.table_files import read_table
from ssl_methods.config import load_experiment
from ssl_methods.errors import UserError
from ssl_methods.files import write_text
from ssl_methods.tuning import answers, worker
from ssl_methods.tuning.answers import answer, importances, trial_rows
from ssl_methods.tuning.queue import SLOT, make_sampler, suggest
from ssl_methods.tuning.worker import lay_out, open_study, work


def rows(study, results: Path, row: str = "dtc"):
    return trial_rows(study, open_study(study, results)[row])


def test_as_many_trials_as_declared_and_the_first_is_the_papers(known, tmp_path):
    study = declare()
    assert work(study, tmp_path) == 5
    found = rows(study, tmp_path)
    assert list(found["trial"]) == [0, 1, 2, 3, 4]
    assert set(found["state"]) <= {"complete", "pruned"}
    assert (found.loc[0, "k"], found.loc[0, "weight"]) == (1500.0, 1.0)
    assert list(found["default"]) == [True, *[False] * 4]
    assert found.loc[0, "validation_dice"] == pytest.approx(0.8 - 0.05 * 1.4771212547**2)


def test_the_same_command_resumes_and_more_trials_extend(known, tmp_path):
    work(declare(), tmp_path)
    assert work(declare(), tmp_path) == 0
    assert work(declare(trials=8), tmp_path) == 3
    assert len(rows(declare(trials=8), tmp_path)) == 8


def test_one_worker_is_deterministic_also_when_extended(known, tmp_path):
    work(declare(trials=14), tmp_path / "at once")
    work(declare(trials=6), tmp_path / "in parts")
    work(declare(trials=14), tmp_path / "in parts")
    one, other = (rows(declare(trials=14), tmp_path / name) for name in ("at once", "in parts"))
    columns = ["trial", "state", "k", "weight", "validation_dice"]
    assert one[columns].equals(other[columns])
    assert one["k"].nunique() == 14
    another_seed = declare(trials=14, seed=1)
    work(another_seed, tmp_path / "another")
    assert not one["k"].equals(rows(another_seed, tmp_path / "another")["k"])


def test_a_trial_lost_between_two_suggestions_is_drawn_as_it_would_have_been(known, tmp_path):
    work(declare(), tmp_path / "undisturbed")
    queue = open_study(declare(), tmp_path / "lost")["dtc"]
    queue.refill()
    taken = queue.take(queue.waiting()[1])
    queue.study.sampler = make_sampler(declare(), "dtc/1")
    suggest(taken.trial, "k", queue.space["k"])
    taken.lock.close()  # as when its worker dies
    work(declare(), tmp_path / "lost")
    one, other = (rows(declare(), tmp_path / name) for name in ("undisturbed", "lost"))
    columns = ["trial", "state", "k", "weight", "validation_dice"]
    assert list(other["attempts"]) == [1, 2, 1, 1, 1]
    assert one[columns].equals(other[columns])


def test_every_method_gets_as_many_trials_and_they_go_forward_alike(known, tmp_path):
    search = {"search": ["k", "weight"]}
    study = declare(methods={"dtc": search, "other": {"method": "dtc", **search}}, trials=3)
    work(study, tmp_path)
    assert [row for row, _ in known] == ["dtc", "other"] * 3


def test_workers_share_and_none_is_counted_twice(known, tmp_path):
    study = declare(trials=12, workers=3, pruner="none")
    lay_out(study, tmp_path)
    done: list[int] = []
    workers = [
        threading.Thread(target=lambda: done.append(work(study, tmp_path))) for _ in range(3)
    ]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert sum(done) == 12 == len(known)
    assert list(rows(study, tmp_path)["state"]) == ["complete"] * 12


def test_a_failed_trial_keeps_its_reason_counts_and_stops_nothing(known, tmp_path, monkeypatch):
    usual = worker.run_setting

    def sometimes(study, row, settings, *rest):
        if len(known) == 2:
            known.append((row, settings))
            raise worker.TrainingDiverged("loss term 'dice' became nan at iteration 3")
        return usual(study, row, settings, *rest)

    monkeypatch.setattr(worker, "run_setting", sometimes)
    assert work(declare(), tmp_path) == 5
    assert work(declare(), tmp_path) == 0
    found = rows(declare(), tmp_path)
    assert list(found["state"] == "failed") == [False, False, True, False, False]
    assert found.loc[2, "reason"] == "loss term 'dice' became nan at iteration 3"
    assert found.loc[2, ["k", "weight"]].notna().all()


def test_what_is_not_the_settings_fault_stops_the_worker_and_is_retried(
    known, tmp_path, monkeypatch
):
    def no_data(*_):
        raise UserError("data/x.h5: cannot be read")

    with monkeypatch.context() as broken:
        broken.setattr(worker, "run_setting", no_data)
        with pytest.raises(UserError, match="cannot be read"):
            work(declare(), tmp_path)
    assert work(declare(), tmp_path) == 5
    found = rows(declare(), tmp_path)
    assert list(found["trial"]) == [0, 1, 2, 3, 4]
    assert found.loc[0, "attempts"] == 2


def test_nothing_is_pruned_before_the_ramp_nor_is_the_default(tmp_path, monkeypatch):
    looked: dict[int, list[int]] = {}

    def falling(study, row, settings, seeds, folder, results, look, keep):
        slot = int(folder.name)  # the later, the worse: the median stops all but the first ones
        for step in (2, 5, 8, 10, 12, 18, 20):  # iterations over two runs of ten
            looked.setdefault(slot, []).append(step)
            look(step, 1.0 / (1 + slot))
        return {(100, 0): 1.0 / (1 + slot)}

    monkeypatch.setattr(worker, "run_setting", falling)
    study = declare(trials=9, seeds=[0, 1])
    work(study, tmp_path)
    found = rows(study, tmp_path)
    stopped = list(found.loc[found["state"] == "pruned", "trial"])
    assert stopped == [5, 6, 7, 8]  # the first five are what the median is taken of
    assert all(looked[slot][-1] == 8 for slot in stopped)  # 0.8 of the run's ten
    assert found["validation_dice"].isna().sum() == 4


@pytest.mark.parametrize("sampler", ["gp", "random"])
def test_other_samplers(known, tmp_path, sampler):
    study = declare(trials=11, sampler=sampler, pruner="none")
    work(study, tmp_path)
    assert rows(study, tmp_path)["k"].nunique() == 11


def test_other_settings_in_the_storage_are_named(known, tmp_path):
    work(declare(), tmp_path)
    with pytest.raises(UserError, match="has trials of other settings"):
        work(declare(validation_cases=3), tmp_path)


def test_a_torn_line_of_the_journal_is_cut_off(known, tmp_path):
    work(declare(trials=2), tmp_path)
    journal = tmp_path / "tiny/tuning/s/journal.log"
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"wor')
    assert work(declare(trials=4), tmp_path) == 2
    assert len(rows(declare(trials=4), tmp_path)) == 4


def test_answers(known, tmp_path):
    study = declare(trials=9, pruner="none")
    work(study, tmp_path)
    folder = answer(study, tmp_path)
    trials = read_table(folder / "trials.csv")
    best = trials.loc[trials["validation_dice"].idxmax()]
    text = (folder / "best.yaml").read_text()
    declared = load_experiment(
        TINY | {"methods": {"dtc": None, "dtc_tuned": str(folder / "best.yaml")}, "baseline": "dtc"}
    )
    settings = declared.methods["dtc_tuned"].settings
    assert settings["k"] == pytest.approx(best["k"], rel=1e-5)
    assert f"trial {best['trial']}, validation Dice {best['validation_dice']:.4f}" in text
    shares = read_table(folder / "importances.csv")
    assert set(shares["setting"]) == {"k", "weight"}
    assert shares["importance"].sum() == pytest.approx(1)
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn >= {"history", "map_dtc", "slices_dtc", "importances"}


def test_a_grid_is_every_combination(known, tmp_path):
    grid = {"k": [5, 50, 1500], "weight": [0.1, 1.0]}
    study = declare(methods=["dtc"], grid=grid, subsets=[100, 101], seeds=[0, 1])
    work(study, tmp_path)
    folder = answer(study, tmp_path)
    trials, runs = read_table(folder / "trials.csv"), read_table(folder / "runs.csv")
    assert len(trials) == 6
    assert len(runs) == 6 * 4
    assert list(trials.loc[trials["default"], ["k", "weight"]].iloc[0]) == [1500, 1.0]
    with (folder / "variance.csv").open() as file:
        shares = {row["source"]: float(row["share"]) for row in csv.DictReader(file)}
    assert shares["k"] + shares["weight"] == pytest.approx(1)  # no noise, no effect of the runs
    assert shares["k"] > shares["weight"]


def test_slots_are_numbered_in_the_storage(known, tmp_path):
    study = declare(trials=3)
    lay_out(study, tmp_path)
    queue = open_study(study, tmp_path)["dtc"]
    assert [trial.user_attrs[SLOT] for trial in queue.waiting()] == [0, 1, 2]


# ---- answers of a study that was changed ---------------------------------------------------------


@pytest.fixture
def measured(known, monkeypatch):
    """As ``known``, with the cases of each run, as they are kept of fresh seeds; no figures."""
    usual = worker.run_setting
    monkeypatch.setattr(answers, "draw", lambda *_: [])

    def dice(study, row, settings, seeds, folder, *rest):
        found = usual(study, row, settings, seeds, folder, *rest)
        for (subset, seed), value in found.items():
            path = folder / f"subset-{subset}" / f"seed-{seed}" / "cases.csv"
            write_text(path, f"case,dice\na,{value}\nb,{value / 2}\n")
        return found

    monkeypatch.setattr(worker, "run_setting", dice)


def test_what_is_no_longer_declared_is_in_no_answer(measured, tmp_path):
    first = {"pruner": "none", "fresh_seeds": [1000, 1001]}
    work(declare(trials=8, **first), tmp_path)
    before = answer(declare(trials=8, **first), tmp_path)
    best = int(read_table(before / "tuned.csv")["trial"].iloc[0])
    fewer = declare(trials=best, **first) if best else declare(trials=1, **first)
    assert best > 0 and work(fewer, tmp_path) <= 2  # default and best with fresh seeds
    folder = answer(fewer, tmp_path)
    declared = set(range(fewer.slots))
    assert set(read_table(folder / "trials.csv")["trial"]) == declared
    assert set(read_table(folder / "runs.csv")["trial"]) == declared
    assert set(read_table(folder / "tuned.csv")["trial"]) <= declared
    said = re.search(r"# dtc: trial (\d+)", (folder / "best.yaml").read_text())
    assert int(said[1]) in declared
    assert work(declare(trials=8, **first), tmp_path) == 0  # they are kept
    again = answer(declare(trials=8, **first), tmp_path)
    assert int(read_table(again / "tuned.csv")["trial"].iloc[0]) == best


def test_other_fresh_seeds_are_trained_and_told_alone(measured, tmp_path):
    def tuned(*seeds):
        study = declare(trials=6, pruner="none", fresh_seeds=list(seeds))
        ran = work(study, tmp_path)
        return ran, read_table(answer(study, tmp_path) / "tuned.csv")["runs"].iloc[0]

    assert tuned(1000) == (6 + 2, 1)
    assert tuned(1000, 1001, 1002) == (2, 3)
    assert tuned(1000) == (0, 1)


@pytest.mark.parametrize(
    "value", [lambda settings: 0.5, lambda settings: 0.5 if settings["k"] == 1500 else None]
)
def test_importances_of_nothing_are_missing(value, known, tmp_path, monkeypatch):
    def some(study, row, settings, *rest):
        if (dice := value(settings)) is None:
            raise worker.TrainingDiverged("nan")
        return {(100, 0): dice}

    monkeypatch.setattr(worker, "run_setting", some)
    study = declare(trials=7, pruner="none")
    work(study, tmp_path)
    assert importances(open_study(study, tmp_path)).empty


@pytest.mark.parametrize("completed", [3, 4])
def test_importances_of_fewer_than_four_trials_are_missing(completed, known, tmp_path):
    study = declare(trials=completed, pruner="none")
    work(study, tmp_path)
    assert len(importances(open_study(study, tmp_path))) == (2 if completed == 4 else 0)


def test_a_setting_that_was_not_varied_has_no_importance(known, tmp_path):
    search = {"k": None, "weight": None, "ramp": ["choice", "gaussian", "constant"]}
    study = declare(methods={"dtc": {"search": search}}, trials=6, pruner="none", sampler="random")
    work(study, tmp_path)
    trials = open_study(study, tmp_path)["dtc"].trials()
    varied = {name for name in search if len({trial.params[name] for trial in trials}) > 1}
    assert set(importances(open_study(study, tmp_path))["setting"]) == varied


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sampler": "random"}, r"\(sampler: tpe, now random\)"),
        ({"pruner": "none"}, r"\(pruner: median, now none\)"),
        ({"seed": 7}, r"\(seed: 0, now 7\)"),
        ({"prune_after": 0.9}, "has trials of (another search|other settings)"),
        ({"seeds": [5]}, "has trials of other settings"),
    ],
)
def test_another_search_in_the_storage_is_named(changes, said, known, tmp_path):
    lay_out(declare(), tmp_path)
    journal = tmp_path / "tiny/tuning/s/journal.log"
    before = len(journal.read_bytes().splitlines())
    with pytest.raises(UserError, match=said):
        work(declare(**changes), tmp_path)
    assert len(journal.read_bytes().splitlines()) <= before + 1  # Optuna notes that it was opened
    assert work(declare(), tmp_path) == 5


def test_workers_and_description_are_no_other_study(known, tmp_path):
    work(declare(), tmp_path)
    assert work(declare(workers=3, description="text"), tmp_path) == 0
