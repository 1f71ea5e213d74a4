"""What a trained model is used for: `predict`, `export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssl_methods.cli import verb
from ssl_methods.cli.verb import A_RUN, Verbs


def add_predict(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "predict",
        predict,
        "segment images with one trained run, or several together",
        [
            f"predict {A_RUN} new_scans --out predictions",
            "predict dtc.zip scan.nii.gz --out predictions --probabilities",
        ],
    )
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
    verb.results(it)
    verb.own_methods(it)


def predict(arguments: argparse.Namespace) -> None:
    from ssl_methods.evaluation.predict import predict_files, runs_and_images

    verb.register(arguments)
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


def add_export(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "export",
        export,
        "write trained runs as one file, to be used elsewhere",
        [
            f"export {A_RUN} --out dtc.zip",
            f"export {A_RUN} --onnx dtc.onnx",
        ],
    )
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
    verb.results(it)
    verb.own_methods(it)


def export(arguments: argparse.Namespace) -> None:
    from ssl_methods.evaluation.export import export

    verb.register(arguments)
    for path in export(
        arguments.runs, arguments.results, arguments.out, arguments.onnx, arguments.torchscript
    ):
        print(path)
