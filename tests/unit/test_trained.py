"""A trained run taken away: a folder, an archive, several together; what damages or misuses it."""

from __future__ import annotations

import json
import logging
import random
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
import yaml
from support.mutations import damaged
from support.tiny import TINY, tiny_experiment

import ssl_methods
from ssl_methods import methods
from ssl_methods.cli import main
from ssl_methods.config import read_yaml
from ssl_methods.errors import UserError
from ssl_methods.evaluation.archive import folders_of
from ssl_methods.evaluation.export import export
from ssl_methods.evaluation.predict import predict_files
from ssl_methods.evaluation.trained import load
from ssl_methods.files import write_yaml
from ssl_methods.training.train import train
from ssl_methods.weights import save_sealed

AFFINE = np.diag([-0.9, 0.9, 1.4, 1.0])


@pytest.fixture(scope="module")
def runs(prepared_results: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of one method, trained; their store is elsewhere."""
    folder = tmp_path_factory.mktemp("runs")
    declared = tiny_experiment(methods=["supervised"], seeds=2)
    found = []
    for run in declared.runs():
        train(run, prepared_results, folder / f"seed-{run.seed}")
        found.append(folder / f"seed-{run.seed}")
    return found


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = np.random.default_rng(1).normal(size=(20, 17, 22)).astype(np.float32)
    path = tmp_path_factory.mktemp("scan") / "new.nii.gz"
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), path)
    return path


@pytest.fixture
def copied(runs: list[Path], tmp_path: Path) -> Path:
    return shutil.copytree(runs[0], tmp_path / "copied")


def array_of(path: Path) -> Any:
    return np.asarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]


# ---- taken away ----------------------------------------------------------------------------------


def test_a_copied_folder_predicts_without_a_store(
    copied: Path, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "copied", str(scan), "--out", "out"]) == 0
    label = array_of(tmp_path / "out/new.nii.gz")
    assert label.shape == (20, 17, 22) and set(np.unique(label)) <= {0, 1}
    model = ssl_methods.load("copied")
    image = array_of(scan)
    assert np.array_equal(model.predict(image, (0.9, 0.9, 1.4), AFFINE), label)
    assert np.array_equal(model.predict(image[None], (0.9, 0.9, 1.4), AFFINE), label)


def test_an_ensemble_is_the_mean_of_the_probabilities(
    runs: list[Path], scan: Path, tmp_path: Path
) -> None:
    image = array_of(scan)
    each = [load(run).probabilities(image, (0.9, 0.9, 1.4)) for run in runs]
    assert np.abs(each[0] - each[1]).max() > 1e-4
    both = load(*runs).probabilities(image, (0.9, 0.9, 1.4))
    assert np.allclose(both, (each[0] + each[1]) / 2, atol=1e-6)
    label, probability = predict_files(runs, [scan], tmp_path / "out", tmp_path, probabilities=True)
    assert np.allclose(array_of(probability), both[0], atol=1e-5)
    clear = np.abs(both[0] - 0.5) > 1e-4
    assert ((array_of(label) == 1) == (both[0] > 0.5))[clear].all()


def test_runs_of_other_data_are_no_ensemble(runs: list[Path], copied: Path) -> None:
    recorded = read_yaml(copied / "run.yaml")
    recorded["dataset"]["clip_percentiles"] = [1, 99]
    write_yaml(copied / "run.yaml", recorded)
    with pytest.raises(UserError, match="clip_percentiles"):
        load(*runs, copied)
    recorded = read_yaml(runs[0] / "run.yaml")
    recorded["data"]["label_values"] = [[4]]
    write_yaml(copied / "run.yaml", recorded)
    with pytest.raises(UserError, match="label_values"):
        load(*runs, copied)
    recorded = read_yaml(runs[0] / "run.yaml")
    recorded["dataset"]["split_seed"] = 3  # which cases, not what a scan is
    write_yaml(copied / "run.yaml", recorded)
    load(*runs, copied)


def test_merged_classes_are_one_value_and_that_is_said(
    copied: Path, scan: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = read_yaml(copied / "run.yaml")
    recorded["data"]["label_values"] = [[2, 5]]
    write_yaml(copied / "run.yaml", recorded)
    with caplog.at_level(logging.WARNING):
        (written,) = predict_files([copied], [scan], tmp_path / "out", tmp_path)
    assert set(np.unique(array_of(written))) <= {0, 1}
    assert "merged from the values 2, 5" in caplog.text and "metrics --merged" in caplog.text
    recorded["data"]["label_values"] = [[300]]
    write_yaml(copied / "run.yaml", recorded)
    image = array_of(scan)
    label = load(copied).predict(image, (1, 1, 1))
    assert label.dtype == np.uint16 and set(np.unique(label)) <= {0, 300}


def test_an_image_of_another_form_is_refused(runs: list[Path]) -> None:
    model = load(runs[0])
    for shape, found in (((2, 16, 16, 16), "3D with 2"), ((16, 16), "1D with 16")):
        with pytest.raises(UserError, match=found):
            model.predict(np.zeros(shape, np.float32), (1, 1, 1))
    with pytest.raises(UserError, match="constant"):
        model.predict(np.zeros((16, 16, 16)), (1, 1, 1))


def test_importing_the_package_loads_no_torch() -> None:
    program = "import ssl_methods, sys; ssl_methods.load; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


# ---- archives ------------------------------------------------------------------------------------


def test_an_archive_predicts_as_the_runs_that_are_in_it(
    runs: list[Path], scan: Path, tmp_path: Path
) -> None:
    archive, image = tmp_path / "model.zip", array_of(scan)
    export(runs, tmp_path, archive)
    once = archive.read_bytes()
    export(runs, tmp_path, archive)
    assert archive.read_bytes() == once
    expected = load(*runs).predict(image, (1, 1, 1))
    assert np.array_equal(ssl_methods.load(archive).predict(image, (1, 1, 1)), expected)
    predict_files([archive], [scan], tmp_path / "out", tmp_path)
    predict_files(runs, [scan], tmp_path / "beside", tmp_path)
    assert np.array_equal(
        array_of(tmp_path / "out/new.nii.gz"), array_of(tmp_path / "beside/new.nii.gz")
    )
    with zipfile.ZipFile(archive) as file:  # no ids of cases leave with it
        texts = [file.read(name).decode() for name in file.namelist() if name.endswith(".yaml")]
    split = json.loads((runs[0] / "provenance.json").read_text())["split"]
    assert not any(case in text for text in texts for case in split["labeled"])


def test_an_archive_may_be_unpacked_by_hand(runs: list[Path], scan: Path, tmp_path: Path) -> None:
    export(runs[:1], tmp_path, tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    image = array_of(scan)
    found = load(tmp_path / "unpacked/run-0").predict(image, (1, 1, 1))
    assert np.array_equal(found, load(runs[0]).predict(image, (1, 1, 1)))


HOSTILE: dict[str, tuple[str, int]] = {
    "leads out": ("../run.yaml", zipfile.ZIP_STORED),
    "absolute": ("/tmp/run.yaml", zipfile.ZIP_STORED),
    "deep out": ("run-0/../../model.pt", zipfile.ZIP_STORED),
    "a program": ("run-0/own.py", zipfile.ZIP_STORED),
    "expands": ("run-0/model.pt", zipfile.ZIP_DEFLATED),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_one_line(kind: str, tmp_path: Path) -> None:
    name, compression = HOSTILE[kind]
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), bytes(10**6), compression)
    before = set(tmp_path.parent.iterdir())
    with pytest.raises(UserError, match=r"x\.zip") as raised, folders_of([tmp_path / "x.zip"]):
        pass
    assert len(str(raised.value).splitlines()) == 1
    assert set(tmp_path.parent.iterdir()) == before


def test_damaged_archives_are_one_line_or_the_same_model(
    runs: list[Path], scan: Path, tmp_path: Path
) -> None:
    export(runs[:1], tmp_path, tmp_path / "x.zip")
    content, image = (tmp_path / "x.zip").read_bytes(), array_of(scan)
    expected = load(runs[0]).predict(image, (1, 1, 1))
    for seed in range(40):
        (tmp_path / "x.zip").write_bytes(damaged(content, seed))
        try:
            assert np.array_equal(load(tmp_path / "x.zip").predict(image, (1, 1, 1)), expected)
        except UserError as error:
            assert str(tmp_path / "x.zip") in str(error)


# ---- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_a_damaged_model_is_one_line_with_the_command_that_makes_it_anew(
    seed: int, copied: Path
) -> None:
    path = copied / "model.pt"
    path.write_bytes(damaged(path.read_bytes(), seed))
    with pytest.raises(
        UserError, match=r"model\.pt.*train it again.*--method supervised"
    ) as raised:
        load(copied)
    assert len(str(raised.value).splitlines()) == 1


def test_an_imported_model_takes_the_place_of_a_runs_own(
    copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = copied / "model.pt"
    state = {name: value + 1 for name, value in torch.load(path, weights_only=True).items()}
    save_sealed(path, state)
    method = load(copied).members[0].method
    assert all(torch.equal(value, state[name]) for name, value in method.state_dict().items())
    assert "is an imported model" in caplog.text
    path.write_bytes(damaged(path.read_bytes(), 0))
    with pytest.raises(UserError, match="is damaged"):
        load(copied)


def test_a_model_of_another_network_is_one_line(copied: Path) -> None:
    recorded = read_yaml(copied / "run.yaml")
    recorded["network"]["width"] = 3
    write_yaml(copied / "run.yaml", recorded)
    with pytest.raises(UserError, match=r"model\.pt: .*other settings") as raised:
        load(copied)
    assert len(str(raised.value).splitlines()) == 1


def test_no_damage_of_run_yaml_is_a_traceback(copied: Path) -> None:
    path = copied / "run.yaml"
    text, rng = path.read_text(), random.Random(0)
    lines = text.splitlines()
    for _ in range(120):
        some = list(lines)
        at = rng.randrange(len(some))
        key, _, value = some[at].partition(":")
        some[at] = rng.choice(
            [f"{key}: []", f"{key}: {{}}", f"{key}:", f"{key}: -1", f"{key}: text", key, value, ""]
        )
        path.write_text("\n".join(some))
        try:
            load(copied)
        except UserError as error:
            assert "run.yaml" in str(error) or str(copied) in str(error)


# ---- programs in data ----------------------------------------------------------------------------

OWN = """\
import pathlib

from ssl_methods.methods.base import Method, Term

pathlib.Path({mark!r}).touch()


class Own(Method):
    def __init__(self, config, make_network):
        super().__init__(config, make_network)
        self.network = make_network(1)

    def loss(self, batch, progress):
        logits = self.network(batch.labeled_images)[0]
        return self.segmentation_terms(logits, batch.labels)
"""


@pytest.fixture
def own(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A run's folder whose run.yaml names a program in it; and the mark that the program leaves."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (copied / f"{name}.py").write_text(OWN.format(mark=str(tmp_path / "mark")))
    recorded = read_yaml(copied / "run.yaml")
    recorded["choice"] |= {"module": str(copied / f"{name}.py"), "method": name}
    write_yaml(copied / "run.yaml", recorded)
    (copied / "cases.csv").write_text("case,class,dice\na,b,0.5\n")
    monkeypatch.setattr(methods.PLUGINS, "own", {})
    monkeypatch.chdir(tmp_path)
    return copied, tmp_path / "mark"


@pytest.mark.parametrize("verb", ["predict", "evaluate", "reproduce", "train", "export"])
def test_a_program_that_a_record_names_runs_only_if_the_user_names_it(
    verb: str,
    own: tuple[Path, Path],
    scan: Path,
    prepared_results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, mark = own
    command = {
        "predict": ["predict", folder, scan, "--out", "out"],
        "evaluate": ["evaluate", folder, "--out", "out"],
        "reproduce": ["reproduce", folder / "run.yaml"],
        "train": ["train", folder / "run.yaml", "--out", "again"],
        "export": ["export", folder, "--out", "x.zip"],
    }[verb]
    command = [*map(str, command), "--results", str(prepared_results)]
    assert main(command) == 2
    assert not mark.exists()
    (line,) = capsys.readouterr().err.splitlines()
    (program,) = folder.glob("*.py")
    assert line.startswith("error: ") and f"--method-module {program}" in line
    if verb in ("predict", "export"):
        assert main([*command, "--method-module", str(program)]) == 0
        assert mark.exists()


def test_a_method_of_the_users_own_experiment_runs_from_a_record_of_it(
    tmp_path: Path, prepared_results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods.PLUGINS, "own", {})
    monkeypatch.chdir(tmp_path)
    results = shutil.copytree(prepared_results, tmp_path / "results")
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    Path(f"{name}.py").write_text(OWN.format(mark="mark"))
    declared = TINY | {"methods": {name: {"module": f"{name}.py"}}, "baseline": name}
    Path("x.yaml").write_text(yaml.safe_dump(declared))
    cell = ["x.yaml", "--method", name, "--budget", "2", "--results", str(results)]
    assert main(["train", *cell]) == 0
    monkeypatch.setattr(methods.PLUGINS, "own", {})
    assert main(["evaluate", *cell]) == 0
    folder = next(results.glob(f"tiny/runs/{name}/**/run.yaml")).parent
    monkeypatch.setattr(methods.PLUGINS, "own", {})
    assert main(["evaluate", str(folder), "--results", str(results)]) == 2
    moved = Path("elsewhere", f"{name}.py")
    moved.parent.mkdir()
    Path(f"{name}.py").rename(moved)
    again = ["evaluate", str(folder), "--results", str(results), "--method-module"]
    assert main([*again, str(moved)]) == 0


def test_torch_is_told_no_more_than_to_read_weights(copied: Path) -> None:
    state = torch.load(copied / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())


def test_a_record_of_no_method_or_no_data_is_named(copied: Path, tmp_path: Path) -> None:
    recorded = read_yaml(copied / "run.yaml")
    method = recorded | {"choice": recorded["choice"] | {"method": "supervise"}}
    unknown = {key: value for key, value in recorded.items() if key != "data"}
    for content, why in (
        (method, "there is no method 'supervise'"),
        (unknown, "holds no prepared"),
    ):
        write_yaml(copied / "run.yaml", content)
        with pytest.raises(UserError, match=rf"copied/run\.yaml: .*{why}"):
            load(copied, results=tmp_path / "none")
