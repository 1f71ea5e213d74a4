"""All verbs and their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ssl_methods import __version__
from ssl_methods.cli import verbs
from ssl_methods.cli.examples import EXAMPLES
from ssl_methods.errors import UserError, did_you_mean

PROGRAM = "ssl-methods"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose help shows examples as they are written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see '{self.prog} --help'\n")


def arguments_of(argv: Sequence[str]) -> argparse.Namespace:
    """What a command line says; ``passed_on`` holds what is Snakemake's.

    Raises UserError for a verb or option that does not exist, with the nearest that does.
    """
    top = parser()
    check_verb(top, argv)
    arguments, unknown = top.parse_known_args(argv)
    if "passed_on" in arguments:
        arguments.passed_on = unknown
    elif unknown:
        raise UserError(_not_known(_verbs_of(top)[argv[0]], unknown[0]))
    return arguments


def check_verb(top: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Raises UserError if the first word is no verb, with the nearest that is one."""
    if argv and not argv[0].startswith("-") and argv[0] not in (known := _verbs_of(top)):
        raise UserError(f"there is no verb '{argv[0]}'{did_you_mean(argv[0], known)}")


def _verbs_of(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = next(it for it in top._actions if isinstance(it, argparse._SubParsersAction))
    return dict(found.choices)


def _not_known(verb: argparse.ArgumentParser, word: str) -> str:
    """What to say of a word that no argument of the verb takes."""
    if not word.startswith("-"):
        return f"'{word}' is one word too many; see '{verb.prog} --help'"
    option = word.partition("=")[0]
    return f"there is no option '{option}'{did_you_mean(option, verb._option_string_actions)}"


def parser() -> Parser:
    """All verbs and their arguments."""
    top = Parser(
        prog=PROGRAM,
        description="Semi-supervised medical image segmentation methods, compared fairly.",
        epilog=f"'{PROGRAM} VERB --help' has examples. Start with '{PROGRAM} quickstart'.",
    )
    top.add_argument("--version", action="version", version=__version__)
    added_to = top.add_subparsers(metavar="VERB", required=True, title="verbs")

    def verb(name: str, action: Any, meaning: str, **options: Any) -> argparse.ArgumentParser:
        examples = "\n".join(f"  {PROGRAM} {example}" for example in EXAMPLES[name])
        added = added_to.add_parser(
            name,
            help=meaning,
            description=meaning[0].upper() + meaning[1:] + ".",
            epilog=f"examples:\n{examples}",
            **options,
        )
        added.set_defaults(verb=action)
        return added

    # The whole experiment
    it = verb(
        "quickstart",
        verbs.quickstart,
        "run a small experiment on generated scans, to its report; no data and no GPU needed",
        allow_abbrev=False,
    )
    _of_snakemake(it)

    it = verb(
        "run",
        verbs.run,
        "run an experiment or a study: train, measure, tabulate and report what is not there yet",
        allow_abbrev=False,
    )
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|STUDY.yaml",
        help="the experiment or study; or the name of an experiment that comes with the project",
    )
    _of_snakemake(it)

    it = verb("plan", verbs.plan, "say what is left to train, and how long it will take")
    _experiment(it)
    it.add_argument(
        "--measure",
        type=_positive,
        default=0,
        metavar="N",
        help="train N iterations of each method whose speed is not known (default: %(default)s)",
    )
    it.add_argument(
        "--devices",
        type=_positive,
        default=1,
        metavar="N",
        help="number of runs that are trained at a time (default: %(default)s)",
    )
    it.add_argument(
        "--detect",
        type=_positive_number,
        metavar="D",
        help="say at each budget which difference can be told on how many subsets, and what a "
        "difference of D, in the unit of the margin, takes (default: not said)",
    )
    it.add_argument(
        "--like",
        type=Path,
        metavar="RESULTS/EXPERIMENT",
        help="with --detect: take the spread over subsets from this experiment's tables (default: "
        "from its own; where it has none, from a reference that is named)",
    )
    _results(it)

    # Its steps
    it = verb("prepare", verbs.prepare, "import the scans of an experiment, or of one dataset")
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|DATASET.yaml",
        help="an experiment, or a file that holds a dataset alone, as those of configs/datasets/",
    )
    it.add_argument(
        "--workers",
        type=_positive,
        default=1,
        metavar="N",
        help="number of cases that are read at a time (default: %(default)s)",
    )
    _results(it, formerly="--out")

    it = verb("split", verbs.split, "draw which cases are labeled, for the whole grid or one cell")
    _experiment(it)
    it.add_argument(
        "--budget",
        type=_budget,
        metavar="N",
        help="one of the declared budgets: a count, a fraction or 'all' (default: each)",
    )
    it.add_argument(
        "--subset", type=int, metavar="I", help="one of the declared subsets (default: each)"
    )
    _results(it, formerly="--out")

    it = verb("choose", verbs.choose, "choose the subsets that are compared in a second phase")
    _experiment(it)
    it.add_argument(
        "--budget",
        type=_budget,
        metavar="N",
        help="one of the declared budgets with two phases (default: each)",
    )
    _results(it)

    it = verb("look", verbs.look, "judge an experiment at one of its declared looks")
    _experiment(it)
    it.add_argument(
        "--budget", type=_budget, required=True, metavar="N", help="one of the declared budgets"
    )
    it.add_argument(
        "--subsets",
        type=_positive,
        metavar="N",
        help="number of compared subsets of a declared look (default: of the next one)",
    )
    _results(it)

    it = verb("train", verbs.train, "train one run of an experiment, or an earlier run once more")
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|RUN.yaml",
        help="an experiment, whose run --method and --budget name; or the run.yaml of a run",
    )
    _cell(it)
    it.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the run (default: RESULTS/<experiment>/runs/...; needed with a RUN.yaml)",
    )
    _results(it)
    _own_files(it)

    it = verb("evaluate", verbs.evaluate, "measure a trained run on the test cases")
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|RUN.yaml|RUN_FOLDER",
        help="an experiment, whose run --method and --budget name; or a run's run.yaml or folder",
    )
    _cell(it)
    it.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the measurements (default: the run's)"
    )
    _results(it)
    _own_files(it)

    it = verb("collect", verbs.collect, "gather the measurements of all runs into tables")
    _experiment(it)
    _results(it, formerly="--out")

    it = verb("report", verbs.report, "draw the figures and write report.html")
    _experiment(it)
    _results(it, formerly="--out")

    it = verb(
        "compare",
        verbs.compare,
        "show what the one setting changes in which two experiments differ, run by run",
    )
    it.add_argument(
        "first", type=Path, metavar="A.yaml", help="an experiment whose tables are made"
    )
    it.add_argument(
        "second", type=Path, metavar="B.yaml", help="another, which differs from it in one setting"
    )
    it.add_argument(
        "--groups",
        action="store_true",
        help="also for each group of test cases: what stands before the first '-' of their ids",
    )
    _results(it)

    it = verb("tune", verbs.tune, "search the settings of methods, as a study declares it")
    it.add_argument(
        "file",
        type=Path,
        metavar="STUDY.yaml|EXPERIMENT.yaml",
        help="a study, or an experiment that declares some",
    )
    it.add_argument(
        "--study", metavar="NAME", help="one of those that the experiment declares (default: each)"
    )
    it.add_argument(
        "--part",
        choices=["layout", "work", "answers"],
        help="lay out the trials, or run them as one of several workers, or write what was found"
        " (default: all three, with one worker)",
    )
    _results(it)

    # Trained models
    it = verb(
        "reproduce", verbs.reproduce, "train a run again, and say whether its results are the same"
    )
    it.add_argument("file", type=Path, metavar="RUN.yaml", help="the run.yaml of a trained run")
    it.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the second run (default: a temporary one)",
    )
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
    it.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the predictions"
    )
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
    it.add_argument(
        "--out",
        type=Path,
        metavar="FILE.zip",
        help="write the runs whole, for 'predict' and Python (default: not written)",
    )
    it.add_argument(
        "--onnx",
        type=Path,
        metavar="FILE.onnx",
        help="write the network of one run, on one patch (default: not written)",
    )
    it.add_argument(
        "--torchscript",
        type=Path,
        metavar="FILE.ts",
        help="write the same for PyTorch without this project (default: not written)",
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
        " (default: the reference file's)",
    )
    it.add_argument(
        "--tolerance",
        type=float,
        default=1.0,
        metavar="MM",
        help="tolerance of the normalised surface distance in mm (default: %(default)s)",
    )
    it.add_argument(
        "--merged", action="store_true", help="compare all foreground, whatever its values"
    )
    it.add_argument(
        "--header",
        choices=["agree", "sform", "qform"],
        default="agree",
        help="what is taken where a file states its grid twice and the two differ; agree refuses"
        " the file (default: %(default)s)",
    )
    it.add_argument(
        "--beside",
        choices=["medpy", "monai"],
        help="another library whose values of the same metrics are shown beside (default: none)",
    )
    it.add_argument("--json", action="store_true", help="print the measurements as JSON")

    it = verb("score", verbs.score, "measure an authors' released .pth beside the published values")
    it.add_argument("file", type=Path, metavar="FILE.pth", help="a checkpoint as it was released")
    it.add_argument(
        "experiment",
        type=Path,
        metavar="EXPERIMENT.yaml",
        help="the experiment whose data and row are meant",
    )
    it.add_argument(
        "--method",
        required=True,
        metavar="NAME",
        help="the row's name under 'methods' in the experiment",
    )
    it.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of cases.csv (default: RESULTS/<experiment>/scores/METHOD/FILE)",
    )
    it.add_argument("--json", action="store_true", help="print the measurements as JSON")
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

    # Methods and the installation
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
        help="experiments whose data must be there (default: they are listed, and none must be)",
    )
    _results(it)

    it = verb("completion", verbs.completion, "print what completes these words in a shell")
    it.add_argument("shell", choices=["bash", "zsh", "tcsh"], help="the shell that is to complete")

    # Pages and files that come with the project
    it = verb(
        "showcase", verbs.showcase, "keep tables and figures of results as pages with the project"
    )
    it.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="EXPERIMENT.yaml|STUDY.yaml",
        help="experiments with their report, or answered studies",
    )
    _results(it)

    verb("schema", verbs.schema, "print the JSON schema of experiment files, for editors")

    verb(
        "reference",
        verbs.reference,
        "write what the repository holds of it: schema, pages on settings and methods, metadata",
    )
    return top


def _of_snakemake(it: argparse.ArgumentParser) -> None:
    """The options of the verbs that run Snakemake, which is given all others."""
    file = "EXPERIMENT.yaml|STUDY.yaml " if it._get_positional_actions() else ""
    it.usage = f"%(prog)s {file}[-h] [--cores N] [--directory DIR] [...]"
    it.set_defaults(passed_on=[])
    it.add_argument(
        "--cores",
        metavar="N",
        help="number of cores to use at a time (default: all of this machine)",
    )
    it.add_argument(
        "--directory",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder to work in: results/ is made there, and relative paths in the experiment are"
        " meant from there (default: the current one)",
    )
    it.epilog = (
        "Every other word is Snakemake's: -n shows what would run, --resources gpu=2 says how many"
        " GPUs\nto use, --config replaces settings. What is there already is not made again.\n\n"
        f"{it.epilog}"
    )


def _results(it: argparse.ArgumentParser, formerly: str | None = None) -> None:
    """``--results``; under its former name too, where that was documented."""
    it.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="folder that holds all results (default: %(default)s)",
    )
    if formerly:
        it.add_argument(
            formerly,
            dest="results",
            type=Path,
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
        )


def _own_files(it: argparse.ArgumentParser, **default: Any) -> None:
    it.add_argument(
        "--method-module",
        type=Path,
        action="append",
        metavar="FILE.py",
        help="a method of one's own; may be given several times (default: none)",
        **default,
    )


def _cell(it: argparse.ArgumentParser) -> None:
    it.add_argument(
        "--method",
        metavar="NAME",
        help="the row's name under 'methods' in the experiment (needed with an experiment)",
    )
    it.add_argument(
        "--budget",
        type=_budget,
        metavar="N",
        help="one of the declared budgets: a count, a fraction or 'all' (needed with an"
        " experiment)",
    )
    it.add_argument(
        "--subset",
        type=int,
        default=0,
        metavar="I",
        help="one of the declared subsets (default: %(default)s)",
    )
    it.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="J",
        help="one of the declared seeds (default: %(default)s)",
    )


def _experiment(it: argparse.ArgumentParser) -> None:
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml",
        help="the experiment, as those of configs/experiments/",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or len(text) > 6 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 to 999999")
    return int(text)


def _positive_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return value


def _budget(text: str) -> int | float:
    from ssl_methods.config import parse_budget

    try:
        return parse_budget(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
