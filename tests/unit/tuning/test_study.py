"""What a study may say, and what it takes from its experiment and its methods."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from support.studies import TINY, declare

from ssl_methods import methods
from ssl_methods.analysis.names import label
from ssl_methods.config import load_experiment, read_yaml
from ssl_methods.errors import UserError
from ssl_methods.reporting.looks import looks
from ssl_methods.tuning.space import defaults, search_space
from ssl_methods.tuning.study import load_studies

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "configs/studies").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_declared_study_can_be_searched(path: Path):
    (study,) = load_studies(path)
    for row in study.methods:
        assert search_space(study, row)
    experiment = load_experiment(ROOT / f"configs/experiments/{read_yaml(path)['experiment']}.yaml")
    assert not set(study.subsets) & set(experiment.subsets)
    assert study.training.patch_size == experiment.training.patch_size
    assert study.network == experiment.network


def test_the_left_atrium_study_keeps_off_the_subsets_that_are_reported_or_were_used():
    (study,) = load_studies(ROOT / "configs/studies/left_atrium_small.yaml")
    assert not set(study.subsets) & {0, 1, 2, 7}
    assert set(study.methods) >= {"dtc", "mean_teacher"}
    assert study.trials >= 40


def test_default_ranges_are_those_of_the_method():
    space = search_space(declare(methods=["dtc"]), "dtc")
    assert space["k"] == FloatDistribution(1.0, 5000.0, log=True)
    assert space["weight"] == FloatDistribution(0.01, 10.0, log=True)
    assert set(space) == {"k", "weight", "beta", "ramp_fraction", "dice_weight"}
    assert "decay" in search_space(declare(methods=["mean_teacher"]), "mean_teacher")
    assert search_space(declare(methods=["supervised"]), "supervised")


@pytest.mark.parametrize("name", methods.names())
def test_every_method_starts_within_its_ranges(name: str):
    study = declare(methods=[name])
    if methods.method_class(name).role == "control":
        with pytest.raises(UserError, match="nothing to tune"):
            search_space(study, name)
        return
    space, default = search_space(study, name), defaults(study, name)
    for setting, range_ in space.items():
        assert range_.low <= default[setting] <= range_.high, setting


def test_ranges_of_the_study_go_first():
    search = {"k": ["log", 10, 2000], "ramp": ["choice", "gaussian", "constant"], "weight": None}
    space = search_space(declare(methods={"dtc": {"search": search}}), "dtc")
    assert space == {
        "k": FloatDistribution(10.0, 2000.0, log=True),
        "ramp": CategoricalDistribution(["gaussian", "constant"]),
        "weight": FloatDistribution(0.01, 10.0, log=True),
    }
    urpc = {"urpc": {"search": {"scales": ["int", 2, 4]}}}
    assert search_space(declare(methods=urpc), "urpc") == {"scales": IntDistribution(2, 4)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subsets": [0]}, "subset 0 with seed 0 is reported by the experiment 'tiny'"),
        ({"storage": "sqlite:///x.db", "workers": 2}, "SQLite is not for parallel workers"),
        ({"storage": "mysql://x"}, "storage must be"),
        ({"seeds": [3], "fresh_seeds": [3]}, "fresh_seeds must not be among seeds"),
        ({"trails": 3}, "trails: unknown key; did you mean 'trials'"),
        ({"methods": {"dtc": {"search": {"k": ["log", 0, 1]}}}}, "log needs numbers above 0"),
        ({"methods": {"dtc": {"search": {"k": ["uniform", 0, 1]}}}}, "a range begins with"),
        ({"methods": {"dtc": {"search": ["k"]}}, "grid": {"k": [1, 2]}}, "replaces the search"),
        ({"grid": {"k": [1]}, "methods": ["dtc"]}, "at least two values"),
        ({"validation_cases": 0}, "validation_cases"),
    ],
)
def test_what_a_study_must_not_say(changes: dict, message: str):
    with pytest.raises(UserError, match=message):
        declare(**changes)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"search": ["kk"]}, "there is no setting 'kk'; did you mean 'k'"),
        ({"search": ["ce_weight"]}, "'ce_weight' has no range of its own"),
        ({"search": {"k": ["log", 1, 100]}}, "the default of 'k', 1500.0, lies outside"),
        ({"search": {}}, "no setting to search"),
    ],
)
def test_what_a_search_must_not_say(method: dict, message: str):
    with pytest.raises(UserError, match=message):
        search_space(declare(methods={"dtc": method}), "dtc")


def test_a_study_that_an_experiment_names_is_of_that_experiment():
    (study,) = load_studies(TINY | {"studies": ["phantom"]})
    assert study.folder == Path("tiny/tuning/phantom")
    assert study.network.width == TINY["network"]["width"]
    assert study.training.iterations == 60  # the study's
    assert study.training.patch_size == (16, 16, 16)  # the experiment's
    with pytest.raises(UserError, match="there is no 'phantoms'; did you mean 'phantom'"):
        load_studies(TINY | {"studies": ["phantoms"]})


def test_the_best_settings_are_a_row_of_an_experiment(tmp_path: Path):
    path = tmp_path / "best.yaml"
    path.write_text("dtc_tuned: {method: dtc, recipe: unified, k: 40.0, weight: 0.5}\n")
    declared = load_experiment(
        TINY | {"methods": {"dtc": None, "dtc_tuned": str(path)}, "baseline": "dtc"}
    )
    row = declared.methods["dtc_tuned"]
    assert (row.method, row.settings) == ("dtc", {"k": 40.0, "weight": 0.5})


def test_a_tuned_row_is_shown_beside_what_was_tuned():
    shown = looks(["dtc", "dtc_tuned", "own_tuned"])
    assert shown["dtc_tuned"].colour == shown["dtc"].colour
    assert shown["dtc_tuned"].marker != shown["dtc"].marker
    assert list(shown) == ["dtc", "dtc_tuned", "own_tuned"]
    assert [label(row) for row in shown] == ["DTC", "DTC (tuned)", "own (tuned)"]


def test_trials_do_not_share_runs_with_the_experiment():
    study = declare(subsets=[0], seeds=[5])
    run = study.run("dtc", {"k": 10.0}, 0, 5)
    assert run.choice.settings == {"k": 10.0}
    assert run.experiment != "tiny"  # whose splits hold out no validation case
    assert run.validation_cases == 2
    assert run.training.validate_every == 8  # 0.8 of 10
