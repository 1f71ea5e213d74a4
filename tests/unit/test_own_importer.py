"""An importer in one file of the user's own: named in the experiment, it reads scans as those of
the package do; named in a record alone, it does not run."""

from pathlib import Path

import numpy as np
import pytest

from ssl_methods import config
from ssl_methods.config import IMPORTERS, load_dataset, load_experiment
from ssl_methods.config.reading import parse_run
from ssl_methods.data.importers.registry import read_source
from ssl_methods.data.prepare import is_current, prepare, source_fingerprint
from ssl_methods.data.splits import make_split
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError
from ssl_methods.settings_pages.pages import settings_page
from ssl_methods.settings_pages.schema import experiment_schema
from ssl_methods.tuning.study import load_studies

IMPORTER = '''"""Scans as NumPy arrays: <id>.npy, and <id>-truth.npy of those that have a label."""

from functools import partial
from pathlib import Path

import numpy as np

from ssl_methods.config import DatasetBase, setting
from ssl_methods.data.importers.base import RawCase, Scan, Source, source_folder

Path(__file__).with_suffix(".ran").touch()


class ArraysDataset(DatasetBase):
    """Arrays of NumPy, of a voxel size that this setting says."""

    voxel_mm: float = setting(1.0, "side of a voxel, in mm", gt=0)


def read(dataset: ArraysDataset) -> Source:
    folder = source_folder(dataset)
    images = [it for it in sorted(folder.glob("*.npy")) if not it.stem.endswith("-truth")]
    cases = []
    for image in images:
        label = image.with_name(f"{image.stem}-truth.npy")
        load = partial(one, image, label, dataset.voxel_mm)
        cases.append(RawCase(image.stem, "train", label.exists(), load))
    return Source(cases, {1: "thing"}, may_crash=dataset.ignore == ("crash",))


def one(image: Path, label: Path, voxel_mm: float) -> Scan:
    array = np.load(image)
    truth = np.load(label) if label.exists() else None
    return Scan(array[np.newaxis], truth, (voxel_mm,) * array.ndim, None)
'''


@pytest.fixture(autouse=True)
def no_importer_of_ones_own(monkeypatch):
    monkeypatch.setattr(IMPORTERS, "own", {})


@pytest.fixture
def declared(tmp_path):
    """An experiment as a file says it, with scans and the importer beside it."""
    folder, rng = tmp_path / "arrays", np.random.default_rng(0)
    folder.mkdir()
    for number in range(5):
        image = rng.normal(size=(8, 8, 8)).astype(np.float32)
        np.save(folder / f"case{number}.npy", image)
        if number:
            np.save(folder / f"case{number}-truth.npy", (image > 1).astype(np.uint8))
    (tmp_path / "arrays.py").write_text(IMPORTER)
    return {
        "name": "mine",
        "dataset": {
            "name": "mine", "importer": str(tmp_path / "arrays.py"), "path": str(folder),
            "voxel_mm": 2.0, "test_cases": 1, "normalisation": "none",
        },
        "methods": ["supervised"],
        "budgets": [1],
        "network": {"levels": 2},
        "training": {"patch_size": [8, 8, 8]},
    }  # fmt: skip


def ran(declared):
    return Path(declared["dataset"]["importer"]).with_suffix(".ran").exists()


@pytest.mark.parametrize("workers, crash", [(1, False), (2, False), (1, True)])
def test_it_reads_scans_here_and_in_other_processes(declared, workers, crash, tmp_path):
    if crash:  # in a process of its own even with one worker
        declared["dataset"]["ignore"] = ["crash"]
    dataset = load_experiment(declared).dataset
    store = Store.open(prepare(dataset, tmp_path / "results", workers))
    assert store.classes == ["thing"] and len(store.cases) == 5
    assert not store.cases["case0"].labeled and store.cases["case1"].spacing == (2.0, 2.0, 2.0)
    image = np.load(Path(declared["dataset"]["path"], "case3.npy"))
    np.testing.assert_array_equal(store.image("case3")[0], image)
    np.testing.assert_array_equal(store.label("case3"), image > 1)
    assert len(make_split(store, 1.0, 0).labeled) == 3


def test_a_data_set_alone_names_it_too(declared):
    assert load_dataset(declared["dataset"]).voxel_mm == 2.0


def test_a_study_that_was_resolved_names_it_too(declared):
    declared["studies"] = {"s": {"budget": 1, "trials": 1}}
    declared["subsets"], declared["training"]["iterations"] = 1, 10
    (study,) = load_studies(declared)
    IMPORTERS.own.clear()
    (again,) = load_studies(study.model_dump(mode="json"))
    assert again.dataset.voxel_mm == 2.0 and type(again.dataset).__name__ == "ArraysDataset"


def test_its_settings_are_checked_as_those_of_the_package_are(declared):
    declared["dataset"] |= {"voxel_m": 1.0, "voxel_mm": -1}
    with pytest.raises(UserError) as refused:
        load_experiment(declared)
    assert str(refused.value).splitlines() == [
        "mine: dataset.voxel_m: unknown key; did you mean 'voxel_mm'?",
        "mine: dataset.voxel_mm: Input should be greater than 0 (given: -1)",
    ]


def test_the_pages_and_the_schema_hold_it(declared):
    load_experiment(declared)
    page = settings_page()
    assert "## `dataset` with `importer: arrays`\n\nArrays of NumPy" in page
    assert "| `voxel_mm` | `1.0` | side of a voxel, in mm; > 0 |" in page
    schema = experiment_schema()
    assert "voxel_mm" in schema["$defs"]["ArraysDataset"]["properties"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("1 / 0\n", "arrays.py: ZeroDivisionError: division by zero"),
        ("def read(dataset): ...\n", "must define one subclass of DatasetBase, and defines 0"),
        (IMPORTER.replace("def read", "def reed"), r"arrays.py: must define read\(dataset\)"),
    ],
)
def test_what_is_no_importer_is_said(declared, text, message):
    Path(declared["dataset"]["importer"]).write_text(text)
    with pytest.raises(UserError, match=message):
        read_source(load_experiment(declared).dataset)


def test_a_file_that_is_not_there_is_said(declared, tmp_path):
    declared["dataset"]["importer"] = str(tmp_path / "other.py")
    with pytest.raises(UserError, match="is no Python file that could define an importer"):
        load_experiment(declared)


def test_the_store_is_of_its_source(declared, tmp_path):
    dataset = load_experiment(declared).dataset
    folder, before = prepare(dataset, tmp_path / "results"), source_fingerprint(dataset)
    file = Path(declared["dataset"]["importer"])
    assert is_current(dataset, folder)
    file.write_text(IMPORTER.replace("may_crash=dataset", "may_crash=1 > 2 and dataset"))
    from ssl_methods import provenance

    provenance._module.cache_clear()
    assert source_fingerprint(dataset) != before and not is_current(dataset, folder)


@pytest.mark.parametrize("stain", [None, "none"])
def test_a_record_does_not_run_it(declared, stain, tmp_path):
    """A run.yaml is data: its settings hold all the same, and name the same store and training."""
    if stain is not None:
        text = IMPORTER.replace("(DatasetBase)", "(DatasetBase, StainSettings)")
        text = text.replace("import DatasetBase,", "import DatasetBase, StainSettings,")
        Path(declared["dataset"]["importer"]).write_text(text)
    run = next(load_experiment(declared).runs())
    recorded = run.model_dump(mode="json")
    IMPORTERS.own.clear()
    Path(declared["dataset"]["importer"]).with_suffix(".ran").unlink()
    again = parse_run(recorded, tmp_path / "run.yaml")
    assert not ran(declared) and again.model_dump(mode="json") == recorded
    assert isinstance(again.dataset, config.StainSettings) == (stain is not None)
    assert again.training_digest() == run.training_digest()
    assert store_folder(again.dataset, tmp_path) == store_folder(run.dataset, tmp_path)
    with pytest.raises(UserError, match="its importer is a program"):
        read_source(again.dataset)
    assert not ran(declared)
