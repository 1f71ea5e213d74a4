"""What each verb does with its arguments: it imports the part that does the work, and calls it."""

from __future__ import annotations

import argparse
import json
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_methods.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssl_methods.config import Dataset, Run


def quickstart(arguments: argparse.Namespace) -> None:
    from ssl_methods.cli import workflow

    cores, directory = arguments.cores, arguments.directory
    workflow.become(workflow.command(None, cores, directory, arguments.passed_on))


def run(arguments: argparse.Namespace) -> None:
    from ssl_methods.cli import workflow

    cores, directory = arguments.cores, arguments.directory
    workflow.become(workflow.command(arguments.file, cores, directory, arguments.passed_on))


def prepare(arguments: argparse.Namespace) -> None:
    from ssl_methods.data.prepare import prepare
    from ssl_methods.data.store import Store
    from ssl_methods.data.summary import shown

    dataset, patch = _dataset(arguments.file)
    folder = prepare(dataset, arguments.results, workers=arguments.workers)
    print(shown(Store.open(folder), patch))
    print(folder)


def split(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.data.prepare import prepare
    from ssl_methods.data.splits import write_splits
    from ssl_methods.data.store import Store

    experiment = load_experiment(arguments.file)
    experiment.check_cell(arguments.budget, arguments.subset)
    store = Store.open(prepare(experiment.dataset, arguments.results))
    for path in write_splits(
        experiment, store, arguments.results, arguments.budget, arguments.subset
    ):
        print(path)


def choose(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.data.compared import choose, has_choice

    experiment = load_experiment(arguments.file)
    experiment.check_cell(arguments.budget, None)
    if arguments.budget is not None:
        budgets = [arguments.budget]
    else:
        budgets = [it for it in experiment.budgets if has_choice(experiment, it)]
        if not budgets:
            raise UserError(f"{experiment.name}: declares no second phase: nothing is to be chosen")
    for budget in budgets:
        print(choose(experiment, budget, arguments.results))


def look(arguments: argparse.Namespace) -> None:
    from ssl_methods.analysis.looks import look, said
    from ssl_methods.config import load_experiment
    from ssl_methods.data.compared import next_look
    from ssl_methods.files import read_json

    experiment = load_experiment(arguments.file)
    experiment.check_cell(arguments.budget, None)
    subsets = arguments.subsets or next_look(experiment, arguments.budget, arguments.results)
    path = look(experiment, arguments.budget, subsets, arguments.results)
    print(said(read_json(path)), path, sep="\n")


def train(arguments: argparse.Namespace) -> None:
    from ssl_methods.methods import check_choice, named_by_the_user

    _register(arguments)
    run, declared = _run(arguments)
    if not declared:
        if arguments.out is None:
            raise UserError(
                "training an earlier run once more needs --out DIR, a folder of its own"
            )
        choice = named_by_the_user(run.choice, str(arguments.file))
        run = run.model_copy(update={"choice": choice})
    check_choice(run.choice, str(arguments.file))
    from ssl_methods.training.train import train

    out = arguments.out or arguments.results / run.folder
    train(run, arguments.results, out)
    print(out)


def plan(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.data.compared import compared_now
    from ssl_methods.data.splits import check_prepared
    from ssl_methods.methods import check_choice
    from ssl_methods.training.plan import lines, plan

    experiment = load_experiment(arguments.file)
    for choice in experiment.methods.values():
        check_choice(choice, f"{arguments.file}: methods")
    check_prepared(experiment, arguments.results)
    rows = plan(experiment, arguments.results, arguments.measure)
    print(
        "\n".join(
            [
                *experiment.waiting(compared_now(experiment, arguments.results)),
                *lines(rows, experiment.name, arguments.devices),
            ]
        )
    )
    if arguments.detect is not None:
        from ssl_methods.training.detect import detect

        print("\n".join(detect(experiment, arguments.results, arguments.detect, arguments.like)))


def evaluate(arguments: argparse.Namespace) -> None:
    _register(arguments)
    folder, run = arguments.file, None
    if not folder.is_dir():
        run, declared = _run(arguments)
        folder = arguments.results / run.folder if declared else folder.parent
        if declared:  # the experiment is the user's own file, and so are the methods it names
            from ssl_methods.methods import check_choice

            check_choice(run.choice, str(arguments.file))
    from ssl_methods.evaluation.evaluate import evaluate

    evaluate(folder, arguments.results, arguments.out, run)
    print(arguments.out or folder)


def reproduce(arguments: argparse.Namespace) -> int:
    _register(arguments)
    from ssl_methods.training.reproduce import reproduce

    return 0 if reproduce(arguments.file, arguments.results, arguments.out) else 1


def predict(arguments: argparse.Namespace) -> None:
    from ssl_methods.evaluation.predict import predict_files, runs_and_images

    _register(arguments)
    runs, images = runs_and_images(arguments.paths)
    for path in predict_files(
        runs,
        images,
        arguments.out,
        arguments.results,
        probabilities=arguments.probabilities,
        largest_component=arguments.largest_component,
    ):
        print(path)


def export(arguments: argparse.Namespace) -> None:
    from ssl_methods.evaluation.export import export

    _register(arguments)
    for path in export(
        arguments.runs, arguments.results, arguments.out, arguments.onnx, arguments.torchscript
    ):
        print(path)


def metrics(arguments: argparse.Namespace) -> None:
    from ssl_methods.evaluation.compare import compare_files

    found = compare_files(
        arguments.prediction,
        arguments.reference,
        spacing=arguments.spacing,
        tolerance=arguments.tolerance,
        merged=arguments.merged,
        header=arguments.header,
        peer=arguments.beside,
    )
    if arguments.json:
        print(json.dumps(_without_nan(found), indent=1, allow_nan=False))
        return
    if arguments.beside:
        print(f"{'':44}{'here':24}{arguments.beside}")
    for name, measured in found.get("classes", {"": found}).items():
        peers = measured.pop("beside", {}).get(arguments.beside, {})
        for metric, value in measured.items():
            print(f"{name:4}{metric:40}{value!s:24}{peers.get(metric, '')}".rstrip())


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
            from ssl_methods.tuning.answers import answer

            answer(study, arguments.results)
        print(folder)


def collect(arguments: argparse.Namespace) -> None:
    from ssl_methods.analysis.collect import collect
    from ssl_methods.config import load_experiment

    experiment = load_experiment(arguments.file)
    collect(experiment, arguments.results)
    print(arguments.results / experiment.name / "tables")


def report(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.reporting.report import report

    print(report(load_experiment(arguments.file), arguments.results))


def compare(arguments: argparse.Namespace) -> None:
    from ssl_methods.reporting.compare import compare

    print(compare(arguments.first, arguments.second, arguments.results, arguments.groups))


def methods(arguments: argparse.Namespace) -> None:
    from ssl_methods.methods import describe

    _register(arguments)
    listing = describe()
    if arguments.json:
        print(json.dumps(listing, indent=1))
    else:
        width = max(len(method["name"]) for method in listing)
        for method in listing:
            print(f"{method['name']:{width}} {method['summary']}")


def check(arguments: argparse.Namespace) -> int:
    from ssl_methods.checks import check_method

    _register(arguments)
    log = logging.getLogger("ssl_methods")  # training says more than a line per check
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return 0 if check_method(arguments.name) else 1
    finally:
        log.setLevel(level)


def doctor(arguments: argparse.Namespace) -> int:
    from ssl_methods.doctor import doctor

    return doctor(arguments.files, arguments.results)


def import_checkpoint(arguments: argparse.Namespace) -> None:
    from ssl_methods.networks.released_weights import import_released

    import_released(arguments.file, arguments.out)
    print(arguments.out)


def score(arguments: argparse.Namespace) -> None:
    from ssl_methods.analysis.scores import as_json, as_text
    from ssl_methods.config import load_experiment
    from ssl_methods.methods import check_choice

    experiment, file = load_experiment(arguments.experiment), arguments.file
    run = experiment.run(
        arguments.method, experiment.budgets[0], experiment.subsets[0], experiment.seeds[0]
    )
    check_choice(run.choice, f"{arguments.experiment}: methods")
    from ssl_methods.evaluation.score import score

    folder = Path(experiment.name, "scores", arguments.method, file.stem)
    scored = score(file, run, arguments.results, arguments.out or arguments.results / folder)
    shown = as_json if arguments.json else as_text
    print(shown(file, scored, experiment, arguments.method))


def completion(arguments: argparse.Namespace) -> None:
    from ssl_methods.cli.completion import script

    print(script(arguments.shell))


def showcase(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import read_yaml
    from ssl_methods.reporting import showcase as of_experiments
    from ssl_methods.tuning import showcase as of_studies
    from ssl_methods.tuning.study import load_studies

    for file in arguments.files:
        if "experiment" in read_yaml(file):
            for study in load_studies(file):
                print(of_studies.showcase(study, file, arguments.results))
        else:
            readme = arguments.results / "README.md"
            print(of_experiments.showcase(file, arguments.results, readme))


def schema(_: argparse.Namespace) -> None:
    from ssl_methods.settings_pages.schema import experiment_schema

    print(json.dumps(experiment_schema(), indent=1))


def reference(_: argparse.Namespace) -> None:
    from ssl_methods.settings_pages.write import write_pages

    for path in write_pages(Path()):
        print(path)


# ---- what a file holds ---------------------------------------------------------------------------


def _register(arguments: argparse.Namespace) -> None:
    """The methods of one's own that the command names."""
    from ssl_methods.methods import register

    for file in arguments.method_module or []:
        register(file)


def _run(arguments: argparse.Namespace) -> tuple[Run, bool]:
    """The run that the arguments name, and whether it is a cell of an experiment's grid."""
    from ssl_methods.config import declared_run, load_experiment, read_yaml

    if "choice" in (recorded := read_yaml(arguments.file)):
        if arguments.method is not None or arguments.budget is not None:
            raise UserError(
                f"{arguments.file}: is one run; --method and --budget go with an experiment"
            )
        from ssl_methods.methods import named_by_the_user

        run = declared_run(recorded, arguments.file)
        named_by_the_user(run.choice, str(arguments.file))
        return run, False
    experiment = load_experiment(arguments.file)
    for name in ("method", "budget"):
        if getattr(arguments, name) is None:
            raise UserError(
                f"{arguments.file}: is an experiment; say which run with --method and --budget"
            )
    return experiment.declared_run(
        arguments.method, arguments.budget, arguments.subset, arguments.seed
    ), True


def _dataset(path: Path) -> tuple[Dataset, Sequence[int] | None]:
    """The dataset of an experiment, and its patch; or of a file that holds a dataset alone (key
    'importer')."""
    from ssl_methods.config import load_dataset, load_experiment, read_yaml

    if "importer" in read_yaml(path):
        return load_dataset(path), None
    experiment = load_experiment(path)
    return experiment.dataset, experiment.training.patch_size


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what is not defined becomes null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
