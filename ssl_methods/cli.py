"""`python -m ssl_methods VERB`: reads the arguments, calls the part that does the work.

Every step of the workflow is one of these verbs, and each works by hand. Whatever is heavy is
imported by the verb that needs it, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_methods import __version__
from ssl_methods.errors import Stopped, UserError

if TYPE_CHECKING:
    from ssl_methods.config import Dataset, Run


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Returns the exit status: 0, 2 for the user's to mend, 130 if interrupted, 143
    if terminated."""
    arguments = parser().parse_args(argv)
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, _stop)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return int(arguments.verb(arguments) or 0)
    except UserError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename or 'file system'}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return stop.status


def _stop(number: int, _: object) -> None:
    """SIGTERM as Ctrl-C: temporary files are removed on the way out."""
    raise Stopped(number)


def parser() -> argparse.ArgumentParser:
    """All verbs and their arguments."""
    top = argparse.ArgumentParser(
        prog="python -m ssl_methods",
        description="Semi-supervised medical image segmentation methods, compared fairly.",
        epilog="The whole experiment at once: snakemake --cores all --configfile EXPERIMENT.yaml",
    )
    top.add_argument("--version", action="version", version=__version__)
    verbs = top.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, action: Any, meaning: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name, help=meaning, description=meaning[0].upper() + meaning[1:] + "."
        )
        added.set_defaults(verb=action)
        return added

    it = verb("prepare", prepare, "import the scans of an experiment, or of one dataset")
    it.add_argument("file", type=Path, metavar="EXPERIMENT.yaml|DATASET.yaml")
    it.add_argument("--workers", type=_positive, default=1, help="cases read at the same time (1)")
    _results(it, "--out")

    it = verb("split", split, "draw which cases are labeled, for the whole grid or one cell")
    it.add_argument("file", type=Path, metavar="EXPERIMENT.yaml")
    it.add_argument("--budget", type=_budget, help="labeled cases: a count, a fraction or 'all'")
    it.add_argument("--subset", type=int)
    _results(it, "--out")

    it = verb("train", train, "train one run of an experiment, or an earlier run once more")
    it.add_argument("file", type=Path, metavar="EXPERIMENT.yaml|RUN.yaml")
    _cell(it)
    it.add_argument("--out", type=Path, help="folder of the run (RESULTS/<experiment>/runs/...)")
    _results(it)

    it = verb("plan", plan, "say what is left to train, and how long it will take")
    it.add_argument("file", type=Path, metavar="EXPERIMENT.yaml")
    it.add_argument(
        "--measure",
        type=_positive,
        default=0,
        metavar="N",
        help="train N iterations of each method whose speed is not known (0)",
    )
    it.add_argument("--devices", type=_positive, default=1, help="runs at the same time (1)")
    _results(it)

    it = verb("evaluate", evaluate, "measure a trained run on the test cases")
    it.add_argument("file", type=Path, metavar="EXPERIMENT.yaml|RUN.yaml|RUN_FOLDER")
    _cell(it)
    it.add_argument("--out", type=Path, help="folder of the measurements (the run's own)")
    _results(it)

    it = verb("reproduce", reproduce, "train a run again, and say whether its results are the same")
    it.add_argument("file", type=Path, metavar="RUN.yaml")
    it.add_argument("--out", type=Path, help="folder of the second run (a temporary one)")
    _results(it)

    it = verb("predict", predict, "segment images with a trained run")
    it.add_argument("folder", type=Path, metavar="RUN_FOLDER")
    it.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    it.add_argument("--out", type=Path, required=True, help="folder of the predictions")
    _results(it)

    it = verb("metrics", metrics, "compare two label files (NIfTI, NRRD, PNG, TIFF or npy)")
    it.add_argument("prediction", type=Path)
    it.add_argument("reference", type=Path)
    it.add_argument(
        "--spacing", type=float, nargs="+", metavar="MM", help="voxel size (the files' own)"
    )
    it.add_argument(
        "--tolerance", type=float, default=1.0, metavar="MM", help="of the surface distance (1)"
    )
    it.add_argument("--json", action="store_true", help="print JSON")

    it = verb("tune", tune, "search the settings of methods, as a study declares it")
    it.add_argument("file", type=Path, metavar="STUDY.yaml|EXPERIMENT.yaml")
    it.add_argument("--study", metavar="NAME", help="one of those that the experiment declares")
    it.add_argument(
        "--part",
        choices=["layout", "work", "answers"],
        help="lay out the trials, or run them (as one of several workers), or write what was found"
        " (all three, with one worker)",
    )
    _results(it)

    it = verb("collect", collect, "gather the measurements of all runs into tables")
    it.add_argument("file", type=Path, metavar="EXPERIMENT.yaml")
    _results(it, "--out")

    it = verb("report", report, "draw the figures and write report.html")
    it.add_argument("file", type=Path, metavar="EXPERIMENT.yaml")
    _results(it, "--out")

    it = verb("methods", methods, "list the methods and their settings")
    it.add_argument("--json", action="store_true", help="print JSON, with every setting")
    _own_files(it)
    more = it.add_subparsers(metavar="check")
    it = more.add_parser("check", help="go through the properties that a method must have")
    it.add_argument("name", metavar="NAME", help="of the method; that of its file")
    _own_files(it, default=argparse.SUPPRESS)
    it.set_defaults(verb=check)

    it = verb("doctor", doctor, "check the installation, the devices and the data")
    it.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="EXPERIMENT.yaml",
        help="whose data must be there (none)",
    )

    it = verb(
        "import-checkpoint",
        import_checkpoint,
        "turn the DTC authors' released .pth into a model.pt",
    )
    it.add_argument("file", type=Path, metavar="FILE.pth")
    it.add_argument("--out", type=Path, required=True, metavar="model.pt")
    return top


def _results(it: argparse.ArgumentParser, flag: str = "--results") -> None:
    it.add_argument(
        flag,
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
    it.add_argument("--method", help="the row's name under 'methods' in the experiment")
    it.add_argument("--budget", type=_budget, help="labeled cases: a count, a fraction or 'all'")
    it.add_argument("--subset", type=int, default=0)
    it.add_argument("--seed", type=int, default=0)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive whole number")
    return int(text)


def _budget(text: str) -> int | float:
    from ssl_methods.config import parse_budget

    try:
        return parse_budget(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


# ---- the verbs -----------------------------------------------------------------------------------


def prepare(arguments: argparse.Namespace) -> None:
    from ssl_methods.data.prepare import prepare

    print(prepare(_dataset(arguments.file), arguments.results, workers=arguments.workers))


def split(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.data.prepare import prepare
    from ssl_methods.data.splits import make_split, split_name
    from ssl_methods.data.store import Store
    from ssl_methods.locks import alone

    experiment = load_experiment(arguments.file)
    store = Store.open(prepare(experiment.dataset, arguments.results))
    for budget in experiment.budgets:  # one that cannot be drawn stops all, before any training
        make_split(store, budget, 0, experiment.validation_cases, experiment.labeled_cases)
    budgets = experiment.budgets if arguments.budget is None else [arguments.budget]
    subsets = experiment.subsets if arguments.subset is None else [arguments.subset]
    folder = arguments.results / experiment.name / "splits"
    with alone(folder):
        for budget in budgets:
            for subset in subsets:
                path = folder / split_name(budget, subset)
                make_split(
                    store, budget, subset, experiment.validation_cases, experiment.labeled_cases
                ).write(path)
                print(path)


def train(arguments: argparse.Namespace) -> None:
    from ssl_methods.methods import check_choice

    run, declared = _run(arguments)
    if not declared and arguments.out is None:
        raise UserError("training an earlier run once more needs --out DIR, a folder of its own")
    check_choice(run.choice, str(arguments.file))
    from ssl_methods.training.train import train

    out = arguments.out or arguments.results / run.folder
    train(run, arguments.results, out)
    print(out)


def plan(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.methods import check_choice
    from ssl_methods.training.plan import lines, plan

    experiment = load_experiment(arguments.file)
    for choice in experiment.methods.values():
        check_choice(choice, f"{arguments.file}: methods")
    rows = plan(experiment, arguments.results, arguments.measure)
    print("\n".join(lines(rows, experiment.name, arguments.devices)))


def evaluate(arguments: argparse.Namespace) -> None:
    folder, settings = arguments.file, None
    if not folder.is_dir():
        run, declared = _run(arguments)
        folder = arguments.results / run.folder if declared else folder.parent
        settings = run.evaluation  # what the experiment says now, not what it said when training
    from ssl_methods.evaluation.evaluate import evaluate
    from ssl_methods.locks import alone
    from ssl_methods.training.checkpoint import remove_checkpoints

    with alone(arguments.out or folder):
        evaluate(folder, arguments.results, arguments.out, settings)
        if arguments.out is None:
            remove_checkpoints(folder)
    print(arguments.out or folder)


def reproduce(arguments: argparse.Namespace) -> int:
    from ssl_methods.training.reproduce import reproduce

    return 0 if reproduce(arguments.file, arguments.results, arguments.out) else 1


def predict(arguments: argparse.Namespace) -> None:
    from ssl_methods.evaluation.predict import predict_files

    for path in predict_files(arguments.folder, arguments.images, arguments.out, arguments.results):
        print(path)


def metrics(arguments: argparse.Namespace) -> None:
    from ssl_methods.evaluation.compare import compare_files

    found = compare_files(
        arguments.prediction,
        arguments.reference,
        spacing=arguments.spacing,
        tolerance=arguments.tolerance,
    )
    if arguments.json:
        print(json.dumps(_without_nan(found), indent=1, allow_nan=False))
        return
    for name, measured in found.get("classes", {"": found}).items():
        for metric, value in measured.items():
            print(f"{name:4}{metric:40}{value}")


def tune(arguments: argparse.Namespace) -> None:
    from ssl_methods.tuning.study import choose, load_studies

    studies = choose(load_studies(arguments.file), arguments.study, str(arguments.file))
    from ssl_methods.tuning.worker import lay_out, work

    for study in studies:
        if arguments.part in (None, "layout"):
            lay_out(study, arguments.results)
        if arguments.part in (None, "work"):
            work(study, arguments.results)
        folder = arguments.results / study.folder
        if arguments.part in (None, "answers"):
            from ssl_methods.locks import alone
            from ssl_methods.tuning.answers import answer

            with alone(folder), alone(folder / "figures"):
                answer(study, arguments.results)
        print(folder)


def collect(arguments: argparse.Namespace) -> None:
    from ssl_methods.analysis.collect import collect
    from ssl_methods.config import load_experiment
    from ssl_methods.locks import alone

    experiment = load_experiment(arguments.file)
    tables = arguments.results / experiment.name / "tables"
    with alone(tables):
        collect(experiment, arguments.results)
    print(tables)


def report(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.locks import alone
    from ssl_methods.reporting.report import report

    experiment = load_experiment(arguments.file)
    folder = arguments.results / experiment.name
    with alone(folder), alone(folder / "figures"):
        print(report(experiment, arguments.results))


def methods(arguments: argparse.Namespace) -> None:
    from ssl_methods.methods import describe, register

    for file in arguments.method_module or []:
        register(file)
    listing = describe()
    if arguments.json:
        print(json.dumps(listing, indent=1))
    else:
        width = max(len(method["name"]) for method in listing)
        for method in listing:
            print(f"{method['name']:{width}} {method['summary']}")


def check(arguments: argparse.Namespace) -> int:
    from ssl_methods.checks import check_method
    from ssl_methods.methods import register

    for file in arguments.method_module or []:
        register(file)
    log = logging.getLogger("ssl_methods")  # training says more than a line per check
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return 0 if check_method(arguments.name) else 1
    finally:
        log.setLevel(level)


def doctor(arguments: argparse.Namespace) -> int:
    from ssl_methods.doctor import doctor

    return doctor(arguments.files)


def import_checkpoint(arguments: argparse.Namespace) -> None:
    from ssl_methods.networks.released import import_released

    import_released(arguments.file, arguments.out)
    print(arguments.out)


# ---- what a file holds ---------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> tuple[Run, bool]:
    """The run that the arguments name, and whether it is a cell of an experiment's grid."""
    from ssl_methods.config import load_experiment, load_run, read_yaml

    if "choice" in read_yaml(arguments.file):
        if arguments.method is not None or arguments.budget is not None:
            raise UserError(
                f"{arguments.file}: is one run; --method and --budget go with an experiment"
            )
        return load_run(arguments.file), False
    experiment = load_experiment(arguments.file)
    for name in ("method", "budget"):
        if getattr(arguments, name) is None:
            raise UserError(
                f"{arguments.file}: is an experiment; say which run with --method and --budget"
            )
    return experiment.run(
        arguments.method, arguments.budget, arguments.subset, arguments.seed
    ), True


def _dataset(path: Path) -> Dataset:
    """The dataset of an experiment, or of a file that holds a dataset alone (key 'importer')."""
    from pydantic import create_model

    from ssl_methods.config import Dataset, Settings, load_experiment, parse, read_yaml

    data = read_yaml(path)
    if "importer" not in data:
        return load_experiment(path).dataset
    model: Any = create_model("DatasetFile", __base__=Settings, dataset=(Dataset, ...))
    file: Any = parse(model, {"dataset": data}, str(path))
    return file.dataset


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what is not defined becomes null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
