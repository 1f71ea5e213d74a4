"""Pages and files that come with the project: `showcase`, `schema`, `reference`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ssl_methods.cli import verb
from ssl_methods.cli.verb import Verbs


def add_showcase(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "showcase",
        showcase,
        "keep tables and figures of results as pages with the project",
        ["showcase configs/experiments/hippocampus.yaml"],
    )
    it.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="EXPERIMENT.yaml|STUDY.yaml",
        help="experiments with their report, or answered studies",
    )
    verb.results(it)


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


def add_schema(verbs: Verbs) -> None:
    verb.add(
        verbs,
        "schema",
        schema,
        "print the JSON schema of experiment files, for editors",
        ["schema > experiment.schema.json"],
    )


def schema(_: argparse.Namespace) -> None:
    from ssl_methods.settings_pages.schema import experiment_schema

    print(json.dumps(experiment_schema(), indent=1))


def add_reference(verbs: Verbs) -> None:
    verb.add(
        verbs,
        "reference",
        reference,
        "write what the repository holds of it: schema, pages on settings and methods, metadata",
        ["reference"],
    )


def reference(_: argparse.Namespace) -> None:
    from ssl_methods.settings_pages.write import write_pages

    for path in write_pages(Path()):
        print(path)
