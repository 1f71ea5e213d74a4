"""All verbs and their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_methods import __version__
from ssl_methods.cli import verbs
from ssl_methods.errors import UserError


def check_verb(top: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Raises UserError if the first word is no verb, with the nearest that is one."""
    verbs_of = next(it for it in top._actions if isinstance(it, argparse._SubParsersAction))
    if argv and not argv[0].startswith("-") and argv[0] not in verbs_of.choices:
        from ssl_methods.config import did_you_mean

        raise UserError(f"there is no verb '{argv[0]}'{did_you_mean(argv[0], verbs_of.choices)}")


def parser() -> argparse.ArgumentParser:
    """All verbs and their arguments."""
    top = argparse.ArgumentParser(
        prog="python -m ssl_methods",
        description="Semi-supervised medical image segmentation methods, compared fairly.",
        epilog="The whole experiment at once: snakemake --cores all --configfile EXPERIMENT.yaml."
        " In parentheses: what holds without an option.",
    )
    top.add_argument("--version", action="version", version=__version__)
    added_to = top.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, action: Any, meaning: str) -> argparse.ArgumentParser:
        added = added_to.add_parser(
            name, help=meaning, description=meaning[0].upper() + meaning[1:] + "."
        )
        added.set_defaults(verb=action)
        return added

    it = verb("prepare", verbs.prepare, "import the scans of an experiment, or of one dataset")
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|DATASET.yaml",
        help="whose scans: those of an experiment, or of a file of configs/datasets/",
    )
    it.add_argument("--workers", type=_positive, default=1, help="cases read at the same time (1)")
    _results(it, "--out")

    it = verb("split", verbs.split, "draw which cases are labeled, for the whole grid or one cell")
    _experiment(it)
    it.add_argument(
        "--budget",
        type=_budget,
        metavar="N",
        help="one of the declared budgets: a count, a fraction or 'all' (each)",
    )
    it.add_argument("--subset", type=int, metavar="I", help="one of the declared subsets (each)")
    _results(it, "--out")

    it = verb("train", verbs.train, "train one run of an experiment, or an earlier run once more")
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|RUN.yaml",
        help="an experiment, whose run --method and --budget name; or the run.yaml of a run",
    )
    _cell(it)
    it.add_argument("--out", type=Path, help="folder of the run (RESULTS/<experiment>/runs/...)")
    _results(it)
    _own_files(it)

    it = verb("plan", verbs.plan, "say what is left to train, and how long it will take")
    _experiment(it)
    it.add_argument(
        "--measure",
        type=_positive,
        default=0,
        metavar="N",
        help="train N iterations of each method whose speed is not known (0)",
    )
    it.add_argument("--devices", type=_positive, default=1, help="runs at the same time (1)")
    _results(it)

    it = verb("evaluate", verbs.evaluate, "measure a trained run on the test cases")
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|RUN.yaml|RUN_FOLDER",
        help="an experiment, whose run --method and --budget name; or a run's run.yaml or folder",
    )
    _cell(it)
    it.add_argument("--out", type=Path, help="folder of the measurements (the run's own)")
    _results(it)
    _own_files(it)

    it = verb(
        "reproduce", verbs.reproduce, "train a run again, and say whether its results are the same"
    )
    it.add_argument("file", type=Path, metavar="RUN.yaml", help="the run.yaml of a trained run")
    it.add_argument("--out", type=Path, help="folder of the second run (a temporary one)")
    _results(it)
    _own_files(it)

    it = verb("predict", verbs.predict, "segment images with one trained run, or several together")
    it.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="RUN|FILE.zip|IMAGE|FOLDER",
        help="folders of runs or what 'export' made of them (several: the mean of their"
        " probabilities), then images, or folders of images; channels in files of their own are"
        " named CASE_0000, CASE_0001, ...",
    )
    it.add_argument("--out", type=Path, required=True, help="folder of the predictions")
    it.add_argument(
        "--probabilities",
        action="store_true",
        help="also write the probability of each class, NAME_probability_VALUE.nii.gz, float32",
    )
    it.add_argument(
        "--largest-component",
        action="store_true",
        help="keep the largest connected component of each class alone",
    )
    _results(it)
    _own_files(it)

    it = verb("export", verbs.export, "write trained runs as one file, to be used elsewhere")
    it.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN|FILE.zip",
        help="folders of trained runs, or what 'export' wrote",
    )
    it.add_argument("--out", type=Path, metavar="FILE.zip", help="for 'predict' and Python")
    it.add_argument(
        "--onnx", type=Path, metavar="FILE.onnx", help="the network alone, on one patch; one run"
    )
    it.add_argument(
        "--torchscript", type=Path, metavar="FILE.ts", help="the same for PyTorch without this"
    )
    _results(it)
    _own_files(it)

    it = verb(
        "metrics",
        verbs.metrics,
        "compare two label files (NIfTI, NRRD, MetaImage, PNG, TIFF or npy)",
    )
    it.add_argument("prediction", type=Path, metavar="PREDICTION", help="the label file to judge")
    it.add_argument(
        "reference", type=Path, metavar="REFERENCE", help="the label file that is taken as true"
    )
    it.add_argument(
        "--spacing",
        type=float,
        nargs="+",
        metavar="MM",
        help="voxel size in mm, one per axis of the file's array (x, y, z; of pictures x, y)"
        " (the reference's own)",
    )
    it.add_argument(
        "--tolerance", type=float, default=1.0, metavar="MM", help="of the surface distance (1)"
    )
    it.add_argument(
        "--merged", action="store_true", help="compare all foreground, whatever its values"
    )
    it.add_argument(
        "--header",
        choices=["agree", "sform", "qform"],
        default="agree",
        help="what is taken where a file states its grid twice and the two differ (agree: refused)",
    )
    it.add_argument("--json", action="store_true", help="print the measurements as JSON")

    it = verb("tune", verbs.tune, "search the settings of methods, as a study declares it")
    it.add_argument(
        "file",
        type=Path,
        metavar="STUDY.yaml|EXPERIMENT.yaml",
        help="a study, or an experiment that declares some",
    )
    it.add_argument(
        "--study", metavar="NAME", help="one of those that the experiment declares (each)"
    )
    it.add_argument(
        "--part",
        choices=["layout", "work", "answers"],
        help="lay out the trials, or run them (as one of several workers), or write what was found"
        " (all three, with one worker)",
    )
    _results(it)

    it = verb("collect", verbs.collect, "gather the measurements of all runs into tables")
    _experiment(it)
    _results(it, "--out")

    it = verb("report", verbs.report, "draw the figures and write report.html")
    _experiment(it)
    _results(it, "--out")

    it = verb("methods", verbs.methods, "list the methods and their settings")
    it.add_argument("--json", action="store_true", help="print them as JSON, with every setting")
    _own_files(it)
    more = it.add_subparsers(metavar="check")
    it = more.add_parser("check", help="go through the properties that a method must have")
    it.add_argument("name", metavar="NAME", help="name of the method, which is that of its file")
    _own_files(it, default=argparse.SUPPRESS)
    it.set_defaults(verb=verbs.check)

    it = verb("doctor", verbs.doctor, "check the installation, the devices and the data")
    it.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="EXPERIMENT.yaml",
        help="experiments whose data must be there (none)",
    )
    _results(it)

    it = verb(
        "import-checkpoint",
        verbs.import_checkpoint,
        "turn a released .pth of DTC, SASSNet, UA-MT or SSL4MIS into a model.pt",
    )
    it.add_argument("file", type=Path, metavar="FILE.pth", help="a checkpoint as it was released")
    it.add_argument(
        "--out", type=Path, required=True, metavar="model.pt", help="the file to be written"
    )

    it = verb("score", verbs.score, "measure an authors' released .pth beside the published values")
    it.add_argument("file", type=Path, metavar="FILE.pth", help="a checkpoint as it was released")
    it.add_argument(
        "experiment", type=Path, metavar="EXPERIMENT.yaml", help="whose data and row are meant"
    )
    it.add_argument(
        "--method", required=True, help="the row's name under 'methods' in the experiment"
    )
    it.add_argument(
        "--out", type=Path, help="folder of cases.csv (RESULTS/<experiment>/scores/METHOD/FILE)"
    )
    it.add_argument("--json", action="store_true", help="print the measurements as JSON")
    _results(it)
    return top


def _results(it: argparse.ArgumentParser, *also: str) -> None:
    it.add_argument(
        "--results",
        *also,
        dest="results",
        type=Path,
        default=Path("results"),
        help="where all results are (results)",
    )


def _own_files(it: argparse.ArgumentParser, **default: Any) -> None:
    it.add_argument(
        "--method-module",
        type=Path,
        action="append",
        metavar="FILE.py",
        help="a method of one's own (may be given several times)",
        **default,
    )


def _cell(it: argparse.ArgumentParser) -> None:
    it.add_argument(
        "--method", metavar="NAME", help="the row's name under 'methods' in the experiment"
    )
    it.add_argument(
        "--budget",
        type=_budget,
        metavar="N",
        help="one of the declared budgets: a count, a fraction or 'all'",
    )
    it.add_argument(
        "--subset", type=int, default=0, metavar="I", help="one of the declared subsets (0)"
    )
    it.add_argument(
        "--seed", type=int, default=0, metavar="J", help="one of the declared seeds (0)"
    )


def _experiment(it: argparse.ArgumentParser) -> None:
    it.add_argument(
        "file", type=Path, metavar="EXPERIMENT.yaml", help="the experiment, of configs/experiments/"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or len(text) > 6 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 to 999999")
    return int(text)


def _budget(text: str) -> int | float:
    from ssl_methods.config import parse_budget

    try:
        return parse_budget(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
