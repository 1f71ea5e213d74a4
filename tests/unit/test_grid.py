"""The grid without Snakemake: what is declared, what runs again, lock, clock and devices."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.reruns import again
from support.settings import changed, leaves
from support.tiny import TINY

import ssl_methods
from ssl_methods import methods, provenance, rests_on
from ssl_methods.config import Experiment, as_given, load_experiment
from ssl_methods.config.run import WHERE_NOT_WHAT
from ssl_methods.config.training import TrainingConfig
from ssl_methods.data.compared import runs_of
from ssl_methods.errors import UserError
from ssl_methods.grid import Grid, gpu_slots, gpus_of_a_job, mend_times, with_own_methods

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/add-a-method.md").read_text()
TABLES = {"collect": 1, "report": 1}
MEASURE = {"evaluate": 2} | TABLES
TRAIN = {"train": 2} | MEASURE
SPLIT = {"split": 1} | TRAIN
ALL = {"prepare": 1} | SPLIT
ONE = {"train": 1, "evaluate": 1} | TABLES


def grid(**changes: Any) -> Grid:
    return Grid.of(TINY | changes)


# ---- what runs again: settings -------------------------------------------------------------------

EXPERIMENT = load_experiment(TINY | {"validation_cases": 1})
BY_PART = {
    "name": SPLIT,
    "dataset": ALL,
    "validation_cases": SPLIT,
    "labeled_cases": SPLIT,
    "budgets_count": SPLIT,
    "test": SPLIT,
    "network": TRAIN,
    "training": TRAIN,
    "evaluation": MEASURE,
}
GROWS = {"methods", "budgets", "subsets", "seeds", "scopes", "phases"}  # tested below
GROWS |= {"figures", "questions"}  # files: test_own_figure.py, test_questions.py
KEYS = [path for path in leaves(EXPERIMENT.model_dump(mode="json")) if path[0] not in GROWS]


def of(experiment: Experiment) -> Grid:
    return Grid(experiment, {}, "the same")


@pytest.mark.parametrize("key", KEYS, ids=".".join)
def test_a_changed_setting_runs_again_what_it_concerns(key: tuple[str, ...]):
    other = changed(EXPERIMENT, key, "dtc", "jaccard", [0], [2])
    if other is None:
        of_kinds = {("dataset", "importer"), ("network", "name"), ("network", "arguments")}
        assert key in of_kinds | {("training", "slices")}
        return
    expected = BY_PART.get(key[0], TABLES)
    if key[0] == "training" and key[1] in WHERE_NOT_WHAT:
        expected = TABLES
    assert again(of(EXPERIMENT), of(other)) == expected
    assert again(of(other), of(other)) == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"methods": {"supervised": {}, "dtc": {"weight": 0.5}}}, ONE),
        ({"methods": {"supervised": {}, "dtc": {"recipe": "as_released"}}}, ONE),
        ({"methods": ["supervised", "dtc", "mean_teacher"]}, ONE),
        ({"methods": ["supervised"]}, TABLES),
        ({"methods": ["dtc", "supervised"]}, TABLES),
        ({"recipe": "as_released"}, TRAIN),
        ({"budgets": [2, 3]}, SPLIT),
        ({"budgets": [3]}, SPLIT),
        ({"subsets": 3}, {"split": 2, "train": 4, "evaluate": 4} | TABLES),
        ({"seeds": 2}, TRAIN),
        ({"methods": {"supervised": {}, "dtc": {"budgets": [2]}}}, TABLES),
    ],
    ids=str,
)
def test_a_grid_that_grows_runs_what_is_new(change: dict[str, Any], expected: dict[str, int]):
    assert again(grid(), grid(**change)) == expected


def test_other_data_or_other_code_that_prepares_them_run_everything_again():
    assert again(of(EXPERIMENT), Grid(EXPERIMENT, {}, "other")) == ALL


def test_another_experiment_shares_the_prepared_data():
    assert again(grid(), grid(name="other")) == SPLIT


def test_the_tables_rest_on_those_of_the_experiment_beside(tmp_path: Path):
    beside = tmp_path / "other/tables/cases.csv"
    beside.parent.mkdir(parents=True)
    found = Grid(load_experiment(TINY | {"other_crop": "other"}), {}, "x", results=tmp_path)
    texts = {found.rests_on("collect")}
    for content in ("case\n1\n", "case\n2\n"):
        beside.write_text(content)
        texts.add(found.rests_on("collect"))
    assert len(texts) == 3


def test_workers_change_no_study_and_its_settings_do():
    search = {"methods": {"dtc": {"search": ["k"]}}, "trials": 4, "validation_cases": 2}
    search |= {"fresh_seeds": [], "subsets": [9]}
    study = {
        key: grid(studies={"s": search | change}).rests_on("tuning_layout", "s")
        for key, change in {"": {}, "workers": {"workers": 3}, "trials": {"trials": 5}}.items()
    }
    assert study[""] == study["workers"] != study["trials"]


# ---- what runs again: sources --------------------------------------------------------------------


SEEN: dict[tuple[str, bytes], Any] = {}


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of modules are made again when their content has changed, not once in a process."""
    once = provenance._module.__wrapped__

    def module(name: str) -> Any:
        path = provenance._path(name)
        key = (name, path.read_bytes() if path else b"")
        if key not in SEEN:
            SEEN[key] = once(name)
        return SEEN[key]

    monkeypatch.setattr(provenance, "_module", module)
    monkeypatch.setattr(rests_on, "sources", provenance.source_digest)


@pytest.fixture
def sources(tmp_path: Path, digests: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, of which digests are made while the test lasts."""
    copy, package = tmp_path / "copy/ssl_methods", Path(ssl_methods.__file__).parent
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", copy)
    return copy


BOTH = {f"{rule} {name}" for rule in ("train", "evaluate") for name in ("supervised", "dtc")}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("reporting/style.py", {"report"}),
        ("reporting/templates/report.html.j2", {"report"}),
        ("analysis/ranks.py", {"collect", "report"}),
        ("analysis/references.bib", {"collect", "report"}),
        ("losses.py", BOTH),
        ("methods/dtc.py", {"train dtc", "evaluate dtc"}),
        ("training/loop.py", {"train supervised", "train dtc"}),
        ("cli/one_run.py", set()),
        ("config/base.py", set()),
        ("devices/leases.py", set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sources_run_again_what_rests_on_them(sources: Path, source: str, expected: set[str]):
    rules = ["split", "collect", "report"]
    jobs = {rule: (rule, "") for rule in rules}
    for folder, run in (found := of(EXPERIMENT)).runs.items():
        jobs |= {f"{rule} {run.name}": (rule, folder) for rule in ("train", "evaluate")}
    before = {name: found.rests_on(*job) for name, job in jobs.items()}
    with (sources / source).open("a") as file:
        file.write("\nEDITED = True\n" if source.endswith(".py") else "\n% edited\n")
    assert {name for name, job in jobs.items() if found.rests_on(*job) != before[name]} == expected


# ---- methods of one's own ------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    return [part.partition("```")[0] for part in PAGE.split(f"```{language}\n")[1:]]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The method of the how-to, in a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(methods.PLUGINS, "own", {})
    for name in ("pseudo_label", "second"):
        (tmp_path / f"{name}.py").write_text(blocks("python")[0])
    return tmp_path / "pseudo_label.py"


def added(files: str, **changes: Any) -> Grid:
    return Grid.of(as_given([TINY | changes], {"method_module": files}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", {}), ("\n# A remark.\n", {}), ("\nEDITED = True\n", {"train", "evaluate"})],
    ids=["nothing", "a comment", "code"],
)
def test_an_edit_of_a_method_of_ones_own_trains_it_alone(
    own: Path, digests: None, text: str, expected: set[str]
):
    found = added("pseudo_label.py")
    jobs = [(rule, folder) for folder in found.runs for rule in ("train", "evaluate")]
    before = {job: found.rests_on(*job) for job in jobs}
    own.write_text(own.read_text() + text)
    differ = {job for job in jobs if found.rests_on(*job) != before[job]}
    names = {found.runs[folder].name for _, folder in differ}
    assert names == ({"pseudo_label"} if expected else set())
    assert {rule for rule, _ in differ} == set(expected)


def test_the_experiment_file_may_name_it_under_several_names(own: Path):
    """The row that is trained already is not trained again."""
    (declared,) = (yaml.safe_load(block) for block in blocks("yaml"))
    assert again(added("pseudo_label.py"), grid(**declared)) == ONE


def test_several_are_added_and_keep_the_settings_that_the_experiment_gives_them(own: Path):
    methods = {"supervised": None, "pseudo_label": {"confidence": 0.8}}
    found = added("pseudo_label.py,second.py", methods=methods).experiment.methods
    assert list(found) == ["supervised", "pseudo_label", "second"]
    assert found["pseudo_label"].settings == {"confidence": 0.8}
    assert found["second"].module == Path("second.py")
    assert "method_module" not in with_own_methods({"method_module": ""})


def test_a_file_that_is_absent_ends_in_one_line(own: Path):
    with pytest.raises(UserError, match=r"absent\.py: is no Python file") as raised:
        added("absent.py")
    assert "\n" not in str(raised.value)


# ---- what is declared ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs/experiments").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_declared_experiment_is_a_grid(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    experiment = load_experiment(path)
    source = experiment.dataset.path
    if source is not None and not source.exists():
        pytest.skip(f"{source} is absent")
    found = Grid.of(yaml.safe_load(path.read_text()))
    assert list(found.runs.values()) == runs_of(experiment, Path("results"))
    cells = {(run.budget, run.subset) for run in found.runs.values()}
    assert {found.split(*cell) for cell in cells} <= set(found.of_every_split())


def test_budgets_that_mean_the_same_are_refused_once_the_data_are_there(prepared_results: Path):
    given = TINY | {"budgets": [6, "all"]}
    with pytest.raises(UserError, match="budgets 6 and all both mean 6 labeled cases of tiny"):
        Grid.of(given, prepared_results)
    Grid.of(TINY | {"budgets": [5, "all"]}, prepared_results)


def test_a_source_that_is_gone_is_said_and_its_prepared_data_are_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "scans").mkdir()
    dataset = {"name": "own", "importer": "folder", "path": str(tmp_path / "absent")}
    with pytest.raises(UserError, match="absent"):
        Grid.of(TINY | {"dataset": dataset}, tmp_path)
    store = Path(Grid(load_experiment(TINY | {"dataset": dataset}), {}, "", results=tmp_path).store)
    store.mkdir(parents=True)
    (store / "source.txt").write_text("what it was\n")
    assert Grid.of(TINY | {"dataset": dataset}, tmp_path).fingerprint == "what it was"
    assert f"{store}: its source is not here; taken as it is" in capsys.readouterr().err


def test_measurements_are_missed_once_the_tables_are_there(tmp_path: Path):
    found = Grid(EXPERIMENT, {}, "x", results=tmp_path)
    assert found.deleted_measurements() == []
    for file in [*found.tables, *found.of_every_run("cases.csv")]:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    assert found.deleted_measurements() == []
    (gone, _) = found.of_every_run("cases.csv")
    Path(gone).unlink()
    assert found.deleted_measurements() == [gone]


def test_jobs_read_the_settings_as_they_were_resolved(tmp_path: Path):
    found = Grid(EXPERIMENT, {}, "x", results=tmp_path)
    found.declare(studies=True)
    assert load_experiment(Path(found.declaration)) == EXPERIMENT


# ---- the lock, the clock, the devices ------------------------------------------------------------


def test_one_works_at_a_time_and_another_is_told_who(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = of(EXPERIMENT), of(EXPERIMENT)
    with first.turn() as turn:
        assert turn is not None and second.turn() is None
        assert second.not_alone().startswith(
            f"results/tiny: another Snakemake works on this experiment (process {os.getpid()} on "
        )
        with grid(name="other").turn() as other:
            assert other is not None
    with second.turn() as again_free:
        assert again_free is not None


def test_files_from_the_future_are_brought_back_to_now(tmp_path: Path, capsys):
    now = time.time()
    ahead, behind = tmp_path / "ahead", tmp_path / "behind"
    for path, when in ((ahead, now + 3600), (behind, now - 3600)):
        path.touch()
        os.utime(path, (when, when))
    mend_times([str(ahead), str(behind), str(ahead), str(tmp_path / "absent")])
    assert now <= ahead.stat().st_mtime <= time.time()
    assert behind.stat().st_mtime == pytest.approx(now - 3600)
    assert capsys.readouterr().out.count("is from the future") == 1


def test_a_job_asks_for_a_gpu_unless_it_is_to_compute_on_the_cpu():
    assert [gpus_of_a_job(TrainingConfig(device=it)) for it in ("auto", "cuda", "cpu")] == [1, 1, 0]
    assert gpu_slots(TrainingConfig(runs_per_gpu=3), ["GPU-a", "GPU-b"]) == 6
    assert gpu_slots(TrainingConfig(), []) == 0
