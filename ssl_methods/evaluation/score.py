"""The verb `score`: the authors' own model on the test cases, without any training of ours.

In: a released `.pth`, a row of an experiment. Out: the means over the test cases, and ``cases.csv``
as `evaluate` writes it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssl_methods import methods
from ssl_methods.config import Run
from ssl_methods.data.inputs import open_inputs
from ssl_methods.devices.claim import computing
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import Label, as_csv, evaluate_cases
from ssl_methods.evaluation.trained import predictor_of
from ssl_methods.files import write_text
from ssl_methods.measures import LARGEST, OF_PAPERS
from ssl_methods.networks.released_weights import load_released

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Score:
    """Means over test cases (and classes): overlaps in 0..1, distances in voxels."""

    cases: int
    values: dict[str, float]  # by the names of measures.OF_PAPERS
    largest_component: dict[str, float]  # the same of each prediction's largest component
    table: Path  # cases.csv


def score(file: Path, run: Run, results: Path, out: Path) -> Score:
    """Measure a released model on the run's test cases, as `evaluate` measures a trained one.

    The data are prepared if they are not. Predicted with the method's ``predict`` and the
    experiment's strides, in float32, the last layer's weights taken over as they are.

    Raises UserError if the file is no released network or not the method's, or the data are absent.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    method = methods.build(run.choice, run.network, 1, 1, len(run.training.patch_size))
    if method.role == "control":
        raise UserError(f"{run.name}: has no network, so that no file can be scored with it")
    load_released(method.network, file)  # before the data are prepared, which takes long
    inputs = open_inputs(run, results, make=True)
    store, ids = inputs.store, inputs.split.test
    if (store.channels, len(store.classes)) != (1, 1):
        raise UserError(
            f"{run.dataset.name}: has {store.channels} channels and {len(store.classes)} classes;"
            " the released networks are for one of each"
        )
    inputs.verify(ids)

    def said(case_id: str, _: Label) -> None:
        log.info("%s: measured", case_id)

    with computing(run.training, f"score {file}") as device:
        predictor = predictor_of(method.eval(), run, store, run.evaluation, device)
        rows, _ = evaluate_cases(predictor, store, ids, said)
    table = out / "cases.csv"
    write_text(table, as_csv(rows, run.evaluation))
    return Score(len(ids), means(rows), means(rows, LARGEST), table)


def means(rows: list[dict[str, Any]], suffix: str = "") -> dict[str, float]:
    return {name: float(np.mean([row[name + suffix] for row in rows])) for name in OF_PAPERS}
