"""The command line: each verb by hand, and how it speaks to those who mistype."""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml

from ssl_methods import project
from ssl_methods.cli import main, parser
from ssl_methods.cli.arguments import arguments_of
from ssl_methods.config.base import IN_ORDER

VERBS = [
    *("quickstart", "run", "plan", "watch"),
    *("prepare", "split", "choose", "look", "train", "evaluate", "collect", "report", "compare"),
    *("tune",),
    *("reproduce", "predict", "export", "metrics", "score", "import-checkpoint"),
    *("methods", "doctor", "completion"),
    *("showcase", "schema", "reference"),
]


@pytest.fixture
def declared(experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment file in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    tiny = experiment(methods=["supervised", "dtc"], subsets=2)
    path.write_text(yaml.safe_dump(tiny.model_dump(mode="json")))
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "ssl_methods", *map(str, arguments)]


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    line, *more = capsys.readouterr().err.splitlines()
    assert not more
    assert line.startswith("error: ")
    return line


# ---- help ----------------------------------------------------------------------------------------


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert re.findall(r"^    ([a-z-]+)\b", capsys.readouterr().out, re.M) == VERBS


def test_help_comes_at_once():
    heavy = {"torch", "numpy", "pandas", "scipy", "pydantic", "matplotlib", "snakemake", "shtab"}
    code = "import sys, ssl_methods.cli as c; c.parser().format_help(); print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert heavy.isdisjoint(modules.stdout.split())
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command("--help"), check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the processor: others may work too
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


# ---- by hand, without Snakemake ------------------------------------------------------------------


def test_every_step_works_by_hand(declared, tmp_path, capsys):
    assert run("prepare", declared) == 0
    store = Path(capsys.readouterr().out.splitlines()[-1])
    assert (store / "manifest.json").is_file()

    assert run("split", declared) == 0
    splits = [Path(line) for line in capsys.readouterr().out.split()]
    assert [path.name for path in splits] == [f"labeled-2_subset-{i}.json" for i in (0, 1)]
    assert run("split", declared, "--budget", 2, "--subset", 1) == 0
    assert Path(capsys.readouterr().out.strip()) == splits[1]

    assert run("train", declared, "--method", "dtc", "--budget", 2, "--subset", 1) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder == Path("results/tiny/runs/dtc/labeled-2/subset-1/seed-0")

    assert run("evaluate", declared, "--method", "dtc", "--budget", 2, "--subset", 1) == 0
    cases = (folder / "cases.csv").read_text()
    assert run("evaluate", folder, "--out", "again") == 0
    assert run("evaluate", folder / "run.yaml", "--out", "once-more") == 0
    assert (Path("again") / "cases.csv").read_text() == cases
    assert (Path("once-more") / "cases.csv").read_text() == cases

    assert run("train", folder / "run.yaml", "--out", "retrained") == 0
    assert Path("retrained", "model.pt").read_bytes() == (folder / "model.pt").read_bytes()

    capsys.readouterr()
    assert run("collect", declared) == 0
    assert Path(capsys.readouterr().out.strip(), "runs.csv").is_file()


def test_evaluation_follows_the_experiment_and_not_what_it_was_at_training(declared):
    cell = ("--method", "supervised", "--budget", 2)
    run("train", declared, *cell)
    experiment = yaml.safe_load(declared.read_text())
    experiment["evaluation"]["nsd_tolerance_mm"] = 2.5
    declared.write_text(yaml.safe_dump(experiment))
    assert run("evaluate", declared, *cell, "--out", "measured") == 0
    assert "nsd_2.5mm" in Path("measured/cases.csv").read_text()


def test_training_needs_no_step_before_it(declared):
    assert run("train", declared, "--method", "supervised", "--budget", 2, "--out", "here") == 0
    assert Path("here/model.pt").is_file()


def test_prepare_takes_a_dataset_file(declared, capsys):
    dataset = yaml.safe_load(declared.read_text())["dataset"]
    Path("dataset.yaml").write_text(yaml.safe_dump(dataset))
    assert run("prepare", "dataset.yaml") == 0
    alone = capsys.readouterr().out
    assert run("prepare", declared) == 0
    with_patch = capsys.readouterr().out
    folder = Path(alone.splitlines()[-1])
    assert with_patch.splitlines()[-1] == str(folder)
    table = (folder / "summary.md").read_text()
    assert alone.startswith(table) and with_patch.startswith(table)
    assert "cases are smaller than the patch" in with_patch
    assert "smaller" not in alone
    assert (folder / "summary.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_of_two_label_files(tmp_path, capsys):
    reference = np.zeros((8, 8, 8), np.uint8)
    reference[2:6, 2:6, 2:6] = 1
    prediction = np.roll(reference, 1, axis=0)
    for name, label in (("reference", reference), ("prediction", prediction)):
        nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), tmp_path / f"{name}.nii.gz")
    files = [tmp_path / "prediction.nii.gz", tmp_path / "reference.nii.gz"]
    assert run("metrics", *files, "--json") == 0
    assert json.loads(capsys.readouterr().out)["dice"] == pytest.approx(0.75)
    assert run("metrics", *files, "--json", "--spacing", 3, 1, 1) == 0
    assert json.loads(capsys.readouterr().out)["volume_error_ml"] == pytest.approx(0)
    assert run("metrics", *files) == 0
    assert re.search(r"dice +0\.75", capsys.readouterr().out)


@pytest.fixture
def two_classes(tmp_path: Path) -> list[Path]:
    """A prediction that has shifted, with two classes on anisotropic voxels."""
    reference = np.zeros((12, 14, 10), np.uint8)
    reference[2:8, 3:9, 2:6] = 1
    reference[9:11, 9:12, 5:8] = 2
    prediction = np.roll(reference, (1, 2), axis=(0, 2))
    for name, label in (("prediction", prediction), ("reference", reference)):
        np.save(tmp_path / f"{name}.npy", label)
    return [tmp_path / "prediction.npy", tmp_path / "reference.npy"]


SPACING = ("--spacing", 0.5, 1, 2.5)


@pytest.mark.parametrize("peer", ["medpy", "monai"])
def test_the_values_of_another_library_stand_beside(peer, two_classes, capsys):
    assert run("metrics", *two_classes, *SPACING, "--beside", peer, "--json") == 0
    classes = json.loads(capsys.readouterr().out)["classes"]
    assert set(classes) == {"1", "2"}
    for measured in classes.values():
        theirs = measured["beside"][peer]
        assert {"dice", "jaccard", "asd_mm", "assd_mm", "hd95_mm"} <= set(theirs)
        for metric, value in theirs.items():
            if (peer, metric) != ("monai", "hd95_mm"):  # another measure
                assert measured[metric] == pytest.approx(value, rel=1e-5), metric
    assert run("metrics", *two_classes, *SPACING, "--beside", peer) == 0
    printed = capsys.readouterr().out
    assert re.match(rf" +here +{peer}\n", printed)
    assert re.search(r"^2 +dice +(\S+) +(\S+)$", printed, re.M)
    assert re.search(r"^2 +volume_error_ml +\S+$", printed, re.M)


def test_nothing_stands_beside_an_empty_mask(two_classes, tmp_path, capsys):
    np.save(tmp_path / "empty.npy", np.zeros((12, 14, 10), np.uint8))
    files = [tmp_path / "empty.npy", two_classes[1]]
    assert run("metrics", *files, "--merged", "--beside", "medpy", "--json") == 0
    assert json.loads(capsys.readouterr().out)["beside"] == {"medpy": {}}


@pytest.mark.parametrize("peer", ["medpy", "monai"])
def test_a_library_that_is_not_installed_is_one_line(peer, two_classes, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == peer]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, peer, None)
    assert run("metrics", *two_classes, "--merged", "--beside", peer) == 2
    assert error_of(capsys).endswith(f"pip install {peer}")


def test_methods_lists_every_method_with_its_settings(capsys):
    assert run("methods", "--json") == 0
    listing = {method["name"]: method for method in json.loads(capsys.readouterr().out)}
    assert {"supervised", "mean_teacher", "sdf_multitask", "dtc"} <= set(listing)
    assert "weight" in listing["dtc"]["settings"]
    assert run("methods") == 0
    assert "dtc" in capsys.readouterr().out


# ---- methods of one's own ------------------------------------------------------------------------

OWN = '''"""A copy of the baseline, in a file of its own."""
from ssl_methods.methods import supervised


class Own(supervised.Supervised):
    """The same."""
'''


@pytest.fixture
def no_own_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    from ssl_methods import methods

    monkeypatch.setattr(methods.PLUGINS, "own", {})


def test_a_file_of_ones_own_is_listed(tmp_path, capsys, no_own_methods):
    for name in ("listed_first", "listed_second"):
        (tmp_path / f"{name}.py").write_text(OWN)
    files = [tmp_path / "listed_first.py", tmp_path / "listed_second.py"]
    assert run("methods", "--method-module", files[0], "--method-module", files[1]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^listed_first +A copy of the baseline", printed, re.M)
    assert re.search(r"^listed_second +A copy of the baseline", printed, re.M)


@pytest.mark.system
def test_a_method_in_a_file_of_ones_own_is_trained_and_measured(declared, tmp_path):
    """In processes of their own, as in the workflow, all that names the file is the key `module`.
    What is trained is what the method that it copies trains."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/by_hand.py").write_text(OWN)
    experiment = yaml.safe_load(declared.read_text())
    experiment["methods"] = {"supervised": {}, "mine": {"module": "own/by_hand.py"}}
    declared.write_text(yaml.safe_dump(experiment))
    for verb in ("train", "evaluate"):
        cell = (declared, "--budget", 2, "--method")
        assert run(verb, *cell, "supervised") == 0
        done = subprocess.run(
            command(verb, *cell, "mine"), cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    expected, found = (
        tmp_path / "results/tiny/runs" / name / "labeled-2/subset-0/seed-0"
        for name in ("supervised", "mine")
    )
    for file in ("model.pt", "history.csv", "cases.csv"):
        assert (found / file).read_bytes() == (expected / file).read_bytes()
    assert yaml.safe_load((found / "run.yaml").read_text())["choice"]["method"] == "by_hand"


@pytest.mark.system
def test_an_installed_package_brings_a_method(tmp_path):
    """Found by its entry point alone."""
    (tmp_path / "my_package.py").write_text(OWN)
    (tmp_path / "my_package-1.0.dist-info").mkdir()
    for file, text in (
        ("METADATA", "Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n"),
        ("entry_points.txt", "[ssl_methods.methods]\nfrom_package = my_package\n"),
    ):
        (tmp_path / "my_package-1.0.dist-info" / file).write_text(text)
    done = subprocess.run(
        command("methods"),
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"^from_package +A copy of the baseline", done.stdout, re.M)


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("absent", None, "absent.py: is no Python file"),
        ("dtc", OWN, "a method 'dtc' exists already"),
        ("empty_handed", "", "must define one subclass of Method, and defines 0"),
        ("two_in_one", OWN + "class More(Own): pass\n", "and defines 2"),
        ("broken", "import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_a_file_that_is_no_method_is_named(name, source, message, tmp_path, capsys, no_own_methods):
    if source is not None:
        (tmp_path / f"{name}.py").write_text(source)
    assert run("methods", "check", name, "--method-module", tmp_path / f"{name}.py") == 2
    line = error_of(capsys)
    assert str(tmp_path / f"{name}.py") in line and message in line


def test_a_mistyped_method_is_not_checked(capsys):
    assert run("methods", "check", "mean_teachr") == 2
    assert "did you mean 'mean_teacher'?" in error_of(capsys)


# ---- what can go wrong ---------------------------------------------------------------------------


def test_a_mistyped_method_is_named_with_the_nearest(declared, capsys):
    assert run("train", declared, "--method", "dct", "--budget", 2) == 2
    assert "did you mean 'dtc'?" in error_of(capsys)


def test_an_experiment_is_not_one_run(declared, capsys):
    assert run("train", declared) == 2
    assert "--method" in error_of(capsys)


def test_a_missing_file_is_named(capsys):
    assert run("prepare", "absent.yaml") == 2
    assert "absent.yaml" in error_of(capsys)


def test_a_folder_that_cannot_be_written_is_named(declared, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "run"
    assert run("train", declared, "--method", "dtc", "--budget", 2, "--out", out) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and str(out) in errors[0]


def redeclare(declared: Path, **changes) -> None:
    declared.write_text(yaml.safe_dump(yaml.safe_load(declared.read_text()) | changes))


@pytest.mark.parametrize("verb", ["split", "plan", "doctor"])
@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ([2, 99], "budget 99 is larger than the training set: there are 6"),
        ([6, "all"], "budgets 6 and all both mean 6 labeled cases of tiny; keep one of them"),
        ([0.1, 1], "budgets 0.1 and 1 both mean 1 labeled cases"),
    ],
)
def test_budgets_that_the_data_cannot_tell_apart_or_give(declared, capsys, verb, budgets, message):
    assert run("prepare", declared) == 0
    redeclare(declared, budgets=budgets)
    capsys.readouterr()
    assert run(verb, declared) == (1 if verb == "doctor" else 2)
    printed = "".join(capsys.readouterr())
    assert message in printed
    assert "ok   tiny.yaml" not in printed and "Traceback" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--method", "dtc", "--budget", 3], "no budget 3; declared: 2"),
        (["train", "--method", "dtc", "--budget", "all"], "no budget 1.0; declared: 2"),
        (["train", "--method", "dtc", "--budget", 2, "--subset", 9], "no subset 9; declared: 0, 1"),
        (["train", "--method", "dtc", "--budget", 2, "--seed", 5], "no seed 5; declared: 0"),
        (["evaluate", "--method", "dtc", "--budget", 2, "--subset", 9], "no subset 9"),
        (["split", "--subset", 9], "no subset 9; declared: 0, 1"),
        (["split", "--budget", 99], "no budget 99; declared: 2"),
    ],
)
def test_a_cell_that_is_not_declared_is_refused(declared, capsys, arguments, message):
    verb, *options = arguments
    assert run(verb, declared, *options) == 2
    assert message in error_of(capsys)


def test_one_label_and_all_labels_are_not_the_same_budget(declared, capsys):
    redeclare(declared, budgets=[1.0])
    assert run("train", declared, "--method", "dtc", "--budget", 1) == 2
    assert "no budget 1; declared: 1.0" in error_of(capsys)


def test_a_mistyped_verb_is_answered_with_the_nearest(capsys):
    assert run("trian", "x.yaml") == 2
    assert error_of(capsys) == "error: there is no verb 'trian'; did you mean 'train'?"
    assert run("frobnicate") == 2
    assert "known: choose, collect, compare, completion, doctor" in error_of(capsys)


def test_every_argument_of_every_verb_is_explained():
    """In whole phrases, and what is per axis with the order of the axes."""
    (verbs,) = [it for it in parser()._actions if isinstance(it, argparse._SubParsersAction)]
    for name, verb in verbs.choices.items():
        for action in verb._actions:
            if isinstance(action, argparse._SubParsersAction) or action.help == argparse.SUPPRESS:
                continue
            assert len((action.help or "").split()) >= 3, (name, action.dest)
            if action.option_strings and action.nargs != 0 and not action.required:
                assert re.search(r"\(default: |\(needed with ", action.help), (name, action.dest)
            if action.dest == "spacing":
                assert IN_ORDER in action.help


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_has_examples_that_can_be_typed(verb, capsys):
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    _, _, shown = capsys.readouterr().out.partition("examples:\n")
    lines = shown.splitlines()
    assert lines
    for line in lines:
        program, *words = shlex.split(line)
        words = words[: words.index(">")] if ">" in words else words
        assert (program, words[0]) == ("ssl-methods", verb)
        assert callable(arguments_of(words).verb)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["train", "x.yaml", "--metod", "dtc"],
            "there is no option '--metod'; did you mean '--method'?",
        ),
        (
            ["plan", "x.yaml", "--mesure=3"],
            "there is no option '--mesure'; did you mean '--measure'?",
        ),
        (["doctor", "-z"], "there is no option '-z'; known: --help, --results, -h"),
        (
            ["collect", "x.yaml", "y.yaml"],
            "'y.yaml' is one word too many; see 'ssl-methods collect --help'",
        ),
    ],
)
def test_a_mistyped_option_is_answered_with_the_nearest(words, message, capsys):
    assert run(*words) == 2
    assert error_of(capsys) == f"error: {message}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "the following arguments are required: EXPERIMENT.yaml|RUN.yaml"),
        (["plan", "x.yaml", "--measure", "0"], "'0' is no whole number from 1 to 999999"),
        (["tune", "x.yaml", "--part", "wrok"], "invalid choice: 'wrok'"),
        ([], "the following arguments are required: VERB"),
    ],
)
def test_bad_arguments_are_one_line_that_says_where_help_is(words, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    line = error_of(capsys)
    assert message in line and line.endswith(" --help'")


# ---- what runs Snakemake -------------------------------------------------------------------------


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command that a verb replaces itself by."""
    words: list[str] = []
    monkeypatch.setattr("ssl_methods.cli.workflow.become", words.extend)
    return words


def test_snakemake_is_given_every_other_word_in_order(declared, became):
    more = ["models", "-n", "--config", "budgets=[2]", "--resources", "gpu=2"]
    assert run("run", "tiny.yaml", *more, "--directory", "there") == 0
    assert became[1:9] == ["-m", "snakemake", *more]
    assert became[-8:] == [
        *("--cores", "all"),
        *("--snakefile", str(project.FOLDER / "Snakefile")),
        *("--directory", "there"),
        *("--configfile", str(declared.resolve())),
    ]


@pytest.mark.parametrize("words", [["--cores", "3"], ["-c3"], ["-j", "3"], ["--profile=slurm"]])
def test_cores_are_all_unless_something_else_is_said(words, became):
    assert run("quickstart", *words) == 0
    assert became.count("all") == 0
    assert "--configfile" not in became


def test_an_experiment_of_the_project_goes_by_its_name(became, declared, capsys):
    assert run("run", "hippocampus", "-n") == 0
    assert Path(became[-1]) == project.FOLDER / "configs/experiments/hippocampus.yaml"
    assert run("run", "hipocampus") == 2
    assert "did you mean 'hippocampus'?" in error_of(capsys)
    assert run("run", "absent.yaml") == 2
    assert error_of(capsys) == "error: absent.yaml: no such file"


# ---- completion ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def completion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "ssl-methods"
    done = subprocess.run(command("completion", "bash"), capture_output=True, text=True, check=True)
    path.write_text(done.stdout)
    return path


@pytest.mark.parametrize(
    ("line", "among", "not_among"),
    [
        ("pre", {"prepare", "predict"}, {"plan"}),
        ("train x.yaml --me", {"--method", "--method-module"}, {"--budget"}),
        ("train x.yaml --method dt", {"dtc", "dtc_supervised"}, {"bcp"}),
        ("methods check mc", {"mc_net"}, {"dtc"}),
        ("tune study.yaml --part ", {"layout", "work", "answers"}, set()),
        ("collect --", {"--results", "--help"}, {"--out"}),  # a former name is not offered
        ("prepare sc", {"scans.yaml"}, {"other.yaml"}),
    ],
)
def test_bash_completes(completion, tmp_path, line, among, not_among):
    for name in ("scans.yaml", "other.yaml"):
        (tmp_path / name).touch()
    words = ["ssl-methods", *line.split(" ")]
    program = (
        f"source {completion}; COMP_WORDS=({' '.join(map(shlex.quote, words))});"
        f" COMP_CWORD={len(words) - 1}; COMP_LINE={shlex.quote(' '.join(words))};"
        " COMP_POINT=${#COMP_LINE}; _shtab_ssl_methods 2>/dev/null; printf '%s\\n' ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True)
    offered = set(done.stdout.split())
    assert among <= offered and not not_among & offered, done.stderr


def test_completion_knows_other_shells(capsys):
    assert run("completion", "zsh") == 0
    assert capsys.readouterr().out.startswith("#compdef ssl-methods")


def test_results_may_be_named_alike_everywhere(declared, capsys):
    """``--out`` is the older name of the same, where there is nothing else to write."""
    assert run("prepare", declared, "--results", "there") == 0
    assert Path(capsys.readouterr().out.splitlines()[-1]).parts[0] == "there"
    assert run("split", declared, "--results", "there") == 0
    assert len(list(Path("there").glob("tiny/splits/*.json"))) == 2
    assert run("split", declared, "--out", "there") == 0
    for verb in ("collect", "report"):
        assert run(verb, declared, "--results", "there") == 2
    assert not Path("results").exists()


@pytest.mark.parametrize(
    "verb", ["prepare", "split", "plan", "collect", "report", "tune", "doctor"]
)
def test_a_pipe_or_folder_for_a_file_is_one_line(tmp_path, capsys, verb):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "absent.yaml"):
        assert run(verb, path) in (1, 2)
        printed = "".join(capsys.readouterr())
        assert len([line for line in printed.splitlines() if str(path) in line]) == 1


# ---- where the data are --------------------------------------------------------------------------


@pytest.fixture
def scans(declared, tmp_path) -> Path:
    """Scans that lie elsewhere than the experiment says (``../data/scans``)."""
    folder = tmp_path / "disk" / "scans"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for case in range(5):
        image = rng.normal(size=(16, 18, 20)).astype(np.float32)
        label = np.zeros(image.shape, np.uint8)
        label[4:9, 5:9, 6:12] = 1
        for kind, array in (("images", image), ("labels", label)):
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / kind / f"c{case}.nii.gz")
    dataset = {"name": "mine", "importer": "folder", "path": "../data/scans"}
    redeclare(declared, dataset=dataset)
    return folder


def test_data_are_found_where_this_machine_has_them(declared, scans, capsys, monkeypatch, tmp_path):
    assert run("prepare", declared) == 2
    line = error_of(capsys)
    assert "data.yaml (mine: /path/to/it)" in line and "SSL_METHODS_DATA" in line

    monkeypatch.setenv("SSL_METHODS_DATA", str(scans.parent))
    assert run("prepare", declared) == 0
    by_variable = capsys.readouterr().out
    monkeypatch.delenv("SSL_METHODS_DATA")
    for name in ("mine", "scans"):  # of the data set, or the last part of its path
        Path("data.yaml").write_text(f"{name}: {scans}\nother: /nowhere\n")
        assert run("prepare", declared) == 0
        assert capsys.readouterr().out == by_variable  # where they lie is in no digest

    Path("data.yaml").write_text("mine: /nowhere")
    assert run("prepare", declared) == 2
    assert "data.yaml: /nowhere is not a folder" in error_of(capsys)


def test_a_run_is_not_retrained_over_itself(declared, capsys):
    run("train", declared, "--method", "supervised", "--budget", 2, "--out", "here")
    capsys.readouterr()
    assert run("train", "here/run.yaml") == 2
    assert "--out" in error_of(capsys)


def test_an_error_has_no_traceback(tmp_path):
    done = subprocess.run(
        command("prepare", "absent.yaml"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: absent.yaml")
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_training_quietly(declared, tmp_path):
    experiment = yaml.safe_load(declared.read_text())
    experiment["training"] |= {"iterations": 100_000, "checkpoint_every": 1}
    declared.write_text(yaml.safe_dump(experiment))
    arguments = ("train", declared, "--method", "supervised", "--budget", 2, "--out", "here")
    process = subprocess.Popen(
        command(*arguments),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # As in a terminal: what runs in the background, as CI may, inherits that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while not Path("here/checkpoint.pt").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert printed.splitlines()[-1].startswith("stopped by SIGINT after iteration")
    assert "Traceback" not in printed


# ---- doctor --------------------------------------------------------------------------------------


def test_doctor_finds_this_installation_healthy(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no example's scans are
    assert run("doctor") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^ok +torch ", printed, re.M)
    (line,) = [line for line in printed.splitlines() if "example experiments" in line]
    assert re.match(r"      \S.*here: .*quickstart.*; elsewhere: .*hippocampus", line)


def test_doctor_speaks_of_what_it_was_asked_about(declared, capsys):
    assert run("doctor", declared) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^ok +\S*tiny\.yaml: data are there$", printed, re.M)
    assert "quickstart" not in printed and "hippocampus" not in printed


def test_doctor_misses_the_data_that_it_is_asked_for(declared, capsys):
    experiment = yaml.safe_load(declared.read_text())
    experiment["dataset"] = {"name": "x", "importer": "folder", "path": "absent"}
    declared.write_text(yaml.safe_dump(experiment))
    assert run("doctor", declared) == 1
    printed = capsys.readouterr().out
    assert re.search(r"^FAIL +.*tiny\.yaml: x: dataset\.path absent is not a folder", printed, re.M)
