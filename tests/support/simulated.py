"""A simulated results folder with known truth, for tests alone: nothing in it was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ssl_methods.analysis.collect import collect
from ssl_methods.config import Experiment, Run, budget_text, load_experiment
from ssl_methods.level_set import signed_distance
from ssl_methods.schedules import gaussian_warmup, stepwise_warmup

MANY = [
    "supervised", "supervised_all", "mean_teacher", "level_set_only", "sdf_multitask", "dtc",
    "dtc_supervised", "entropy_minimization", "dan", "ua_mt", "cct", "sassnet", "cps", "ict",
    "urpc", "mc_net", "bcp", "fixmatch", "r_drop", "deep_co_training",
    "dmd", "mcf", "caussl", "cross_teaching", "mixmatch", "multi_task_consistency",
    "sdcl", "unimatch", "cross_match", "ad_mt", "ss_net", "caml", "mean_shape", "empty",
]  # fmt: skip
ROLES = {"supervised_all": "bound", "mean_shape": "control", "empty": "control"}
TRUE_DICE = {"supervised": 0.70, "mean_teacher": 0.72, "sdf_multitask": 0.74, "dtc": 0.80}
GAIN = {"4": 0.0, "16": 0.10, "1.0": 0.14}
TRAIN_CASES = 60
FOLDS = 3  # where they rotate
UNLABELED_TERM = {"dtc": 1.0, "mean_teacher": 0.1}


def experiment(**changes: Any) -> Experiment:
    """Four methods, three budgets, three subsets, unless changed."""
    declared = {
        "name": "simulated",
        "description": "Simulated numbers that test the tables and figures; nothing was trained.",
        "dataset": {"name": "blobs", "importer": "phantom"},
        "methods": list(TRUE_DICE),
        "budgets": [4, 16, 1.0],
        "training": {"iterations": 600, "patch_size": [32, 32, 32]},
    }
    return load_experiment(declared | changes)


def collected(results: Path, **changes: Any) -> Experiment:
    """An experiment whose results are written and collected; changes go to either function."""
    written = {
        key: changes.pop(key)
        for key in ("test_cases", "classes", "missing", "failures", "absent")
        if key in changes
    }
    declared = experiment(**changes)
    write_results(declared, results, **written)
    collect(declared, results)
    return declared


def write_results(
    declared: Experiment,
    results: Path,
    *,
    test_cases: int = 24,
    classes: tuple[str, ...] = ("chamber",),
    missing: tuple[tuple[str, str, int, int], ...] = (),
    dice: Mapping[str, float] = TRUE_DICE,
    failures: bool = True,
    absent: tuple[tuple[str, str], ...] = (),
) -> None:
    """Every run's files as training and evaluation write them.

    Args:
        missing: (method, budget, subset, seed) of runs to leave out.
        dice: true mean Dice of each method at the smallest budget.
        failures: the last case of 'supervised' at 4 labels, subset 0, is an empty prediction.
        absent: (case, class) that the case does not have. Runs of subset 1 predict it all the
            same, but for 'empty'.

    Upper bounds and controls (``ROLES``) score as they would: the bound what all labels give,
    'empty' nothing. Controls have a history without rows, and a cost of 0.
    """
    for run in declared.runs():
        first = run.subset % FOLDS * test_cases if declared.test == "rotated" else 0
        ids = [f"case_{first + i:03d}" for i in range(test_cases)]
        write_split(run, results, ids)
        if (run.name, budget_text(run.budget), run.subset, run.seed) in missing:
            continue
        folder = results / run.folder
        folder.mkdir(parents=True)
        cases = simulated_cases(run, ids, classes, dice.get(run.name, 0.75), failures)
        cases = without(cases, absent, run.name != "empty" and run.subset == 1)
        cases.to_csv(folder / "cases.csv", index=False)
        record = run.model_dump(mode="json") | {
            "role": ROLES.get(run.name, "method"),
            "method_settings": {"ce_weight": 0.5, **run.choice.settings},
        }
        (folder / "run.yaml").write_text(yaml.safe_dump(record))
        passes = 3.0 if run.name == "mean_teacher" else 2.0
        seconds = (
            120.0
            + 40.0 * passes
            + 4.0 * run.subset
            + (6.0 if budget_text(run.budget) == "1.0" else 0.0)
        )
        cost = {
            "train_seconds": seconds,
            "wall_seconds": seconds + 5,
            "seconds_per_iteration": seconds / run.training.iterations,
            "forward_passes_per_iteration": passes,
            "parameters": 2_360_000,
            "peak_memory_mb": 812.5,
            "device": "cpu",
        }
        if ROLES.get(run.name) == "control":
            cost = {name: cost[name] if name == "device" else 0 for name in cost}
        (folder / "cost.json").write_text(json.dumps(cost))
        versions = {
            "versions": {"python": "3.11", "numpy": "2.4", "torch": "2.13.0"},
            "sources": "0123456789abcdef",
            "device": "cpu",
        }
        (folder / "provenance.json").write_text(
            json.dumps(versions | {"model_sha256": f"{run.name}{run.subset}"})
        )
        history(run).to_csv(folder / "history.csv", index=False)
        np.savez(folder / "slices.npz", **slices(run, cases, classes))


def write_split(run: Run, results: Path, test: list[str]) -> None:
    train = [f"train_{i:03d}" for i in range(TRAIN_CASES)]
    count = TRAIN_CASES if budget_text(run.budget) == "1.0" else int(run.budget)
    name = f"labeled-{budget_text(run.budget)}_subset-{run.subset}.json"
    path = results / run.experiment / "splits" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    split = {
        "dataset": "blobs",
        "budget": run.budget,
        "subset": run.subset,
        "validation": [],
        "test": test,
    }
    path.write_text(json.dumps(split | {"labeled": train[:count], "unlabeled": train[count:]}))


def simulated_cases(
    run: Run, ids: list[str], classes: tuple[str, ...], dice: float, failures: bool
) -> pd.DataFrame:
    """Effects of subset, case (the same in every run) and noise around a true mean."""
    budget = budget_text(run.budget)
    own = np.random.default_rng([sum(map(ord, run.name + budget)), run.subset, run.seed])
    subset_effect = np.random.default_rng([run.subset, 7]).normal(0, 0.012)
    case_effect = np.random.default_rng(11).normal(0, 0.06, len(ids))
    rows = []
    gain = GAIN.get("1.0" if ROLES.get(run.name) == "bound" else budget, 0.0)
    for k, klass in enumerate(classes):
        truth = dice + gain - 0.06 * k
        values = np.clip(
            truth + subset_effect + case_effect + own.normal(0, 0.02, len(ids)), 0.05, 0.99
        )
        for case, value in zip(ids, values, strict=True):
            asd = 12 * (1 - value) ** 1.3 * own.lognormal(0, 0.2)
            empty = run.name == "empty" or (
                failures
                and run.name == "supervised"
                and budget == "4"
                and run.subset == 0
                and case == ids[-1]
            )
            if empty:
                value, asd = 0.0, 74.1
            jaccard = value / (2 - value)
            hd95 = asd if empty else 4 * asd
            rows.append({
                "case": case, "class": klass, "dice": value, "jaccard": jaccard,
                "asd_voxel": asd, "hd95_voxel": hd95,
                "asd_mm": asd, "hd95_mm": hd95, "assd_mm": asd, "nsd_1mm": value**2,
                "volume_error_ml": own.normal(0, 2),
                "empty_prediction": empty, "empty_reference": False,
                "dice_largest_component": value, "jaccard_largest_component": jaccard,
                "asd_voxel_largest_component": asd, "hd95_voxel_largest_component": hd95,
            })  # fmt: skip
    return pd.DataFrame(rows)


def without(
    cases: pd.DataFrame, absent: tuple[tuple[str, str], ...], predicted: bool
) -> pd.DataFrame:
    """The rows of classes that a case does not have as ``case_metrics`` measures them."""
    which = pd.Series([pair in absent for pair in zip(cases["case"], cases["class"], strict=True)])
    overlaps = [name for name in cases if name.startswith(("dice", "jaccard", "nsd"))]
    distances = [name for name in cases if name.startswith(("asd", "assd", "hd95"))]
    cases.loc[which, overlaps] = float(not predicted)
    cases.loc[which, distances] = 74.1 * predicted
    cases.loc[which, "volume_error_ml"] = 5.0 * predicted
    cases.loc[which, ["empty_reference", "empty_prediction"]] = [True, not predicted]
    return cases


def history(run: Run) -> pd.DataFrame:
    if ROLES.get(run.name) == "control":
        return pd.DataFrame(columns=["iteration", "learning_rate", "loss"])
    t = np.arange(10, run.training.iterations + 1, 10)
    noise = np.random.default_rng([run.subset, run.seed]).lognormal(0, 0.25, (len(t), 4))
    decay = np.exp(-t / 180)
    table = pd.DataFrame({"iteration": t, "learning_rate": 0.01})
    table["cross_entropy"], table["weight_cross_entropy"] = (0.6 * decay + 0.05) * noise[:, 0], 0.5
    table["dice"], table["weight_dice"] = (0.8 * decay + 0.1) * noise[:, 1], 0.5
    if run.name in ("dtc", "sdf_multitask"):
        table["level_set"], table["weight_level_set"] = (0.3 * decay + 0.02) * noise[:, 2], 0.3
    if run.name in UNLABELED_TERM:
        warmup = stepwise_warmup if run.choice.recipe == "as_released" else gaussian_warmup
        table["consistency"] = (0.1 * decay + 0.01) * noise[:, 3]
        table["weight_consistency"] = [UNLABELED_TERM[run.name] * warmup(x - 1, t[-1]) for x in t]
    terms = [
        name for name in ("cross_entropy", "dice", "level_set", "consistency") if name in table
    ]
    table.insert(2, "loss", sum(table[name] * table[f"weight_{name}"] for name in terms))
    return table


def slices(run: Run, cases: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """An ellipse per case; the lower its Dice, the further its prediction is shifted."""
    x, y = np.mgrid[0:72, 0:60]
    found: dict[str, np.ndarray] = {}
    for i, (case, group) in enumerate(cases.groupby("case")):
        random = np.random.default_rng(i)
        reference, prediction = (np.zeros(x.shape, np.uint8) for _ in range(2))
        for k, dice in enumerate(group["dice"], start=1):
            shift = 14 * (1 - dice)
            centre = 28 + 14 * (k - 1), 30
            reference[_ellipse(x, y, *centre)] = k
            if dice > 0:
                prediction[_ellipse(x, y, centre[0] + shift, centre[1] - shift / 2)] = k
        image = signed_distance(reference) * -1 + random.normal(0, 0.35, x.shape)
        found |= {
            f"{case}.image": image.astype(np.float16),
            f"{case}.label": reference,
            f"{case}.prediction": prediction,
        }
        if i < 3:
            found |= stack(case, image, reference, prediction)
    return found


def stack(
    case: str, image: np.ndarray, reference: np.ndarray, prediction: np.ndarray
) -> dict[str, np.ndarray]:
    """Five slices of one case: the one slice, shifted further and further."""
    grey = np.interp(image, [image.min(), image.max()], [0, 255]).astype(np.uint8)
    shifted = {"image": grey, "label": reference, "prediction": prediction}
    return {f"{case}.slices_index": np.arange(10, 35, 5)} | {
        f"{case}.slices_{kind}": np.stack([np.roll(array, 2 * n, axis=0) for n in range(5)])
        for kind, array in shifted.items()
    }


def _ellipse(x: np.ndarray, y: np.ndarray, a: float, b: float) -> np.ndarray:
    return ((x - a) / 13) ** 2 + ((y - b) / 18) ** 2 < 1


def write_store(declared: Experiment, results: Path) -> None:
    """A prepared store of one test case, a ball, as docs/reference/formats.md says."""
    from ssl_methods.data.store import store_folder

    folder = store_folder(declared.dataset, results)
    case = folder / "cases" / "case_000"
    case.mkdir(parents=True)
    grid = np.mgrid[0:40, 0:36, 0:20] - np.array([20, 17, 9]).reshape(3, 1, 1, 1)
    label = ((grid / np.array([12, 9, 6]).reshape(3, 1, 1, 1)) ** 2).sum(0) < 1
    image = label + np.random.default_rng(0).normal(0, 0.3, label.shape)
    np.save(case / "image.npy", image[None].astype(np.float32))
    np.save(case / "label.npy", label.astype(np.uint8))
    record = {
        "id": "case_000", "split": "test", "labeled": True,
        "shape": list(label.shape), "spacing": [1, 1, 1],
        "affine": None, "image_sha256": "", "label_sha256": "",
        "foreground_voxels": [int(label.sum())],
    }  # fmt: skip
    manifest = {
        "format": 2, "dataset": "blobs", "settings": {},
        "dimensions": 3, "channels": 1, "label_values": [[1]],
        "classes": ["chamber"], "crop_used_label": False, "cases": [record],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
