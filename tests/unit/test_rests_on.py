"""What a run rests on: one definition, over every setting, and every verb that uses it."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.settings import changed, leaves
from support.tiny import tiny_experiment

from ssl_methods.analysis.collect import collect
from ssl_methods.config import Experiment, load_run, read_yaml
from ssl_methods.config.run import WHERE_NOT_WHAT
from ssl_methods.data.prepare import prepare
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import evaluate
from ssl_methods.files import write_json, write_yaml
from ssl_methods.run_record import (
    Record,
    check_measured,
    check_settings,
    read_record,
)
from ssl_methods.training.train import train

ELSEWHERE = {"experiment", "name"}  # say where the run is, not what it is


def an_experiment(**changes: Any) -> Experiment:
    return tiny_experiment(methods=["supervised"], **changes)


@pytest.fixture(scope="module")
def once(prepared_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with one run that is trained and evaluated."""
    results = tmp_path_factory.mktemp("records") / "results"
    shutil.copytree(prepared_results, results)
    run = next(an_experiment().runs())
    from ssl_methods.data.splits import load_split, split_name

    split = load_split(run, Store.open(store_folder(run.dataset, results)), results)
    split.write(results / run.experiment / "splits" / split_name(run.budget, run.subset))
    train(run, results, results / run.folder)
    evaluate(results / run.folder, results, declared=run)
    return results


@pytest.fixture
def results(once: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(once, tmp_path / "results")


def folder_in(results: Path) -> Path:
    return results / next(an_experiment().runs()).folder


# ---- the records ---------------------------------------------------------------------------------


def test_run_yaml_begins_with_what_the_model_rests_on(once: Path) -> None:
    run, folder = next(an_experiment().runs()), folder_in(once)
    text = (folder / "run.yaml").read_text()
    assert text.startswith("rests_on:\n  settings: ")
    head = yaml.safe_load("\n".join(text.splitlines()[:4]))["rests_on"]
    provenance = json.loads((folder / "provenance.json").read_text())
    assert head == {
        "settings": run.training_digest(),
        "sources": provenance["sources"],
        "data": provenance["data"],
    }
    recorded = read_yaml(folder / "run.yaml")
    assert recorded["model_sha256"] == provenance["model_sha256"]
    store = Store.open(store_folder(run.dataset, once))
    assert recorded["data"] == store.form() and "cases" not in recorded["data"]


def test_measured_yaml_says_with_what_was_measured(once: Path) -> None:
    run, folder = next(an_experiment().runs()), folder_in(once)
    measured = read_yaml(folder / "measured.yaml")
    assert list(measured) == ["rests_on", "model_sha256", "evaluation"]
    assert measured["rests_on"]["settings"] == run.evaluation_digest()
    assert measured["model_sha256"] == read_record(folder).model_sha256
    assert measured["evaluation"] == run.evaluation.model_dump(mode="json")


def test_a_recipe_that_replaces_settings_is_recorded_as_declared(
    prepared_results: Path, tmp_path: Path
) -> None:
    run = an_experiment(recipe="as_released").run("supervised", 2, 0, 0)
    train(run, prepared_results, tmp_path)
    record = read_record(tmp_path)
    assert record.run.training != run.training, "the recipe of this method replaces nothing"
    assert record.declared.training_digest() == run.training_digest()
    assert record.rests_on["settings"] == run.training_digest()


# ---- one definition, over every setting ----------------------------------------------------------


OF_ANOTHER_KIND = {("dataset", "importer"), ("network", "name"), ("network", "arguments")}


RUNS = {
    recipe: an_experiment(recipe=recipe).run("supervised", 2, 0, 0)
    for recipe in ("unified", "as_released")
}
KEYS = sorted(set(leaves(RUNS["unified"].model_dump(mode="json"))))


@pytest.mark.parametrize("recipe", RUNS)
@pytest.mark.parametrize("key", KEYS, ids=".".join)
def test_a_changed_setting_is_noticed_unless_it_only_says_where(
    recipe: str, key: tuple[str, ...], tmp_path: Path
) -> None:
    run = RUNS[recipe]
    trained = run.model_dump(mode="json")
    if recipe == "as_released":
        trained |= {"training": trained["training"] | {"labeled_batch": 1}}
    replaced = {"labeled_batch": run.training.labeled_batch} if recipe == "as_released" else {}
    content = {
        "rests_on": {"settings": run.training_digest()},
        "model_sha256": "0",
        "replaced": replaced,
        **trained,
    }
    record = Record(tmp_path, content)
    check_settings(record, run)
    other = changed(run, key)
    if other is None:
        assert key in OF_ANOTHER_KIND, f"no other value of {key} was found"
        return
    dotted = ".".join(key)
    if key[0] in ELSEWHERE:
        assert other.folder != run.folder
    elif key[0] == "evaluation":
        check_settings(record, other)
        write_yaml(
            tmp_path / "measured.yaml",
            {
                "rests_on": {"data": "0"},
                "model_sha256": "0",
                "evaluation": run.evaluation.model_dump(mode="json"),
            },
        )
        check_measured(record, run, "0")
        with pytest.raises(UserError, match=key[-1]):
            check_measured(record, other, "0")
    elif key == ("level_cases",):  # measured, not trained on; `choose` says where it is missing
        check_settings(record, other)
        assert other.evaluation_digest() != run.evaluation_digest()
    elif key[0] == "training" and key[1] in WHERE_NOT_WHAT:
        check_settings(record, other)
    else:
        with pytest.raises(UserError) as raised:
            check_settings(record, other)
        assert key[-1] in str(raised.value), dotted
        assert "train it again" in str(raised.value)


def test_a_change_of_the_kind_itself_is_noticed(tmp_path: Path) -> None:
    monai = {"name": "monai:SegResNet", "arguments": {"init_filters": 8}}
    run = an_experiment(network=monai).run("supervised", 2, 0, 0)
    record = Record(tmp_path, run.model_dump(mode="json"))
    check_settings(record, run)
    for change in (
        {"network": monai | {"name": "monai:UNet"}},
        {"network": monai | {"arguments": {"init_filters": 16}}},
        {"dataset": {"name": "tiny", "importer": "folder", "path": "x"}},
    ):
        other = an_experiment(**({"network": monai} | change)).run("supervised", 2, 0, 0)
        with pytest.raises(UserError, match=r"network.name|init_filters|dataset.path"):
            check_settings(record, other)


def test_where_a_run_was_made_stops_no_table(results: Path) -> None:
    training = tiny_experiment().training.model_dump(mode="json")
    elsewhere = training | {"device": "auto", "runs_per_gpu": 3, "gpu_volumes_gb": 1.0}
    collect(an_experiment(training=elsewhere), results)
    other = training | {"learning_rate": 0.02}
    with pytest.raises(UserError, match=r"training\.learning_rate: 0\.01 -> 0\.02"):
        collect(an_experiment(training=other), results)
    run = an_experiment(training=other).run("supervised", 2, 0, 0)
    with pytest.raises(UserError, match=r"training\.learning_rate: 0\.01 -> 0\.02"):
        evaluate(results / run.folder, results, declared=run)


def test_other_settings_of_the_evaluation_are_measured_again(results: Path) -> None:
    other = an_experiment(evaluation={"nsd_tolerance_mm": 2.0})
    with pytest.raises(UserError, match=r"nsd_tolerance_mm: 1\.0 -> 2\.0.*evaluate it again"):
        collect(other, results)
    evaluate(folder_in(results), results, declared=next(other.runs()))
    collect(other, results)


# ---- data ----------------------------------------------------------------------------------------


def with_other_checksum(results: Path, split: str, kind: str) -> str:
    """One case of the store gets another array, and its manifest the checksum of that."""
    import numpy as np

    from ssl_methods.files import file_sha256

    manifest = next(results.glob("prepared/*/manifest.json"))
    content = json.loads(manifest.read_text())
    for case in content["cases"]:
        if case["split"] == split:
            path = manifest.parent / "cases" / case["id"] / f"{kind}.npy"
            np.save(path, np.roll(np.load(path), 1, axis=-1))
            case[f"{kind}_sha256"] = file_sha256(path)
    write_json(manifest, content)
    return str(manifest.parent)


@pytest.mark.parametrize("kind", ["image", "label"])
def test_a_model_of_other_data_is_neither_measured_nor_collected(results: Path, kind: str) -> None:
    where = with_other_checksum(results, "train", kind)
    with pytest.raises(UserError, match=rf"other data than {where}.*train it again") as raised:
        evaluate(folder_in(results), results)
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=r"other data.*train it again"):
        collect(an_experiment(), results)


def test_measurements_of_other_test_cases_are_not_collected(results: Path) -> None:
    with_other_checksum(results, "test", "label")
    with pytest.raises(UserError, match=r"other data.*evaluate it again"):
        collect(an_experiment(), results)
    evaluate(folder_in(results), results)
    collect(an_experiment(), results)


def test_measurements_of_another_model_are_not_collected(results: Path) -> None:
    path = folder_in(results) / "measured.yaml"
    write_yaml(path, read_yaml(path) | {"model_sha256": "0" * 64})
    with pytest.raises(UserError, match=r"another model.*evaluate it again"):
        collect(an_experiment(), results)


def test_a_source_that_changed_is_said_by_evaluate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import nibabel
    import numpy as np

    rng = np.random.default_rng(0)
    for i in range(4):
        for kind, array in (
            ("images", rng.normal(size=(12, 12, 12)).astype(np.float32)),
            ("labels", np.pad(np.ones((6, 6, 6), np.uint8), 3)),
        ):
            (tmp_path / "scans" / kind).mkdir(parents=True, exist_ok=True)
            nibabel.save(
                nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "scans" / kind / f"{i}.nii"
            )
    dataset = {
        "name": "own", "importer": "folder", "path": str(tmp_path / "scans"), "test_cases": 1,
    }  # fmt: skip
    declared = tiny_experiment(methods=["mean_shape"], dataset=dataset)
    run, results = next(declared.runs()), tmp_path / "results"
    prepare(run.dataset, results)
    train(run, results, results / run.folder)
    (tmp_path / "scans/labels/0.nii").touch()
    with caplog.at_level(logging.WARNING):
        evaluate(results / run.folder, results)
    assert "its source has changed since" in caplog.text
    caplog.clear()
    shutil.rmtree(tmp_path / "scans")  # brought from elsewhere: nothing to say
    evaluate(results / run.folder, results)
    assert "source" not in caplog.text


# ---- runs of earlier versions, and runs that are none --------------------------------------------


def as_of_an_earlier_version(folder: Path) -> None:
    recorded = read_yaml(folder / "run.yaml")
    for key in ("rests_on", "model_sha256", "replaced", "data"):
        del recorded[key]
    write_yaml(folder / "run.yaml", recorded)
    (folder / "measured.yaml").unlink()


def test_runs_of_earlier_versions_are_compared_as_far_as_they_are_known(
    results: Path, caplog: pytest.LogCaptureFixture
) -> None:
    as_of_an_earlier_version(folder_in(results))
    with caplog.at_level(logging.WARNING):
        collect(an_experiment(), results)
    assert "1 of the runs" in caplog.text and "earlier version" in caplog.text
    training = tiny_experiment().training.model_dump(mode="json") | {"learning_rate": 0.02}
    with pytest.raises(UserError, match=r"training\.learning_rate"):
        collect(an_experiment(training=training), results)
    with_other_checksum(results, "train", "label")
    with pytest.raises(UserError, match=r"other data.*train it again"):  # provenance.json knows
        collect(an_experiment(), results)
    with pytest.raises(UserError, match=r"other data.*train it again"):
        evaluate(folder_in(results), results)


def test_what_is_not_trained_is_said_to_be_that(results: Path) -> None:
    folder = folder_in(results)
    (folder / "model.pt").unlink()
    with pytest.raises(UserError, match=r"not trained.*model\.pt.*train it again"):
        evaluate(folder, results)
    with pytest.raises(UserError, match=r"not trained yet.*run 'train'"):
        evaluate(folder.parent / "seed-7", results)


@pytest.mark.parametrize(
    "content",
    [
        "rests_on: 3\n",
        "rests_on: {settings: []}\nmodel_sha256: {}\ndata: [1]\n",
        "data: {classes: 3}\n",
    ],
)
def test_a_damaged_record_is_one_line(results: Path, content: str) -> None:
    folder = folder_in(results)
    run = load_run(folder / "run.yaml").model_dump(mode="json")
    (folder / "run.yaml").write_text(content + yaml.safe_dump(run))
    from ssl_methods.evaluation.trained import load

    with pytest.raises(UserError) as raised:
        load(folder, results=results / "none")
    assert len(str(raised.value).splitlines()) == 1
    for broken in ("rests_on: [", "- a list\n", "rests_on: 3\nevaluation: 4\n"):
        (folder / "measured.yaml").write_text(broken)
        with pytest.raises(UserError, match=r"measured\.yaml"):
            collect(an_experiment(), results)
