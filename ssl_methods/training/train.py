"""The verb `train`: one run, from prepared data to `model.pt` and the records beside it.

In: a ``Run``, the results folder (prepared store, splits). Out, in the run's folder: ``model.pt``,
``history.csv``, ``cost.json``, ``run.yaml`` and ``provenance.json`` (docs/reference/formats.md).
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_methods import methods, provenance
from ssl_methods.config import Run, digest
from ssl_methods.data.inputs import open_inputs
from ssl_methods.data.sampling import Sampler, run_entropy
from ssl_methods.data.splits import (
    Split,
    labeled_count,
    training_checksum,
)
from ssl_methods.data.store import STAIN_REFERENCE, Store
from ssl_methods.devices.claim import computing, described
from ssl_methods.devices.other_work import cores
from ssl_methods.devices.placement import place
from ssl_methods.devices.precision import resolve, tf32
from ssl_methods.face import Face
from ssl_methods.files import file_sha256, write_json, write_with, write_yaml
from ssl_methods.locks import alone
from ssl_methods.methods.base import Method
from ssl_methods.progress import Report, reported
from ssl_methods.run_record import MEASURED, remove_checkpoints
from ssl_methods.training import micro_batches
from ssl_methods.training.acceleration import accelerate
from ssl_methods.training.checkpoint import Checkpoint, State
from ssl_methods.training.history import write_history
from ssl_methods.training.interruption import Interruption
from ssl_methods.training.kept_weights import Snapshots
from ssl_methods.training.loop import Validate, fit
from ssl_methods.training.micro_batches import DoesNotFit
from ssl_methods.training.observers import Observer, Progress, Several, observers

log = logging.getLogger(__name__)

RECORDS = (
    "model.pt", "history.csv", "cost.json", "run.yaml", "provenance.json", STAIN_REFERENCE,
)  # fmt: skip
MEASUREMENTS = ("cases.csv", "slices.npz", "snapshots.csv", "level.json", MEASURED)


def train(run: Run, results: Path, out: Path, observer: Observer | None = None) -> None:
    """Train one run into ``out``; resume it if a checkpoint of the same run lies there.

    What an earlier training left there, and the measurements of its model, are removed first.
    ``observer`` sees each row of the history; without one it is logged. Waits while another process
    writes there; what that one has trained is not trained again.

    Raises:
        UserError: bad settings or data, or a diverged loss.
    """
    config, declared = methods.resolve(run.choice), run
    if run.choice.recipe == "as_released":
        run = run.model_copy(update={"training": config.released_training(run.training)})
    inputs = open_inputs(run, results, make=True)
    if methods.method_class(run.choice.method).role == "bound":
        inputs = inputs.with_every_label()
    store, split = inputs.store, inputs.split
    inputs.verify([*split.labeled, *split.validation])
    inputs.verify(split.unlabeled, labels=False)
    with (
        alone(out),
        reported(out, "train") as report,
        computing(run.training, f"train {out}") as device,
    ):
        report.computes(described(device, run.training), run.training.iterations)
        for name in (*RECORDS, *MEASUREMENTS):
            (out / name).unlink(missing_ok=True)
        _train(run, declared, store, split, out, device, report, observer)


def _train(
    run: Run,
    declared: Run,
    store: Store,
    split: Split,
    out: Path,
    device: torch.device,
    report: Report,
    observer: Observer | None = None,
) -> None:
    training, entropy = run.training, run_entropy(run)
    sources = provenance.source_digest("train", methods.modules()[run.choice.method])
    git = provenance.git_state()  # of the sources that were imported, as the digest is
    data = training_checksum(store, split)
    key = digest([run.training_digest(), sources, data, device.type, torch.__version__])
    checkpoint = Checkpoint(out, key, device)
    own = [observer or Observer(run.name), Progress(report)]
    everyone, parts = Several(own, {} if observer else observers(run, out)), 1
    try:
        while True:
            try:
                method, state = _fit(run, store, split, checkpoint, everyone, device, parts)
                break
            except DoesNotFit as problem:
                log.warning("%s", problem)
                parts = problem.parts
            release_memory(device)  # after the handler, with which the failed step's tensors go
    finally:
        everyone.close()

    write_with(out / "model.pt", lambda file: torch.save(method.to("cpu").state_dict(), file))
    write_history(out / "history.csv", state.rows)
    write_json(out / "cost.json", cost(run, method, state, device))
    copy_stain_reference(store, out)
    model_sha256 = file_sha256(out / "model.pt")
    rests_on = {"settings": declared.training_digest(), "sources": sources, "data": data}
    write_yaml(
        out / "run.yaml",
        {"rests_on": rests_on, "model_sha256": model_sha256}
        | record(run, method)
        | {
            "labeled": labeled_count(run, store),
            "replaced": replaced(declared, run),
            "data": store.form(),
        },
    )
    write_json(
        out / "provenance.json",
        {
            "settings": record(run, method),
            "seeds": {"subset": run.subset, "seed": run.seed, "entropy": str(entropy)},
            "sources": sources,
            "git": git,
            "versions": provenance.versions(),
            "device": device_name(device),
            "processor": provenance.processor(),
            "precision": resolve(training.precision, method.least_precision, device),
            "least_precision": method.least_precision,
            "data": data,
            "split": split.model_dump(mode="json"),
            "model_sha256": model_sha256,
            "resumed_from": state.resumed_from,
            "micro_batches": micro_batches.record(state.divided, method, training),
        },
    )
    checkpoint.previous.unlink(missing_ok=True)


def _fit(
    run: Run,
    store: Store,
    split: Split,
    checkpoint: Checkpoint,
    observer: Observer,
    device: torch.device,
    parts: int,
) -> tuple[Method, State]:
    """Train from the initial weights or the checkpoint to the end."""
    training, entropy = run.training, run_entropy(run)
    torch.manual_seed(entropy % 2**63)
    method = place(build_for(run, store), training.patch_size, device)
    accelerate(method, training, device)
    method.before_training(whole_labels(store, split.labeled))
    unlabeled = split.unlabeled if method.wants_unlabeled else []
    sampler = Sampler(store, split.labeled, unlabeled, training, entropy, method.targets, device)
    snapshots = Snapshots(
        checkpoint.newest.parent, checkpoint.key, training.snapshots, training.iterations
    )
    precision = resolve(training.precision, method.least_precision, device)
    if snapshots.lost:
        remove_checkpoints(checkpoint.newest.parent)
    with Interruption() as interruption, tf32(precision == "tf32"):
        state = fit(
            method,
            sampler,
            training,
            checkpoint,
            device,
            observer,
            validate=validator(run, store, split, device),
            snapshots=snapshots,
            parts=parts,
            interruption=interruption,
            precision=precision,
        )
    return method, state


def build_for(run: Run, store: Store) -> Method:
    """The method of a run, freshly initialised, shaped for its data and number of labeled cases."""
    from ssl_methods.evaluation.trained import untrained

    return untrained(run, store, labeled_count(run, store))


def release_memory(device: torch.device) -> None:
    """Give the GPU back what nothing refers to, and count its peak anew."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def whole_labels(store: Store, ids: Sequence[str]) -> Iterator[torch.Tensor]:
    """Label maps as (K, *spatial) float32."""
    for case_id in ids:
        label = torch.from_numpy(np.array(store.label(case_id)))
        yield torch.stack([label == value for value in range(1, len(store.classes) + 1)]).float()


def validator(run: Run, store: Store, split: Split, device: torch.device) -> Validate | None:
    """Mean Dice over the validation cases, or None if the run does not validate."""
    if not run.training.validate_every:
        return None
    from ssl_methods.evaluation.evaluate import mean_dice
    from ssl_methods.evaluation.trained import predictor_of

    def validate(method: Method) -> float:
        predictor = predictor_of(method.eval(), run, store, run.evaluation, device)
        return mean_dice(predictor, store, split.validation)

    return validate


def cost(run: Run, method: Method, state: State, device: torch.device) -> dict[str, Any]:
    """What the run cost, summed over resumptions."""
    iterations = run.training.iterations
    room = state.wall_seconds * cores()
    return {
        "train_seconds": state.train_seconds,
        "wall_seconds": state.wall_seconds,
        "seconds_per_iteration": state.train_seconds / iterations,
        "forward_passes_per_iteration": state.forward_passes / iterations,
        "parameters": sum(p.numel() for p in method.parameters() if p.requires_grad),
        "peak_memory_mb": state.peak_memory_mb,
        "device": device_name(device),
        "precision": resolve(run.training.precision, method.least_precision, device),
        "least_precision": method.least_precision,
        "others_share": min(1.0, state.other_seconds / room) if room else 0.0,
        "finished": datetime.now(UTC).date().isoformat(),
    }


def record(run: Run, method: Method) -> dict[str, Any]:
    """The resolved run: enough to train it again, and every setting that it was trained with."""
    return run.model_dump(mode="json") | {
        "role": method.role,
        **Face.of(type(method))._asdict(),
        "method_settings": method.config.model_dump(mode="json"),
    }


def replaced(declared: Run, run: Run) -> dict[str, Any]:
    """The settings of the training as they were declared, where the recipe replaced them."""
    before, now = (some.training.model_dump(mode="json") for some in (declared, run))
    return {name: before[name] for name in before if before[name] != now[name]}


def copy_stain_reference(store: Store, out: Path) -> None:
    """Prediction needs it, also where there is no prepared store."""
    if store.stain_reference() is not None:  # there, and what was prepared
        content = (store.folder / STAIN_REFERENCE).read_bytes()
        write_with(out / STAIN_REFERENCE, lambda file: file.write(content))


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
