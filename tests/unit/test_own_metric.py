"""A metric in one file of the user's own: measured as the built-in ones are, wherever they are."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.tiny import TINY

from ssl_methods import measures, provenance, rests_on
from ssl_methods.analysis.measurements import COUNTS, RUN_COLUMNS
from ssl_methods.analysis.questions.summary import Summary
from ssl_methods.analysis.run_files import COST_COLUMNS
from ssl_methods.analysis.statistics import SUMMARY_PARTS
from ssl_methods.cli import main
from ssl_methods.config import EvaluationConfig, load_experiment
from ssl_methods.config.reading import parse_run
from ssl_methods.errors import UserError
from ssl_methods.evaluation.metrics import case_metrics
from ssl_methods.evaluation.own_metrics import measured
from ssl_methods.grid import check_metrics
from ssl_methods.measures import METRICS, base
from ssl_methods.tuning.study import load_studies

PAGE = (Path(__file__).parents[2] / "docs/how-to/add-a-metric.md").read_text()
(SURFACE_DICE,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
RECALL = """from ssl_methods.measures import Measure, Metric
class Recall(Metric):
    measure = Measure("Recall", "%", scale=100, higher_is_better=True, range=(0, 1))
    def value(self, prediction, reference, spacing):
        return (prediction & reference).sum() / reference.sum()
"""


@pytest.fixture(autouse=True)
def no_metric_of_ones_own(monkeypatch):
    monkeypatch.setattr(METRICS, "own", {})


@pytest.fixture
def own(tmp_path):
    """Writes a metric's file and returns it as an experiment names it."""

    def write(text=RECALL, name="recall"):
        (tmp_path / f"{name}.py").write_text(text)
        return str(tmp_path / f"{name}.py")

    return write


def experiment(*metrics, **changes):
    return load_experiment(TINY | {"evaluation": {"metrics": list(metrics)}} | changes)


def named(*metrics):
    return measures.named(experiment(*metrics).evaluation.metrics, "here")


def masks():
    """Prediction and reference of 75 and 125 voxels, the first within the second."""
    prediction, reference = np.zeros((2, 9, 9, 9), bool)
    reference[2:7, 2:7, 2:7] = prediction[4:7, 2:7, 2:7] = True
    return prediction, reference


def test_the_page_s_metric_is_the_surface_dice_at_its_tolerance(own):
    assert len([line for line in SURFACE_DICE.splitlines() if line]) <= 15
    both, spacing = masks(), (1.6, 1.5, 0.7)
    found = measured(named(own(SURFACE_DICE, "near")), *both, spacing, "here")
    assert 0.1 < found["near"] < 0.9
    assert found["near"] == case_metrics(*both, spacing, 2.0)["nsd_2mm"]


@pytest.mark.parametrize("empty, value", [((0,), 0.0), ((1,), 0.0), ((0, 1), 1.0)])
def test_of_empty_masks_its_range_says_the_value(own, empty, value):
    both = masks()
    for which in empty:
        both[which][:] = False
    assert measured(named(own()), *both, (1, 1, 1), "here") == {"recall": value}


@pytest.mark.parametrize(
    "computes, said",
    [
        ("1 / 0", "bad.py, line 5: case 'a', class 'left': ZeroDivisionError: division by zero"),
        ("float('nan')", "bad.py: case 'a', class 'left': its value is nan, not within 0..1"),
        ("1.5", "bad.py: case 'a', class 'left': its value is 1.5, not within 0..1"),
        ("-math.inf", "NameError: name 'math' is not defined"),
        ("None", "TypeError"),
        ("prediction.__setitem__(0, True)", "ValueError: assignment destination is read-only"),
    ],
)
def test_what_is_no_value_is_one_line_with_file_case_and_class(own, computes, said):
    file = own(re.sub(r"return .*", f"return {computes}", RECALL), "bad")
    with pytest.raises(UserError) as refused:
        measured(named(file), *masks(), (1, 1, 1), "case 'a', class 'left'")
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("1 / 0\n", "ZeroDivisionError"),
        ("", "must define one subclass of Metric"),
        (re.sub("    measure = .*\n", "", RECALL), "must set measure = Measure"),
        (RECALL.replace(", range=(0, 1)", ""), "no end.*range=\\(0, 1\\)"),
        (RECALL.replace('"Recall"', '"Dice"'), "is headed 'Dice %', as 'dice' is"),
    ],
)
def test_what_is_no_metric_is_said_when_it_is_planned(own, text, message):
    with pytest.raises(UserError, match=message):
        check_metrics(experiment(own(text)))


@pytest.mark.parametrize(
    "name", ["dice", "nsd_3mm", "method", "recall_low", "dice_other", "Recall", "my-recall", "2d"]
)
def test_a_name_that_is_no_column_of_its_own_is_refused(own, name):
    with pytest.raises(UserError, match=rf"evaluation\.metrics.*'{name}' is"):
        experiment(own(name=name))
    assert main(["metrics", "a.npy", "b.npy", "--metric", own(name=name)]) == 2


def test_the_names_that_are_taken_are_the_columns_of_the_tables():
    of_cases = {*RUN_COLUMNS, "case", "class", "patient", "failure"}
    of_cases |= {"empty_prediction", "empty_reference"}
    of_runs = {*RUN_COLUMNS, *COUNTS, *COST_COLUMNS, "jensen_ok", "status"}
    of_summary = {name for name in Summary.columns if not name.startswith("<")}
    named = {name for name in of_cases | of_runs | of_summary if not name.endswith(base.ENDINGS)}
    assert named == set(base.OTHER_COLUMNS)
    assert set(filter(None, SUMMARY_PARTS)) < set(base.ENDINGS)


def test_one_that_is_not_there_and_two_of_one_name_are_said(own, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more/recall.py").write_text(RECALL)
    with pytest.raises(UserError, match="no two may have the same"):
        experiment(own(), str(tmp_path / "more/recall.py"))
    with pytest.raises(UserError, match="no metric 'recal'; did you mean 'recall'"):
        check_metrics(experiment(own(), "recal"))
    with pytest.raises(UserError, match="is no Python file that could define a metric"):
        experiment(str(tmp_path / "gone.py"))


def test_methods_may_be_judged_by_it(own):
    assert experiment(own(), primary="recall").primary == "recall"
    with pytest.raises(UserError, match=r"primary 'recal' is no metric.*did you mean 'recall'"):
        experiment(own(), primary="recal")
    silent = own(RECALL.replace("range=(0, 1)", "range=(0, 1), compared=False"), "silent")
    with pytest.raises(UserError, match="not compared by 'silent'"):
        check_metrics(experiment(silent, primary="silent"))


def test_an_edit_measures_again_and_trains_nothing(own):
    run, without = next(experiment(own()).runs()), next(experiment().runs())
    assert run.training_digest() == without.training_digest()
    assert run.evaluation_digest() != without.evaluation_digest()
    trained, evaluated = rests_on.training(run), rests_on.evaluation(run)
    provenance._module.cache_clear(), rests_on.sources.cache_clear()
    own(RECALL.replace("reference.sum()", "(reference.sum() + 1)"))
    assert rests_on.training(run) == trained
    settings, sources = rests_on.evaluation(run).split()
    assert (settings, sources != evaluated.split()[1]) == (evaluated.split()[0], True)


def test_an_experiment_without_any_is_written_as_before_there_was_the_setting():
    assert "metrics" not in EvaluationConfig().model_dump(mode="json")
    assert "metrics" in EvaluationConfig(metrics=("recall",)).model_dump()


def test_a_record_does_not_run_it(own, tmp_path):
    recorded = next(experiment(own('raise SystemExit("ran")')).runs()).model_dump(mode="json")
    METRICS.own.clear()
    again = parse_run(recorded, tmp_path / "run.yaml")
    with pytest.raises(UserError, match=r"is a program, .*recall\.py, .* --metric .*recall\.py"):
        measures.named(again.evaluation.metrics, "run.yaml")


def test_a_study_that_was_resolved_names_it_too(own):
    studies = {"s": {"budget": 2, "trials": 1, "subsets": [5]}}
    declared = TINY | {"evaluation": {"metrics": [own()]}, "studies": studies}
    (study,) = load_studies(declared | {"validation_cases": 1})
    METRICS.own.clear()
    load_studies(study.model_dump(mode="json"))
    assert list(METRICS.own) == ["recall"]


@pytest.mark.parametrize("classes", [1, 2])
def test_the_verb_metrics_takes_it(own, tmp_path, capsys, classes):
    prediction, reference = (mask.astype(np.uint8) for mask in masks())
    if classes == 2:
        prediction[0] = reference[0] = 2
    for name, array in (("p", prediction), ("r", reference)):
        np.save(tmp_path / f"{name}.npy", array)
    files = [str(tmp_path / "p.npy"), str(tmp_path / "r.npy")]
    assert main(["metrics", *files, "--json", "--metric", own()]) == 0
    found = json.loads(capsys.readouterr().out)
    found = found["classes"]["1"] if classes == 2 else found
    assert list(found)[-1] == "recall" and found["recall"] == pytest.approx(75 / 125)


def test_a_metric_has_no_value_where_the_voxel_size_is_not_known():
    class InMm:
        def value(self, *_):
            raise AssertionError("nothing to measure with")

    masks = np.ones((2, 4, 4), bool)
    found = measured({"mine": InMm()}, *masks, None, "case 'a'")
    assert list(found) == ["mine"] and np.isnan(found["mine"])
