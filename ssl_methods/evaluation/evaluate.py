"""The verb `evaluate`: a trained run on the test cases.

In: a run's folder (``run.yaml``, ``model.pt``), the prepared store and the split. Out:
``cases.csv``, ``slices.npz`` and, on request, ``predictions/<case>.nii.gz`` (formats: the design
page). The same inputs give the same bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ssl_methods import rests_on
from ssl_methods.config import EvaluationConfig, Run
from ssl_methods.data.compared import LEVEL, level_ids, write_level
from ssl_methods.data.geometry import affine_of
from ssl_methods.data.inputs import open_inputs
from ssl_methods.data.splits import Split
from ssl_methods.data.store import Store
from ssl_methods.data.volumes import Volume, write_label
from ssl_methods.devices.claim import computing, described
from ssl_methods.evaluation import kept_weights
from ssl_methods.evaluation.inference import Predictor
from ssl_methods.evaluation.metrics import case_metrics, columns, in_voxels, overlap
from ssl_methods.evaluation.own_metrics import measured
from ssl_methods.evaluation.slices import STACKS, best_slice, stack
from ssl_methods.evaluation.trained import (
    in_source_values,
    label_values,
    predictor_of,
    restore,
)
from ssl_methods.files import file_sha256, write_text, write_with
from ssl_methods.locks import alone
from ssl_methods.measures import named
from ssl_methods.methods.base import Method
from ssl_methods.plugins import name_of
from ssl_methods.progress import Report, reported
from ssl_methods.provenance import source_digest
from ssl_methods.run_record import (
    check_data,
    check_settings,
    read_record,
    remove_checkpoints,
    trained_on,
    write_measured,
)

Row = dict[str, str | float | bool]
Label = NDArray[np.uint8]
In = TypeVar("In")
Out = TypeVar("Out")
Case = tuple[str, NDArray[np.float32], Label]  # id, image (C, *spatial), label (*spatial)


def evaluate(
    run_folder: Path,
    results: Path,
    out: Path | None = None,
    declared: Run | None = None,
) -> None:
    """Predict and measure every test case of a trained run; ``cases.csv`` is written last.

    Waits while another process writes there. In the run's own folder its checkpoints are removed.

    Args:
        run_folder: what `train` wrote.
        results: the folder that holds ``prepared/`` and the experiment's splits.
        out: where to write; the run's folder if None.
        declared: the run as an experiment declares it now: with other settings of the training than
            those that the model has it is refused, and its settings of the evaluation count. If
            None, ``run.yaml`` counts.

    Raises:
        UserError: the run, the model, the store or the split is missing or broken, the model is of
            other settings or data, or a test case has no label.
    """
    folder = out or run_folder
    with alone(folder), reported(folder, "evaluate") as report:
        _evaluate(run_folder, results, folder, declared, report)
        if out is None:
            remove_checkpoints(run_folder)


def _evaluate(
    run_folder: Path, results: Path, out: Path, declared: Run | None, report: Report
) -> None:
    record = read_record(run_folder)
    if declared is not None:
        check_settings(record, declared)
    run, evaluation = record.run, (declared or record.run).evaluation
    named(evaluation.metrics, str(record.path))  # before the data are read
    inputs = open_inputs(run, results)
    store, split = inputs.store, inputs.split
    check_data(record, trained_on(record, store, split), store.folder)
    ids, level_cases = split.test, (declared or record.run).level_cases
    outside = level_ids(store, split, level_cases)
    needed = [*ids, *(split.validation if run.training.snapshots > 1 else []), *outside]
    inputs.verify(needed)
    method, model_file = restore(record, store), run_folder / "model.pt"

    def save(case_id: str, prediction: Label) -> None:
        case = store.cases[case_id]
        path = out / "predictions" / f"{case_id}.nii.gz"
        size = case.spacing or (1.0,) * len(case.shape)  # a header holds one, known or not
        affine = affine_of(size) if case.affine is None else np.array(case.affine)
        label = in_source_values(prediction, label_values(store))
        write_label(path, label, Volume(prediction[np.newaxis], size, affine))

    with computing(run.training, f"evaluate {run_folder}") as device:
        report.computes(described(device, run.training), len(ids))
        predictor = predictor_of(method, run, store, evaluation, device)
        kept = save if evaluation.save_predictions else None
        rows, slices = evaluate_cases(predictor, store, ids, kept, report.at)
        if outside:
            write_level(out / LEVEL, dice_of_cases(predictor, store, outside))
        if run.training.snapshots > 1:
            text = measured_snapshots(method, run_folder, run, store, split, predictor)
            write_text(out / "snapshots.csv", text)
    write_with(out / "slices.npz", lambda file: np.savez_compressed(file, **slices))
    programs = rests_on.measuring_programs(run, evaluation)
    sources = source_digest("evaluate", *programs)
    model = file_sha256(model_file)
    write_measured(out, record, declared or record.run, store, split, sources, model)
    write_text(out / "cases.csv", as_csv(rows, evaluation))


def measured_snapshots(
    method: Method,
    run_folder: Path,
    run: Run,
    store: Store,
    split: Split,
    predictor: Predictor,
) -> str:
    """The text of ``snapshots.csv``. A control has no weights but its last."""
    of_papers = predictor.evaluation.model_copy(update={"metrics": ()})

    def validate(method: Method) -> float:
        return mean_dice(replace(predictor, predict=method.predict), store, split.validation)

    def measure(method: Method) -> list[Row]:
        other = replace(predictor, predict=method.predict, evaluation=of_papers)
        return evaluate_cases(other, store, split.test)[0]

    path = None if method.role == "control" else run_folder / "snapshots.pt"
    rows = kept_weights.snapshot_rows(
        method, path, run.training.iterations, validate if split.validation else None, measure
    )
    return kept_weights.as_csv(rows)


def evaluate_cases(
    predictor: Predictor,
    store: Store,
    ids: Sequence[str],
    save: Callable[[str, Label], None] | None = None,
    tell: Callable[[int], None] | None = None,
) -> tuple[list[Row], dict[str, Any]]:
    """The rows of ``cases.csv`` (per case, then per class) and the arrays of ``slices.npz``.

    ``save`` is given each case's id and predicted label map, on another thread; ``tell`` how many
    cases are measured. While one case is predicted, the next is read and the one before measured.
    Raises UserError for a case without a label, or for a metric of one's own
    (``own_metrics.measured``).
    """
    evaluation, patient = predictor.evaluation, patients(store, ids)
    metrics = named(evaluation.metrics, "evaluation.metrics")

    def labels() -> Iterator[tuple[Case, Label]]:
        for case in read_ahead(store, ids):
            yield case, predictor.labels(case[1])

    def measure(item: tuple[Case, Label]) -> tuple[list[Row], dict[str, Any]]:
        (case_id, image, label), prediction = item
        spacing, tolerance = store.cases[case_id].spacing, evaluation.nsd_tolerance_mm
        rows: list[Row] = []
        for value, name in enumerate(store.classes, start=1):
            masks = prediction == value, label == value
            row: Row = {"case": case_id, "class": name}
            row |= {"patient": patient[case_id]} if patient else {}
            found = case_metrics(*masks, spacing, tolerance)
            row |= found if spacing is not None else in_voxels(found)
            row |= measured(metrics, *masks, spacing, f"case '{case_id}', class '{name}'")
            rows.append(row)
        if save is not None:
            save(case_id, prediction)
        pictures = best_slice(image, label, prediction)
        if case_id in ids[:STACKS]:
            pictures |= stack(image, label, prediction)
        return rows, {f"{case_id}.{kind}": array for kind, array in pictures.items()}

    rows: list[Row] = []
    slices: dict[str, Any] = {}
    for done, (some, pictures) in enumerate(ahead(measure, labels()), start=1):
        rows += some
        slices |= pictures
        if tell is not None:
            tell(done)
    return rows, slices


def patients(store: Store, ids: Sequence[str]) -> dict[str, str]:
    """Case -> whose it is; empty if every case is somebody else's."""
    found = {case_id: store.cases[case_id].group or case_id for case_id in ids}
    return found if len({*found.values()}) < len(ids) else {}


def mean_dice(
    predictor: Predictor,
    store: Store,
    ids: Sequence[str],
) -> float:
    """Dice averaged over cases, 0..1: what validation watches; NaN if no case has a class."""
    found = dice_of_cases(predictor, store, ids)
    return float(np.mean([*found.values()])) if found else float("nan")


def dice_of_cases(
    predictor: Predictor,
    store: Store,
    ids: Sequence[str],
) -> dict[str, float]:
    """Case -> Dice averaged over the classes that the case has, 0..1; a case without any is out."""
    found = {}
    for case_id, image, label in read_ahead(store, ids):
        prediction = predictor.labels(image)
        values = range(1, len(store.classes) + 1)
        has = [(prediction == value, label == value) for value in values if (label == value).any()]
        if has:
            found[case_id] = float(np.mean([overlap(*pair)["dice"] for pair in has]))
    return found


def read_ahead(store: Store, ids: Sequence[str]) -> Iterator[Case]:
    """Cases in order; the next one is read while the caller works on this one."""

    def read(case_id: str) -> Case:
        return case_id, np.array(store.image(case_id)), np.array(store.label(case_id))

    return ahead(read, ids)


def ahead(work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """``work`` of each item, in order, on one other thread, while the caller goes on.

    At most one result waits while the next is worked on. What ``work`` raises comes out here.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        ready: Future[Out] | None = None
        for item in items:
            coming = thread.submit(work, item)
            if ready is not None:
                yield ready.result()
            ready = coming
        if ready is not None:
            yield ready.result()


def as_csv(rows: Sequence[Row], evaluation: EvaluationConfig) -> str:
    """The text of ``cases.csv``: numbers in full precision, flags as True and False."""
    text = io.StringIO()
    names = [*columns(evaluation.nsd_tolerance_mm), *map(name_of, evaluation.metrics)]
    of_patients = ["patient"] if rows and "patient" in rows[0] else []
    heading = ["case", "class", *of_patients, *names]
    writer = csv.DictWriter(text, heading, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
