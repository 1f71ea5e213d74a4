"""What is recorded of a result is true, and wrong nowhere that the code could make it wrong.

Source digests: a stage depends on what it imports, and on no more.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import ssl_methods
from ssl_methods import provenance
from ssl_methods.data.splits import load_split
from ssl_methods.data.store import Store, store_folder
from ssl_methods.training.observers import Observer
from ssl_methods.training.train import train

SOURCES = Path(ssl_methods.__file__).parent
STAGES = ("prepare", "train", "evaluate", "collect", "report")


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(SOURCES, tmp_path / "ssl_methods", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def digests(folder):
    code = (
        "from ssl_methods.provenance import source_digest\n"
        f"for stage in {STAGES}: print(stage, source_digest(stage))\n"
        "for name in ('dtc', 'supervised'):\n"
        "    print(name, source_digest('train', f'ssl_methods.methods.{name}'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in run.stdout.splitlines())


def changed_by(folder, file, code):
    """The stages that one more line of code in a file reruns."""
    before = digests(folder)
    with (folder / "ssl_methods" / file).open("a") as source:
        source.write(f"\n{code}\n")
    after = digests(folder)
    return {key for key in before if before[key] != after[key]}


def test_a_loss_reruns_training(copy):
    changed = changed_by(copy, "losses.py", "SMOOTH = 1e-6")
    assert {"train", "dtc", "supervised", "evaluate"} >= changed >= {"dtc", "supervised"}


def test_a_method_reruns_itself_alone(copy):
    assert changed_by(copy, "methods/dtc.py", "DTC.uses_unlabeled = False") == {"dtc"}


def test_a_figure_reruns_no_training(copy):
    changed = changed_by(copy, "reporting/style.py", "WIDTH = 1")
    assert changed == {"report"}


def test_the_template_of_the_page_reruns_the_report_alone(copy):
    file = "reporting/templates/report.html.j2"
    assert changed_by(copy, file, "<p>more</p>") == {"report"}


def test_what_changes_no_number_reruns_nothing(copy):
    """Nor does a module inside such a package, imported by its own name."""
    modules = ["config.base", "config.reading", "devices.leases", "files"]
    with (copy / "ssl_methods" / "losses.py").open("a") as source:
        source.writelines(f"\nimport ssl_methods.{module}\n" for module in modules)
    before = digests(copy)
    for module in modules:
        path = copy / "ssl_methods" / f"{module.replace('.', '/')}.py"
        path.write_text(path.read_text() + "\nEDITED = True\n")
    assert digests(copy) == before


def test_comments_and_docstrings_rerun_nothing(copy):
    before = digests(copy)
    path = copy / "ssl_methods" / "losses.py"
    path.write_text(
        path.read_text().replace('"""Segmentation losses', '"""All losses') + "\n# a remark\n"
    )
    assert digests(copy) == before


# ---- methods from elsewhere ----------------------------------------------------------------------

DIGEST_OF_OWN = """
import sys
from pathlib import Path
from ssl_methods.methods import modules, register
from ssl_methods.provenance import source_digest
name = register(Path(sys.argv[1]))
print(source_digest("train", modules()[name]))
"""


def digest_of_own(file, cwd):
    return subprocess.run(
        [sys.executable, "-c", DIGEST_OF_OWN, str(file)],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(SOURCES.parent)},
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


OWN = {
    "mine.py": "import json\nimport helper\nfrom parts import mixing as m\nfrom near import *\n",
    "helper.py": "VALUE = 1\n",
    "parts/__init__.py": "",
    "parts/mixing.py": "from parts.deep import x\nfrom . import beside\n",
    "parts/deep.py": "x = 1\n",
    "parts/beside.py": "y = 1\n",
    "near/__init__.py": "import importlib\nimportlib.import_module('late')\n",
    "late.py": "z = 1\n",
    "unrelated.py": "z = 1\n",
}


@pytest.fixture
def own(tmp_path):
    for name, text in OWN.items():
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "own"


@pytest.mark.parametrize("name", [name for name in OWN if name != "unrelated.py"])
def test_what_a_file_of_ones_own_imports_counts(name, own, tmp_path):
    before = digest_of_own(own / "mine.py", tmp_path)
    with (own / name).open("a") as file:
        file.write("EDITED = True\n")
    assert digest_of_own(own / "mine.py", tmp_path) != before


def test_what_it_does_not_import_and_where_it_lies_do_not_count(own, tmp_path):
    before = digest_of_own(own / "mine.py", tmp_path)
    (own / "unrelated.py").write_text("z = 2\n")
    (own / "helper.py").write_text("# a remark\n" + OWN["helper.py"])
    moved = own.rename(tmp_path / "elsewhere")
    assert digest_of_own(moved / "mine.py", tmp_path) == before


def test_relative_imports_of_a_package_are_followed():
    tree = provenance.ast.parse("from . import a\nfrom .b import c\nfrom ..d import e\n")
    of_module = set(provenance._imported(tree, "ssl_methods.x.y", is_package=False))
    assert of_module == {
        "ssl_methods.x", "ssl_methods.x.a", "ssl_methods.x.b", "ssl_methods.x.b.c",
        "ssl_methods.d", "ssl_methods.d.e",
    }  # fmt: skip
    of_package = set(provenance._imported(tree, "ssl_methods.x", is_package=True))
    assert of_package == of_module


# ---- the commit ----------------------------------------------------------------------------------


def git(folder, *arguments):
    who = ["-c", "user.email=a@example.org", "-c", "user.name=a", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", "-C", folder, *who, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def repository(folder):
    """A repository with these sources in it, committed."""
    git(folder, "init", "-q", ".")
    (folder / ".gitignore").write_text("__pycache__/\nignored*\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "sources")
    return git(folder, "rev-parse", "HEAD")


def git_state(folder, **environment):
    code = (
        "import json; from ssl_methods.provenance import git_state; print(json.dumps(git_state()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(folder)} | environment,
    )  # fmt: skip
    return json.loads(run.stdout)


def edit(folder, file="ssl_methods/losses.py"):
    with (folder / file).open("a") as source:
        source.write("EDITED = True\n")


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda folder: None, False),
        (edit, True),
        (lambda folder: (edit(folder), git(folder, "add", ".")), True),
        (lambda folder: (folder / "ssl_methods/losses.py").unlink(), True),
        (lambda folder: edit(folder, "ssl_methods/methods/mine.py"), True),
        (lambda folder: edit(folder, "ssl_methods/methods/ignored.py"), True),
        (lambda folder: edit(folder, "notes.py"), False),
        (lambda folder: edit(folder, "ssl_methods/notes.txt"), False),
        (lambda folder: (edit(folder), git(folder, "commit", "-qam", "edited")), False),
    ],
)
def test_changed_is_what_the_sources_are(copy, change, changed):
    repository(copy)
    change(copy)
    assert git_state(copy) == {"commit": git(copy, "rev-parse", "HEAD"), "changed": changed}


def test_the_environment_does_not_say_which_repository(copy, tmp_path_factory):
    own = repository(copy)
    other = tmp_path_factory.mktemp("other")
    (other / "file").touch()
    assert repository(other) != own
    named = {"GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other)}
    assert git_state(copy, **named) == {"commit": own, "changed": False}
    assert git_state(copy, GIT_INDEX_FILE=str(other / "none"))["changed"] is False


@pytest.mark.parametrize("kind", ["below", "beside", "none", "empty"])
def test_the_commit_of_a_foreign_repository_is_not_known(copy, kind, tmp_path):
    folder = copy
    if kind == "below":  # a download within somebody's repository
        folder = tmp_path / "ssl-main"
        folder.mkdir()
        (copy / "ssl_methods").rename(folder / "ssl_methods")
        repository(tmp_path)
    elif kind == "beside":  # installed where a repository begins, which does not track it
        git(copy, "init", "-q", ".")
        (copy / "README").touch()
        git(copy, "add", "README")
        git(copy, "commit", "-q", "-m", "mine")
    elif kind == "empty":  # no commit
        git(copy, "init", "-q", ".")
    assert git_state(folder) == {}


# ---- all else that is recorded -------------------------------------------------------------------


def test_each_record_of_a_run_is_true(experiment, prepared_results, tmp_path, monkeypatch):
    results = shutil.copytree(prepared_results, tmp_path / "results")
    declared = experiment(subsets=2, seeds=2)
    runs = [declared.run("dtc", 2, *cell) for cell in ((0, 0), (1, 0), (0, 1))]
    records = []
    for number, run in enumerate(runs):
        train(run, results, tmp_path / str(number))
        records.append(json.loads((tmp_path / str(number) / "provenance.json").read_text()))
    first, other_subset, other_seed = records
    assert (first["seeds"]["subset"], first["seeds"]["seed"]) == (0, 0)
    assert (other_subset["seeds"]["subset"], other_seed["seeds"]["seed"]) == (1, 1)
    assert len({record["seeds"]["entropy"] for record in records}) == 3
    assert first["data"] == other_seed["data"] != other_subset["data"]
    assert first["split"] == other_seed["split"] != other_subset["split"]
    assert len({record["model_sha256"] for record in records}) == 3
    store = Store.open(store_folder(declared.dataset, results))
    split = load_split(runs[0], store, results)
    assert first["split"] == split.model_dump(mode="json")
    model = (tmp_path / "0" / "model.pt").read_bytes()
    assert first["model_sha256"] == hashlib.sha256(model).hexdigest()
    assert first["settings"]["choice"]["method"] == "dtc"
    assert first["settings"]["training"]["iterations"] == runs[0].training.iterations
    assert first["settings"]["method_settings"]["k"] == 1500
    assert first["versions"]["torch"] == torch.__version__
    assert first["versions"]["numpy"] == version("numpy")
    assert first["versions"]["python"] == platform.python_version()
    assert first["versions"]["ssl-methods"] == ssl_methods.__version__
    assert (first["device"], first["precision"], first["resumed_from"]) == ("cpu", "float32", [])
    assert first["git"] == provenance.git_state()
    assert first["sources"] == provenance.source_digest("train", "ssl_methods.methods.dtc")


def test_sources_and_commit_are_those_of_the_start(
    experiment, prepared_results, tmp_path, monkeypatch
):
    """What runs was imported then; a commit while it trains says nothing of it."""
    now = {"git": "at the start", "sources": "at the start"}

    class Later(Observer):
        def see(self, row, total):
            now.update(git="later", sources="later")

    monkeypatch.setattr(provenance, "git_state", lambda: {"commit": now["git"]})
    monkeypatch.setattr(provenance, "source_digest", lambda *_: now["sources"])
    run = experiment().run("supervised", 2, 0, 0)
    train(run, prepared_results, tmp_path / "run", Later("test"))
    record = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert now["git"] == "later"
    assert (record["git"], record["sources"]) == ({"commit": "at the start"}, "at the start")


def test_a_package_that_is_absent_has_no_version(monkeypatch):
    def absent(name):
        if name == "edt":
            raise provenance.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(provenance, "version", absent)
    assert "edt" not in provenance.versions() and provenance.versions()["scipy"] == "1"
