"""Evaluation on a small store made by hand, with networks whose answer is known."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from medpy.metric import binary
from torch import Tensor

from ssl_methods import methods
from ssl_methods.analysis.measurements import metric_columns
from ssl_methods.analysis.tables import case_matrix
from ssl_methods.config import EvaluationConfig, Run, load_experiment
from ssl_methods.data.store import Store, case_file, store_folder
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import as_csv, evaluate, evaluate_cases, mean_dice
from ssl_methods.evaluation.inference import Predict, Predictor
from ssl_methods.evaluation.metrics import case_metrics
from ssl_methods.evaluation.slices import best_slice, stack
from ssl_methods.files import file_sha256, write_json, write_yaml
from ssl_methods.measures import METRICS, name_metrics

CPU = torch.device("cpu")
SPACING = (1.0, 1.5, 2.0)
AFFINE = [[-1.0, 0, 0, 5], [0, 1.5, 0, -7], [0, 0, 2.0, 3], [0, 0, 0, 1]]
EVALUATION = EvaluationConfig(stride=(4, 4, 4), nsd_tolerance_mm=1.5)
PATCH = (8, 8, 8)


def a_run(tmp_path: Path, **evaluation: object) -> Run:
    experiment = load_experiment(
        {
            "name": "small",
            "dataset": {
                "name": "made",
                "importer": "folder",
                "path": str(tmp_path),
                "classes": "separate",
            },
            "methods": ["supervised"],
            "budgets": [2],
            "subsets": 1,
            "network": {"width": 2, "levels": 2},
            "training": {"patch_size": list(PATCH), "device": "cpu"},
            "evaluation": {"nsd_tolerance_mm": 1.5, **evaluation},
        }
    )
    return next(experiment.runs())


def make_store(
    folder: Path, run: Run, test_labels: dict[str, np.ndarray], labeled: bool = True
) -> Store:
    """Two training cases, and these for testing. Channel 0 is the label map, channel 1 is noise."""
    rng = np.random.default_rng(0)
    labels = {
        f"train{i}": rng.integers(0, 3, (9, 8, 8)).astype(np.uint8) for i in range(2)
    } | test_labels
    cases = []
    for case_id, label in labels.items():
        image = np.stack([label, rng.normal(size=label.shape)]).astype(np.float32)
        files = {kind: case_file(folder, case_id, kind) for kind in ("image", "label")}
        files["image"].parent.mkdir(parents=True)
        np.save(files["image"], image)
        np.save(files["label"], label)
        has_label = labeled or case_id.startswith("train")
        cases.append(
            {
                "id": case_id,
                "split": "train" if case_id.startswith("train") else "test",
                "labeled": has_label,
                "shape": list(label.shape),
                "spacing": list(SPACING[: label.ndim]),
                "affine": AFFINE,
                "image_sha256": file_sha256(files["image"]),
                "label_sha256": file_sha256(files["label"]) if has_label else None,
                "foreground_voxels": [int((label == k).sum()) for k in (1, 2)]
                if has_label
                else None,
            }
        )
    manifest = {
        "format": 2,
        "dataset": run.dataset.name,
        "settings": run.dataset.model_dump(mode="json"),
        "dimensions": label.ndim,
        "channels": 2,
        "classes": ["core", "rim"],
        "crop_used_label": False,
        "cases": cases,
    }
    write_json(folder / "manifest.json", manifest)
    return Store.open(folder)


def two_test_cases() -> dict[str, np.ndarray]:
    first, second = np.zeros((12, 11, 10), np.uint8), np.zeros((6, 14, 10), np.uint8)
    first[3:9, 3:9, 3:9] = 2
    first[4:8, 4:8, 4:8] = 1
    second[1:4, 2:8, 6:9] = 1  # no rim
    return {"b.1": first, "a-2": second}


def oracle(patches: Tensor) -> Tensor:
    """Reads the label off channel 0."""
    return torch.cat([(patches[:, :1] == 1), (patches[:, :1] == 2)], 1).float()


def shifted(patches: Tensor) -> Tensor:
    """The core grown into the rim's place, nothing of the rim."""
    inside = (patches[:, :1] > 0).float()
    return torch.cat([inside, 0.4 * inside], 1)


def noisy(patches: Tensor) -> Tensor:
    """Depends on both channels and on the whole window."""
    level = patches[:, 1:].mean(dim=tuple(range(1, patches.ndim)), keepdim=True)
    return (oracle(patches) + 0.4 * patches[:, 1:] + level).sigmoid() - 0.1


def on(
    predict: Predict, patch_size: Sequence[int] = PATCH, evaluation: EvaluationConfig = EVALUATION
) -> Predictor:
    return Predictor(predict, patch_size, 2, evaluation, CPU)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "store", a_run(tmp_path), two_test_cases())


def test_a_perfect_network_scores_perfectly(store: Store) -> None:
    rows, _ = evaluate_cases(on(oracle), store, ["b.1", "a-2"])
    named = [(row["case"], row["class"]) for row in rows]
    assert named == [("b.1", "core"), ("b.1", "rim"), ("a-2", "core"), ("a-2", "rim")]
    for row in rows:
        assert row["dice"] == row["jaccard"] == row["nsd_1.5mm"] == 1.0
        assert row["hd95_mm"] == row["asd_voxel"] == row["volume_error_ml"] == 0.0
    assert rows[3]["empty_prediction"] is True and rows[3]["empty_reference"] is True
    assert mean_dice(on(oracle), store, ["b.1", "a-2"]) == 1.0


def test_rows_hold_the_metrics_of_what_was_predicted(store: Store) -> None:
    labels = two_test_cases()
    rows, slices = evaluate_cases(on(shifted), store, ["b.1", "a-2"])
    core, rim = rows[0], rows[1]
    predicted, reference = labels["b.1"] > 0, labels["b.1"] == 1
    assert core["dice"] == pytest.approx(binary.dc(predicted, reference))
    assert core["hd95_mm"] == pytest.approx(binary.hd95(predicted, reference, SPACING))
    assert core["asd_voxel"] == pytest.approx(binary.asd(predicted, reference))
    assert {k: v for k, v in core.items() if k not in ("case", "class")} == case_metrics(
        predicted, reference, SPACING, 1.5
    )
    assert (
        rim["dice"] == 0.0 and rim["empty_prediction"] is True and rim["empty_reference"] is False
    )
    assert rim["hd95_mm"] == pytest.approx(np.hypot(np.hypot(12 * 1, 11 * 1.5), 10 * 2))
    # The second case has no rim: what is said of it there is no part of its mean.
    expected = np.mean([np.mean([core["dice"], 0.0]), 1.0])
    assert mean_dice(on(shifted), store, ["b.1", "a-2"]) == pytest.approx(expected)
    assert slices["b.1.prediction"].max() == 1


def test_slices_show_the_most_foreground(store: Store) -> None:
    _, slices = evaluate_cases(on(oracle), store, ["b.1", "a-2"])
    kinds = ("image", "label", "prediction")
    assert set(slices) == {
        f"{case}.{kind}"
        for case in ("b.1", "a-2")
        for kind in (*kinds, "slices_index", *(f"slices_{kind}" for kind in kinds))
    }
    labels = two_test_cases()
    assert (slices["a-2.label"] == labels["a-2"][..., 6]).all()
    assert (slices["b.1.label"] == labels["b.1"][..., 3]).all()
    assert slices["a-2.image"].dtype == np.float16 and slices["a-2.image"].shape == (6, 14)
    assert (slices["a-2.image"] == labels["a-2"][..., 6]).all()
    assert slices["a-2.prediction"].dtype == slices["a-2.label"].dtype == np.uint8


def test_slice_of_an_empty_case_and_of_a_2d_case() -> None:
    image = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    empty = np.zeros((3, 4, 5), np.uint8)
    assert (best_slice(image, empty, empty)["image"] == image[0, :, :, 2]).all()
    flat = best_slice(np.full((1, 3, 4), 1e9, np.float32), empty[..., 0], empty[..., 0])
    assert flat["image"].shape == (3, 4) and np.isfinite(flat["image"]).all()


def test_a_stack_runs_evenly_from_first_to_last_foreground() -> None:
    random = np.random.default_rng(0)
    image = random.normal(size=(2, 6, 5, 40)).astype(np.float32)
    label = np.zeros((6, 5, 40), np.uint8)
    label[2, 1, 4], label[3, 3, 36] = 2, 1
    prediction = random.integers(0, 3, label.shape).astype(np.uint8)
    found = stack(image, label, prediction)
    assert found["slices_index"].tolist() == [4, 8, 12, 16, 20, 24, 28, 32, 36]
    assert (found["slices_label"][0] == label[..., 4]).all()
    assert (found["slices_prediction"][-1] == prediction[..., 36]).all()
    grey, shown = found["slices_image"], image[0][..., found["slices_index"]]
    assert grey.dtype == np.uint8 and grey.min() == 0 and grey.max() == 255
    brighter = np.corrcoef(grey.ravel(), np.moveaxis(shown, -1, 0).ravel())[0, 1]
    assert brighter > 0.99


def test_a_stack_of_few_slices_of_no_foreground_and_of_a_2d_case() -> None:
    image, label = np.ones((1, 3, 4, 5), np.float32), np.zeros((3, 4, 5), np.uint8)
    assert stack(image, label, label)["slices_index"].tolist() == [0, 1, 2, 3, 4]
    assert not stack(image, label, label)["slices_image"].any()
    label[1, 1, 2] = 1
    assert stack(image, label, label)["slices_index"].tolist() == [2]
    assert stack(image[..., 0], label[..., 0], label[..., 0]) == {}


def test_only_the_first_cases_have_a_stack(tmp_path: Path) -> None:
    labels = {name: two_test_cases()["b.1"] for name in ("a", "b", "c", "d")}
    store = make_store(tmp_path / "four", a_run(tmp_path), labels)
    _, slices = evaluate_cases(on(oracle), store, list(labels))
    assert "c.slices_image" in slices and "d.image" in slices
    assert "d.slices_image" not in slices


def test_a_2d_store(tmp_path: Path) -> None:
    label = np.zeros((9, 20), np.uint8)
    label[2:5, 3:9] = 1
    run = a_run(tmp_path)
    store = make_store(tmp_path / "flat", run, {"x": label})
    evaluation = EvaluationConfig(stride=(4, 4))
    rows, slices = evaluate_cases(on(oracle, (16, 8), evaluation), store, ["x"])
    assert rows[0]["dice"] == 1.0 and (slices["x.prediction"] == label).all()


def test_the_default_stride_is_half_a_patch(store: Store) -> None:
    calls = []

    def watching(patches: Tensor) -> Tensor:
        calls.extend([patches.shape[2:]] * len(patches))
        return oracle(patches)

    evaluate_cases(on(watching, evaluation=EvaluationConfig()), store, ["a-2"])
    assert calls == [torch.Size(PATCH)] * 1 * 3 * 2  # 6, 14 and 10 voxels: at 0; 0, 4, 6; 0, 2


def test_an_unlabeled_test_case_is_an_error(tmp_path: Path) -> None:
    store = make_store(tmp_path / "bare", a_run(tmp_path), two_test_cases(), labeled=False)
    with pytest.raises(UserError, match=r"'b\.1' has no label"):
        evaluate_cases(on(oracle), store, ["b.1"])


def test_cases_are_read_in_order_and_few_are_held(store: Store) -> None:
    """One is measured, one predicted and one read at a time."""
    read: list[str] = []

    class Watched(Store):
        def image(self, case_id: str) -> np.ndarray:
            read.append(case_id)
            return super().image(case_id)

    watched = Watched(store.folder, store.manifest)
    ids = ["b.1", "a-2", "train0", "train1"]
    seen = []

    def save(case_id: str, _: np.ndarray) -> None:
        seen.append(case_id)
        assert len(read) <= len(seen) + 2

    evaluate_cases(on(oracle), watched, ids, save)
    assert seen == read == ids


@pytest.mark.parametrize("failing", ["b.1", "a-2"])
def test_what_fails_on_another_thread_comes_out_as_it_is(store: Store, failing: str) -> None:
    class OutOfSpace(Exception):
        pass

    def save(case_id: str, _: np.ndarray) -> None:
        if case_id == failing:
            raise OutOfSpace(case_id)

    with pytest.raises(OutOfSpace, match=failing):
        evaluate_cases(on(oracle), store, ["b.1", "a-2"], save)


def test_rows_are_those_of_one_case_at_a_time(store: Store) -> None:
    """Whatever the threads do: predicted and measured alone, bit for bit."""
    ids = ["b.1", "a-2", "train0", "train1"]
    rows, slices = evaluate_cases(on(noisy), store, ids)
    alone = [evaluate_cases(on(noisy), store, [case]) for case in ids]
    assert rows == [row for some, _ in alone for row in some]
    theirs = {name: array for _, pictures in alone for name, array in pictures.items()}
    assert [name for name in theirs if name in slices] == list(slices)
    assert all((array == theirs[name]).all() for name, array in slices.items())


def test_csv_keeps_every_digit_and_reads_as_bool(store: Store) -> None:
    rows, _ = evaluate_cases(on(shifted), store, ["b.1", "a-2"])
    text = as_csv(rows, EVALUATION)
    parsed = list(csv.DictReader(text.splitlines()))
    for row, read in zip(rows, parsed, strict=True):
        assert list(read) == list(row)
        for name, value in row.items():
            assert (float(read[name]) if isinstance(value, float) else read[name]) == (
                value if isinstance(value, float) else str(value)
            )


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Path]:
    """A run's folder as `train` leaves it, the network untrained; and the results folder."""
    run, results = a_run(tmp_path, save_predictions=True), tmp_path / "results"
    make_store(store_folder(run.dataset, results), run, two_test_cases())
    folder = results / run.folder
    folder.mkdir(parents=True)
    torch.manual_seed(3)
    method = methods.create(
        "supervised", network=run.network, in_channels=2, classes=2, dimensions=3
    )
    torch.save(method.state_dict(), folder / "model.pt")
    write_yaml(folder / "run.yaml", run.model_dump(mode="json") | {"method_settings": {}})
    return folder, results


def test_evaluate_writes_what_the_design_page_says(trained: tuple[Path, Path]) -> None:
    folder, results = trained
    evaluate(folder, results)
    table = pd.read_csv(folder / "cases.csv")
    assert list(table.columns[:4]) == ["case", "class", "dice", "jaccard"]
    assert table["case"].tolist() == ["b.1", "b.1", "a-2", "a-2"]
    assert table["empty_prediction"].dtype == table["empty_reference"].dtype == bool
    with np.load(folder / "slices.npz") as slices:
        picture = slices["a-2.prediction"]
    prediction: Any = nibabel.load(folder / "predictions" / "a-2.nii.gz")
    assert np.allclose(prediction.affine, np.array(AFFINE, float))
    array = np.asarray(prediction.dataobj)
    assert array.dtype == np.uint8 and (array[..., 6] == picture).all()
    reference = two_test_cases()["a-2"] == 1
    row = table[(table["case"] == "a-2") & (table["class"] == "core")].iloc[0]
    expected = case_metrics(array == 1, reference, SPACING, 1.5)
    assert {name: row[name] for name in expected} == expected


def test_the_same_run_gives_the_same_bytes(trained: tuple[Path, Path], tmp_path: Path) -> None:
    folder, results = trained
    evaluate(folder, results, tmp_path / "one")
    evaluate(folder, results, tmp_path / "two")
    names = ["cases.csv", "slices.npz", "predictions/b.1.nii.gz"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert not (folder / "cases.csv").exists()
    with zipfile.ZipFile(tmp_path / "one" / "slices.npz") as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


def test_data_changed_since_prepare_is_refused(trained: tuple[Path, Path]) -> None:
    folder, results = trained
    manifest = next(results.glob("prepared/*/manifest.json"))
    changed = json.loads(manifest.read_text())
    next(case for case in changed["cases"] if case["id"] == "a-2")["label_sha256"] = "0" * 64
    manifest.write_text(json.dumps(changed))
    with pytest.raises(UserError, match="a-2"):
        evaluate(folder, results)
    assert not (folder / "cases.csv").exists()


def test_a_missing_model_is_named(trained: tuple[Path, Path]) -> None:
    folder, results = trained
    (folder / "model.pt").unlink()
    with pytest.raises(UserError, match=r"model\.pt"):
        evaluate(folder, results)


# ---- metrics of one's own ------------------------------------------------------------------------

RECALL = """from ssl_methods.measures import Measure, Metric
class Recall(Metric):
    measure = Measure("Recall", "%", scale=100, higher_is_better=True, range=(0, 1))
    def value(self, prediction, reference, spacing):
        assert spacing == (1.0, 1.5, 2.0)
        return (prediction & reference).sum() / reference.sum()
"""


def with_recall(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> EvaluationConfig:
    monkeypatch.setattr(METRICS, "own", {})
    (folder / "recall.py").write_text(text)
    name_metrics([str(folder / "recall.py")])
    return EVALUATION.model_copy(update={"metrics": (str(folder / "recall.py"),)})


def test_a_metric_of_ones_own_is_the_last_column_of_every_class(store, tmp_path, monkeypatch):
    evaluation = with_recall(tmp_path, monkeypatch, RECALL)
    kept = {}
    rows, _ = evaluate_cases(
        on(shifted, evaluation=evaluation), store, ["b.1", "a-2"], kept.__setitem__
    )
    found = list(csv.DictReader(as_csv(rows, evaluation).splitlines()))
    assert list(found[0])[-1] == "recall" and len(found) == 2 * len(store.classes)
    for row in found:
        value = store.classes.index(row["class"]) + 1
        true, predicted = np.array(store.label(row["case"])) == value, kept[row["case"]] == value
        if true.any() and predicted.any():
            assert float(row["recall"]) == (true & predicted).sum() / true.sum()
        else:
            assert float(row["recall"]) == float(not true.any() and not predicted.any())


def test_what_it_fails_on_is_named_by_case_and_class(store, tmp_path, monkeypatch):
    text = RECALL.replace("return (", "return 2 * (")
    evaluation = with_recall(tmp_path, monkeypatch, text)
    with pytest.raises(UserError, match=r"recall\.py: case 'b.1', class 'core': .* within 0\.\.1"):
        evaluate_cases(on(shifted, evaluation=evaluation), store, ["b.1"])


def test_patients_with_several_cases_are_named_and_stand_for_one_case_each(store):
    rows, _ = evaluate_cases(on(shifted), store, ["b.1", "a-2"])
    assert "patient" not in as_csv(rows, EVALUATION)
    for case in ("b.1", "a-2"):
        store.cases[case] = store.cases[case].model_copy(update={"group": "anna"})
    rows, _ = evaluate_cases(on(shifted), store, ["b.1", "a-2", "train0"])
    found = list(csv.DictReader(as_csv(rows, EVALUATION).splitlines()))
    assert [row["patient"] for row in found] == ["anna"] * 4 + ["train0"] * 2
    frame = pd.DataFrame(rows).assign(subset=0, seed=0)
    frame = frame[frame["class"] == "core"]
    matrix = case_matrix(frame, "dice")
    assert list(matrix.columns) == ["anna", "train0"]
    two = frame[frame["patient"] == "anna"]["dice"]
    assert matrix.loc[(0, 0), "anna"] == pytest.approx(two.mean())
    assert "patient" not in metric_columns(frame)
