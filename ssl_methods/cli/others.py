"""What others made, label files and checkpoints: `metrics`, `score`, `import-checkpoint`."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from ssl_methods.cli import verb
from ssl_methods.cli.verb import Verbs


def add_metrics(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "metrics",
        metrics,
        "compare two label files (NIfTI, NRRD, MetaImage, PNG, TIFF or npy)",
        [
            "metrics prediction.nii.gz reference.nii.gz",
            "metrics prediction.nii.gz reference.nii.gz --beside medpy",
            "metrics prediction.npy reference.npy --spacing 1 1 2.5 --json",
            "metrics prediction.nii.gz reference.nii.gz --metric surface_dice_2mm.py",
        ],
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
    verb.own_metrics(it, "NAME|FILE.py")
    it.add_argument("--json", action="store_true", help="print the measurements as JSON")


def metrics(arguments: argparse.Namespace) -> None:
    from ssl_methods.evaluation.compare import compare_files
    from ssl_methods.measures import name_metrics

    name_metrics(arguments.metric)
    found = compare_files(
        arguments.prediction,
        arguments.reference,
        spacing=arguments.spacing,
        tolerance=arguments.tolerance,
        merged=arguments.merged,
        header=arguments.header,
        peer=arguments.beside,
        metrics=arguments.metric,
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


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what is not defined becomes null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def add_score(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "score",
        score,
        "measure an authors' released .pth beside the published values",
        ["score dtc_16_aaai2021.pth my_experiment.yaml --method dtc"],
    )
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
    verb.results(it)


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


def add_import_checkpoint(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "import-checkpoint",
        import_checkpoint,
        "turn a released .pth of DTC, SASSNet, UA-MT or SSL4MIS into a model.pt",
        ["import-checkpoint dtc_16_aaai2021.pth --out model.pt"],
    )
    it.add_argument("file", type=Path, metavar="FILE.pth", help="a checkpoint as it was released")
    it.add_argument(
        "--out", type=Path, required=True, metavar="model.pt", help="the file to be written"
    )


def import_checkpoint(arguments: argparse.Namespace) -> None:
    from ssl_methods.networks.released_weights import import_released

    import_released(arguments.file, arguments.out)
    print(arguments.out)
