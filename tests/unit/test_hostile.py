"""Files that somebody else made: nothing in them runs, or leads out of the folder it belongs to."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import h5py
import nibabel
import nrrd
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from support.simulated import experiment as simulated_experiment
from support.simulated import write_results

from ssl_methods.analysis.collect import collect
from ssl_methods.analysis.latex import latex
from ssl_methods.analysis.run_files import read_slice
from ssl_methods.analysis.shown import markdown
from ssl_methods.config import load_experiment, load_run, read_yaml
from ssl_methods.data.importers.decathlon import DecathlonDataset
from ssl_methods.data.importers.folder import FolderDataset
from ssl_methods.data.importers.left_atrium import LeftAtriumDataset
from ssl_methods.data.importers.registry import read_source
from ssl_methods.data.splits import load_split, make_split, split_name
from ssl_methods.data.store import Manifest, Store, store_folder
from ssl_methods.data.volumes import read_volume
from ssl_methods.errors import UserError
from ssl_methods.evaluation.compare import compare_files
from ssl_methods.evaluation.trained import restore
from ssl_methods.files import write_json, write_yaml
from ssl_methods.networks.released_weights import read_released
from ssl_methods.reporting.report import report
from ssl_methods.run_record import read_record
from ssl_methods.training.checkpoint import Checkpoint


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def bombs(folder: Path) -> list[Path]:
    """The same bomb as a bare pickle, as torch.save writes it now and as it once did."""
    bomb, found = Bomb(folder / "exploded"), []
    for name, write in {
        "bare": lambda path: path.write_bytes(pickle.dumps(bomb)),
        "zip": lambda path: torch.save({"key": "key", "method": bomb}, path),
        "legacy": lambda path: torch.save(
            {"key": "key", "method": bomb}, path, _use_new_zipfile_serialization=False
        ),
    }.items():
        found.append(folder / name)
        write(found[-1])
    torch.load(folder / "zip", weights_only=False)
    assert (folder / "exploded").exists(), "the bomb is a dud"
    (folder / "exploded").unlink()
    return found


@pytest.fixture
def run_folder(experiment, prepared_results, tmp_path: Path) -> Path:
    write_yaml(tmp_path / "run.yaml", next(experiment().runs()).model_dump(mode="json"))
    return tmp_path


def test_no_pickle_runs_from_a_model_or_a_checkpoint(
    run_folder, experiment, prepared_results, caplog
):
    store = Store.open(store_folder(experiment().dataset, prepared_results))
    for bomb in bombs(run_folder):
        content = bomb.read_bytes()
        (run_folder / "model.pt").write_bytes(content)
        with pytest.raises(UserError, match=r"model\.pt: cannot be loaded"):
            restore(read_record(run_folder), store)
        with pytest.raises(UserError, match="a plain PyTorch checkpoint is expected"):
            read_released(run_folder / "model.pt")
        (run_folder / "checkpoint.pt").write_bytes(content)
        layer = torch.nn.Linear(1, 1)
        assert Checkpoint(run_folder, "key", torch.device("cpu")).restore(layer, []).iteration == 0
        assert "checkpoint.pt is broken and is passed over" in caplog.text
    assert not (run_folder / "exploded").exists()


@pytest.mark.parametrize("content", [[1, 2], torch.ones(2), {"weight": "text"}, {1: 2}, {}])
def test_a_model_of_another_form_is_an_error_of_one_line(
    content, run_folder, experiment, prepared_results
):
    torch.save(content, run_folder / "model.pt")
    store = Store.open(store_folder(experiment().dataset, prepared_results))
    with pytest.raises(UserError, match=r"^.*model\.pt: cannot be loaded \(.*\)$"):
        restore(read_record(run_folder), store)


def test_no_pickle_runs_from_arrays(tmp_path: Path):
    bomb = np.array([Bomb(tmp_path / "exploded")], dtype=object)
    np.save(tmp_path / "bomb.npy", bomb, allow_pickle=True)
    with pytest.raises(UserError, match=r"bomb\.npy"):
        compare_files(tmp_path / "bomb.npy", tmp_path / "bomb.npy")
    buffer = BytesIO()
    np.save(buffer, bomb, allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "slices.npz", "w") as archive:
        for part in ("image", "label", "prediction"):
            archive.writestr(f"a.{part}.npy", buffer.getvalue())
    with pytest.raises(UserError, match="holds no numbers"):
        read_slice(tmp_path / "slices.npz", "a")
    (tmp_path / "cases" / "a").mkdir(parents=True)
    np.save(tmp_path / "cases" / "a" / "image.npy", bomb, allow_pickle=True)
    with pytest.raises(UserError, match=r"image\.npy: cannot be read"):
        Store(tmp_path, manifest("a")).image("a")
    assert not (tmp_path / "exploded").exists()


def test_no_python_runs_from_yaml(tmp_path: Path):
    mark = tmp_path / "exploded"
    text = f"name: !!python/object/apply:os.mkdir ['{mark}']\n"
    (tmp_path / "run.yaml").write_text(text)
    yaml.unsafe_load(text)
    mark.rmdir()  # the bomb is no dud
    for read in (read_yaml, load_run, load_experiment):
        with pytest.raises(UserError, match=r"run\.yaml: is not valid YAML"):
            read(tmp_path / "run.yaml")
    assert not mark.exists()


# ---- names ---------------------------------------------------------------------------------------

OUTSIDE = ["../a", "a/../../b", "/tmp/a", "..", ".", ".hidden", "", "a\\b", "a\nb", "a\x00b"]


def manifest(case_id: str) -> Manifest:
    return Manifest.model_validate(manifest_of(case_id))


def manifest_of(case_id: str) -> dict:
    case = {
        "id": case_id,
        "split": "test",
        "labeled": True,
        "shape": [4, 4, 4],
        "spacing": [1, 1, 1],
        "affine": None,
        "image_sha256": "0",
        "label_sha256": "0",
        "foreground_voxels": [1],
    }
    return {
        "dataset": "d",
        "settings": {},
        "dimensions": 3,
        "channels": 1,
        "classes": ["a"],
        "crop_used_label": False,
        "cases": [case],
    }


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_manifest_cannot_name_a_case_outside_its_folder(name: str, tmp_path: Path):
    write_json(tmp_path / "manifest.json", manifest_of(name))
    with pytest.raises(UserError, match=r"manifest\.json: cases\.0\.id: .* folder's name"):
        Store.open(tmp_path)


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_experiment_cannot_name_a_folder_outside_the_results(name: str):
    good = {
        "name": "good",
        "dataset": {"name": "good", "importer": "phantom"},
        "methods": ["supervised"],
        "budgets": [2],
    }
    load_experiment(good)
    for bad in (
        {"name": name},
        {"dataset": {"name": name, "importer": "phantom"}},
        {"methods": {name: {"method": "supervised"}}},
    ):
        with pytest.raises(UserError):
            load_experiment(good | bad)


def test_a_split_names_no_case_but_those_drawn(experiment, prepared_results, tmp_path: Path):
    run = next(experiment().runs())
    store = Store.open(store_folder(run.dataset, prepared_results))
    split = load_split(run, store, tmp_path)
    path = tmp_path / run.experiment / "splits" / split_name(run.budget, run.subset)
    split.model_copy(update={"test": ["../../secret"]}).write(path)
    with pytest.raises(UserError, match="of other data or settings"):
        load_split(run, store, tmp_path)


def test_lists_of_cases_lead_nowhere_else(tmp_path: Path):
    secret = tmp_path / "secret"
    source = tmp_path / "source"
    (secret / "a").mkdir(parents=True)
    source.mkdir()
    with h5py.File(secret / "a" / "mri_norm2.h5", "w") as file:
        file["image"] = file["label"] = np.ones((4, 4, 4))
    (source / "train.list").write_text("../secret/a\n")
    with pytest.raises(UserError, match="cannot be a folder's name"):
        read_source(LeftAtriumDataset(name="x", importer="left_atrium", path=source))
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4)), np.eye(4)), secret / "scan.nii.gz")
    for image in ("../secret/scan.nii.gz", str(secret / "scan.nii.gz")):
        listed = {"labels": {"1": "x"}, "training": [{"image": image}]}
        (source / "dataset.json").write_text(json.dumps(listed))
        with pytest.raises(UserError, match=r"scan\.nii\.gz: is not within"):
            read_source(DecathlonDataset(name="x", importer="decathlon", path=source))


@pytest.mark.parametrize("kind", ["soft link", "external link", "external storage", "virtual"])
def test_an_hdf5_file_names_no_other_file(kind: str, tmp_path: Path):
    from ssl_methods.data.importers.left_atrium import load

    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["data"] = np.zeros((4, 4, 4))
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["label"] = np.zeros((4, 4, 4), np.uint8)
        if kind == "soft link":
            file["image"] = h5py.SoftLink("/label")
        elif kind == "external link":
            file["image"] = h5py.ExternalLink(str(secret), "/data")
        elif kind == "external storage":
            where = [(str(secret), 0, 64)]
            file.create_dataset("image", (4, 4, 4), np.uint8, external=where)
        else:
            layout = h5py.VirtualLayout((4, 4, 4), np.float64)
            layout[:] = h5py.VirtualSource(str(secret), "data", (4, 4, 4))
            file.create_virtual_dataset("image", layout)
    with pytest.raises(UserError, match="'image' is not an array within the file"):
        load(tmp_path / "scan.h5")


def test_a_detached_nrrd_header_names_no_file_elsewhere(tmp_path: Path):
    (tmp_path / "source").mkdir()
    path = tmp_path / "source" / "scan.nhdr"
    header = {"space": "left-posterior-superior", "space directions": np.eye(3)}
    nrrd.write(str(path), np.ones((4, 4, 4), np.float32), header, detached_header=True)
    read_volume(path)
    (tmp_path / "source" / "scan.raw.gz").rename(tmp_path / "scan.raw.gz")
    text = path.read_text()
    for where in ("../scan.raw.gz", str(tmp_path / "scan.raw.gz")):
        path.write_text(re.sub("data file: .*", f"data file: {where}", text))
        with pytest.raises(UserError, match=r"scan\.raw\.gz is not within"):
            read_volume(path)


def test_a_class_name_is_a_line_of_text(tmp_path: Path):
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        image = nibabel.Nifti1Image(np.ones((4, 4, 4)), np.eye(4))
        nibabel.save(image, tmp_path / part / "a.nii.gz")
    (tmp_path / "classes.txt").write_text("left\x1b[2Jatrium\n")
    with pytest.raises(UserError, match="is no line of text"):
        read_source(FolderDataset(name="x", importer="folder", path=tmp_path))


# ---- what is shown -------------------------------------------------------------------------------

TAG = "<img src=x onerror=alert(1)>"
MATH = r"$\undefined{"


class Tags(HTMLParser):
    """The tags and handlers that a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[str] = []
        self.handlers: list[str] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        self.images += [dict(attributes).get("src", "") for _ in (1,) if tag == "img"]


@pytest.mark.system
def test_the_report_shows_names_and_runs_none_of_them(tmp_path: Path):
    declared = simulated_experiment(
        description=f"{TAG}<script>alert(1)</script>",
        methods={"supervised": {}, "dtc": {}},
        budgets=[4],
        subsets=1,
    )
    write_results(declared, tmp_path, test_cases=3, classes=(TAG, MATH))
    case = f"{TAG}{MATH}"
    for path in (tmp_path / "simulated").rglob("*"):
        if path.suffix in {".csv", ".json"}:
            path.write_text(path.read_text().replace("case_000", json.dumps(case)[1:-1]
                            if path.suffix == ".json" else case))  # fmt: skip
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                renamed = {key.replace("case_000", case): arrays[key] for key in arrays}
            np.savez(path, **renamed)
    collect(declared, tmp_path)
    text = report(declared, tmp_path).read_text()
    seen = Tags(text)
    assert seen.scripts == 1  # the page's own
    assert not seen.handlers
    assert seen.images and all(source.startswith("data:image/png") for source in seen.images)
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    table = (tmp_path / "simulated/tables/summary.md").read_text()
    assert rf"\{TAG}" in table and TAG not in table.replace(rf"\{TAG}", "")


def test_tables_show_every_character_as_itself():
    frame = pd.DataFrame(
        {"Method": [TAG, "a|b", "[x](http://y)"], "Class": [MATH, "a & b", "#1_%"]}
    )
    text = markdown(frame, "note")
    assert r"\<img src=x" in text and r"a\|b" in text and r"[x]\(http://y)" in text
    text = latex(frame, "100 % of_a & b # $ {x} \\input{/etc/passwd} ~ ^")
    assert r"\$\textbackslash{}undefined\{" in text
    assert r"a \& b" in text and r"\#1\_\%" in text
    assert r"100 \% of\_a \& b \# \$ \{x\} \textbackslash{}input\{/etc/passwd\}" in text
    assert r"\input" not in text


def test_what_is_hidden_in_a_name_is_shown():
    """Controls, marks of direction and line ends neither turn a line round nor begin another."""
    frame = pd.DataFrame(
        {"Method": ["a\u202eb", "c\nd", "e\x1b[2Jf"], "Class": ["\u2066x", "y", "z"]}
    )
    for text in (markdown(frame, "note"), latex(frame, "note")):
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b]", text)
        assert "c d" in text and "u202e" in text and "u001b" in text
    assert len(markdown(frame, "note").splitlines()) == 7


@pytest.mark.system
def test_the_page_shows_what_is_hidden(tmp_path: Path):
    odd = "left\u202eright"
    declared = simulated_experiment(
        description=f"{odd} \x07", methods=["dtc"], budgets=[4], subsets=1
    )
    write_results(declared, tmp_path, test_cases=2, classes=(odd, "b|c"))
    collect(declared, tmp_path)
    text = report(declared, tmp_path).read_text(encoding="utf-8")
    assert "\u202e" not in text and "\x07" not in text
    assert r"left\u202eright" in text and "b|c" in text


def test_a_manifest_without_the_seed_of_its_splits_is_one_line(tmp_path: Path):
    write_json(tmp_path / "manifest.json", manifest_of("a"))
    training = manifest_of("b")["cases"][0] | {"split": "train"}
    content = manifest_of("a")
    content["cases"].append(training)
    write_json(tmp_path / "manifest.json", content)
    with pytest.raises(UserError, match=r"manifest\.json: settings\.split_seed"):
        make_split(Store.open(tmp_path), 1, 0)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_list_names_no_file_that_cannot_be(name: str, tmp_path: Path):
    listed = {"labels": {"1": "x"}, "training": [{"image": name + ".nii.gz"}]}
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    with pytest.raises(UserError, match=r"dataset\.json: ") as error:
        read_source(DecathlonDataset(name="x", importer="decathlon", path=tmp_path))
    assert len(str(error.value)) < 400 and str(error.value).isprintable()


def test_a_released_network_is_of_a_width_that_can_be(tmp_path: Path):
    first = torch.zeros(1).expand(10**12, 1, 3, 3, 3)
    torch.save({"block_one.conv.0.weight": first}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"a\.pth: has 1000000000000 filters"):
        read_released(tmp_path / "a.pth")


@pytest.mark.parametrize("channels", [0, 10**30])
def test_a_manifest_of_no_number_of_channels_is_one_line(channels: int, tmp_path: Path):
    write_json(tmp_path / "manifest.json", manifest_of("a") | {"channels": channels})
    with pytest.raises(UserError, match=r"manifest\.json: channels: "):
        Store.open(tmp_path)


def test_a_long_word_in_settings_is_shown_in_part():
    with pytest.raises(UserError, match="given: 'xxx") as error:
        load_experiment({"name": "a", "budgets": "x" * 5000})
    assert max(map(len, str(error.value).splitlines())) < 500
