"""Audits: what a habit of the field does to the numbers, measured on the same runs.

Each audit sets what this project reports beside what others report instead: the best checkpoint
instead of the last, the largest component instead of the prediction, a distance of 0 for a
prediction without a voxel. The difference is paired by run and case, with the interval over
subsets and cases of ``components``. An audit without its measurements is 'not run', with
what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ssl_methods.analysis.names import label
from ssl_methods.analysis.pairing import beside, paired_difference
from ssl_methods.analysis.run_files import read_cost, read_snapshots
from ssl_methods.analysis.shown import (
    UNKNOWN,
    WORDS,
    labeled_text,
    number,
    or_dash,
    role_note,
    with_interval,
)
from ssl_methods.analysis.tables import CELL, in_order, overall, roles, with_class_mean
from ssl_methods.config import Experiment, Run, budget_text
from ssl_methods.errors import UserError
from ssl_methods.measures import of

COLUMNS = [
    "audit", "method", "role", "recipe", "budget", "labeled", "metric",
    "reported_as", "instead_as", "reported", "instead", "difference", "low", "high",
    "verdict", "runs", "subsets", "cases", "status", "meaning",
]  # fmt: skip


@dataclass(frozen=True)
class Audit:
    """``reported`` and ``instead`` are columns of one table of cases."""

    name: str
    reported_as: str
    instead_as: str
    reported: str
    instead: str
    meaning: str
    needs: str = ""  # said where the measurements are not there

    @property
    def metric(self) -> str:
        """The metric's values, in the unit of what is reported."""
        return "dice" if self.reported in CHOICES else self.reported


SNAPSHOTS = "needs training.snapshots of at least 2"
VALIDATED = f"{SNAPSHOTS}, and validation_cases"
CHOICES = ("last", "on_validation", "on_test")
BY_CHECKPOINT = (
    Audit("checkpoint", "last", "best on validation", "last", "on_validation",
          "choosing the checkpoint on validation cases; no test case is used", VALIDATED),
    Audit("checkpoint", "last", "best on test", "last", "on_test",
          "the leak: choosing each run's checkpoint on the cases that it is then judged by",
          SNAPSHOTS),
    Audit("checkpoint", "best on validation", "best on test", "on_validation", "on_test",
          "the leak, beside an honest choice", VALIDATED),
)  # fmt: skip
LARGEST = "post-processing: keeping the largest component of each prediction"
UNIT = "no difference in quality: what is misread where the unit is not named"
ZERO = "scoring an empty prediction with a distance of 0, the best, as released code does"
BY_MEASUREMENT = (
    Audit("largest component", "off", "on", "dice", "dice_largest_component", LARGEST),
    Audit("largest component", "off", "on", "hd95_voxel", "hd95_voxel_largest_component", LARGEST),
    Audit("ASD", "directed", "symmetric", "asd_mm", "assd_mm",
          "what the papers' distance, from prediction to reference alone, leaves out"),
    Audit("unit", "voxel", "mm", "asd_voxel", "asd_mm", UNIT),
    Audit("unit", "voxel", "mm", "hd95_voxel", "hd95_mm", UNIT),
    Audit("empty prediction", "worst case", "zero", "asd_voxel", "asd_voxel_zero", ZERO),
    Audit("empty prediction", "worst case", "zero", "hd95_voxel", "hd95_voxel_zero", ZERO),
)  # fmt: skip
CROPPED, UNCROPPED = "with", "without"
CROP_MEANING = "knowing where the organ lies: the crop uses the reference label, of test scans too"
CROP_NEEDS = "needs an experiment on the same scans with the other crop, named by other_crop"
PRECISION_MEANING = "what the rounding of a training's gradients does to its result"
PRECISION_NEEDS = (
    "needs an experiment that differs in training.precision alone, named by other_precision"
)
NO_TABLES = "experiment {} has no tables yet"
BY_RECIPE = Audit(
    "recipe", "unified", "as_released", "dice", "dice_other",
    "the authors' own loss, schedule and batch instead of those shared by all",
    "needs a method in both recipes, else with the same settings",
)  # fmt: skip

NOTE = (
    "Reported: what the other tables hold. Instead: what others do. Difference: instead minus "
    "reported, paired by run and case, mean with its 95 % interval over subsets and cases."
)


def audit_table(
    experiment: Experiment,
    results: Path,
    done: list[Run],
    cases: pd.DataFrame,
    metrics: list[str],
    other: pd.DataFrame | None = None,
    other_precision: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The table ``audits.csv``: one row per audit, metric, method and budget.

    Args:
        done: the runs that are trained and evaluated; their ``snapshots.csv`` are read.
        cases: the table ``cases.csv``; of several classes the mean is audited. As everywhere, a
            case without a class does not enter (``tables.present``).
        metrics: its measurements.
        other: the ``cases.csv`` of the experiment that ``other_crop`` names, if it has one.
        other_precision: that of the experiment that ``other_precision`` names, if it has one.

    Returns:
        The columns ``COLUMNS``. ``reported`` and ``instead`` are the two means, of what
        ``reported_as`` and ``instead_as`` name; ``difference`` is instead minus reported, ``low``
        and ``high`` its 95 % interval. Overlaps are in 0..1, distances in the unit named.
        ``verdict`` says the difference in one of five words, instead beside reported. ``status`` is
        'measured', or 'not run: ' and what is needed; such a row has no method.

    Raises UserError if a ``snapshots.csv`` is broken, or if the other experiment's crop or
    precision is the same.
    """
    absent = cases.loc[cases["empty_reference"].astype(bool), ["case", "class"]].drop_duplicates()
    cases = _with_zeros(cases, metrics)
    crop = experiment.dataset.crop_used_label
    states = (CROPPED, UNCROPPED) if crop else (UNCROPPED, CROPPED)
    by_crop = Audit("crop by reference label", *states, "dice", "dice_other", CROP_MEANING,
                    CROP_NEEDS if not experiment.other_crop
                    else NO_TABLES.format(experiment.other_crop))  # fmt: skip
    sources = [
        (BY_CHECKPOINT, _by_checkpoint(results, done, cases, absent)),
        (BY_MEASUREMENT, cases),
        ((by_crop,), _by_crop(experiment, cases, other)),
        ((BY_RECIPE,), _by_recipe(experiment, cases)),
        *_by_precision(experiment, results, done, cases, other_precision),
    ]
    rows = [
        row
        for audits, table in sources
        for audit in audits
        for row in list(_measure(audit, table, experiment.margin)) or [_not_run(audit)]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


# ---- what is compared ----------------------------------------------------------------------------


def _with_zeros(cases: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """The rows for the whole, with the distances as released code has them."""
    zeros = {
        f"{name}_zero": cases[name].where(cases["failure"] == 0, 0.0)
        for name in ("asd_voxel", "hd95_voxel")
    }
    return overall(with_class_mean(cases.assign(**zeros), [*metrics, *zeros]))


def _by_checkpoint(
    results: Path, done: list[Run], cases: pd.DataFrame, absent: pd.DataFrame
) -> pd.DataFrame:
    """Dice of each run and case by ``CHOICES``; no rows if no run kept its weights.

    ``absent`` names cases and classes that they do not have, which enter no mean.
    """
    found = []
    for run in done:
        path = results / run.folder / "snapshots.csv"
        if run.training.snapshots < 2 or not path.is_file():
            continue
        kept = read_snapshots(path)
        both = kept.merge(absent, on=["case", "class"], how="left", indicator="whose")
        kept = kept[both["whose"].eq("left_only").to_numpy()]
        if kept.empty:
            continue
        cell = (run.name, budget_text(run.budget), run.subset, run.seed)
        found.append(_chosen(kept).assign(**dict(zip(CELL, cell, strict=True))))
    if not found:
        return pd.DataFrame()
    identity = cases[[*CELL, "case", "role", "recipe", "labeled"]]
    return pd.concat(found).merge(identity, on=[*CELL, "case"])


def _chosen(kept: pd.DataFrame) -> pd.DataFrame:
    """One row per case: its Dice (mean over classes) at the iteration that each rule takes."""
    dice = kept.groupby(["iteration", "case"])["dice"].mean().unstack()
    validation = kept.groupby("iteration")["validation_dice"].first()
    chosen = {"last": dice.index.max(), "on_test": dice.mean(axis=1).idxmax()}
    if validation.notna().all():
        chosen["on_validation"] = validation.idxmax()
    columns = {rule: dice.loc[chosen[rule]] if rule in chosen else np.nan for rule in CHOICES}
    return pd.DataFrame(columns, index=dice.columns).rename_axis("case").reset_index()


def _by_crop(
    experiment: Experiment, cases: pd.DataFrame, other: pd.DataFrame | None
) -> pd.DataFrame:
    """The cases that both experiments have, with the other's Dice beside."""
    if other is None:
        return pd.DataFrame()
    if other["crop_used_label"].astype(bool).eq(experiment.dataset.crop_used_label).any():
        raise UserError(
            f"{experiment.name}: other_crop '{experiment.other_crop}' is cropped in the same way"
        )
    return beside(cases, other, ["dice"])


def _by_recipe(experiment: Experiment, cases: pd.DataFrame) -> pd.DataFrame:
    """The cases of methods in the unified recipe, with the Dice of the same as released beside."""
    keys = ["budget", "subset", "seed", "case"]
    found = []
    for name, choice in experiment.methods.items():
        for other, released in experiment.methods.items():
            alike = choice.method == released.method and choice.settings == released.settings
            if alike and (choice.recipe, released.recipe) == ("unified", "as_released"):
                beside = cases.loc[cases["method"] == other, [*keys, "dice"]]
                own = cases[cases["method"] == name]
                found.append(own.merge(beside, on=keys, suffixes=("", "_other")))
    return pd.concat(found) if found else pd.DataFrame()


def _by_precision(
    experiment: Experiment,
    results: Path,
    done: list[Run],
    cases: pd.DataFrame,
    other: pd.DataFrame | None,
) -> list[tuple[tuple[Audit, ...], pd.DataFrame]]:
    """For each pair of precisions in which the same runs were computed: the audit and the cases
    that both experiments have, with the other's Dice beside."""
    name = experiment.other_precision

    def audit(own: str, theirs: str) -> Audit:
        needs = NO_TABLES.format(name) if name else PRECISION_NEEDS
        return Audit("precision", own, theirs, "dice", "dice_other", PRECISION_MEANING, needs)

    if name is None or other is None:
        return [((audit(experiment.training.precision, "another"),), pd.DataFrame())]
    both = beside(cases, other, ["dice"])
    for column, where in (("precision", experiment.name), ("precision_other", name)):
        found = [
            (run.name, budget_text(run.budget), run.subset, run.seed, computed_in(folder))
            for run in done
            if (folder := results / where / run.folder.relative_to(run.experiment)).is_dir()
        ]
        both = both.merge(pd.DataFrame(found, columns=[*CELL, column]), on=CELL)
    both = both[both["precision"] != both["precision_other"]]
    if both.empty:
        raise UserError(
            f"{experiment.name}: other_precision '{name}' has no run that was computed in another"
            " precision than the same run here"
        )
    pairs = both.groupby(["precision", "precision_other"], sort=False)
    return [((audit(str(own), str(theirs)),), table) for (own, theirs), table in pairs]


def computed_in(run_folder: Path) -> str:
    """The precision that a run records. Raises UserError if it records none."""
    path = run_folder / "cost.json"
    precision = read_cost(path).get("precision")
    if precision is None:
        raise UserError(f"{path}: records no precision; train the run again")
    return str(precision)


# ---- measuring -----------------------------------------------------------------------------------


def _measure(audit: Audit, table: pd.DataFrame, margin: float) -> Iterator[dict[str, object]]:
    """A row per method and budget; none where either column has no value."""
    if not {audit.reported, audit.instead} <= set(table):
        return
    for (method, budget), own in table.groupby(["method", "budget"], sort=False):
        found = paired_difference(own, audit.reported, audit.instead, audit.metric, margin)
        if found is None:
            continue
        yield _row(audit, "measured") | {
            "method": method, "budget": budget,
            **{name: own[name].iloc[0] for name in ("role", "recipe", "labeled")},
            "reported": found.first, "instead": found.second,
            "difference": found.difference.mean, "low": found.difference.low,
            "high": found.difference.high, "verdict": found.word,
            "runs": found.runs, "subsets": found.subsets, "cases": found.cases,
        }  # fmt: skip


def _not_run(audit: Audit) -> dict[str, object]:
    names = dict.fromkeys(("method", "role", "recipe", "budget", "verdict"), "")
    return _row(audit, f"not run: {audit.needs or 'the measurements are not there'}") | names


def _row(audit: Audit, status: str) -> dict[str, object]:
    return {
        "audit": audit.name, "metric": audit.metric, "reported_as": audit.reported_as,
        "instead_as": audit.instead_as, "status": status, "meaning": audit.meaning,
    }  # fmt: skip


# ---- as shown ------------------------------------------------------------------------------------


def shown_audits(table: pd.DataFrame) -> pd.DataFrame:
    """``audits.csv`` as it is read, differences of Dice in percentage points; its index is each
    row's role."""
    if table.empty:
        return pd.DataFrame()
    rows, order = [], {name: i for i, name in enumerate(dict.fromkeys(_titles(table)))}
    table = in_order(table.assign(order=_titles(table).map(order)), "order", "labeled")
    for _, row in table.iterrows():
        measure = of(row["metric"])
        measured = row["status"] == "measured"
        change = with_interval(row, ["difference", "low", "high"], measure, sign=True)
        rows.append({
            "Audit": f"{row['audit']}: {row['reported_as']} / {row['instead_as']}",
            "Method": or_dash(label(row["method"])),
            "Labeled": labeled_text(row) if measured else UNKNOWN,
            "Metric": measure.heading,
            "Reported": number(row["reported"], measure.digits, measure.scale),
            "Instead": number(row["instead"], measure.digits, measure.scale),
            "Difference": change if measured else row["status"],
            "Verdict": WORDS.get(row["verdict"], UNKNOWN),
            "Runs": number(row["runs"], 0),
        })  # fmt: skip
    return pd.DataFrame(rows, index=roles(table))


def shown_audits_briefly(table: pd.DataFrame) -> pd.DataFrame:
    """A row per audit and metric: from which to which method the differences reach.

    Upper bounds and controls are left out.
    """
    if table.empty:
        return pd.DataFrame()
    rows = []
    many = table["budget"].replace("", None).nunique() > 1
    for _, group in table[roles(table) == "method"].groupby(_titles(table), sort=False):
        first, by_size = group.iloc[0], group.sort_values("difference", kind="stable")
        metric = of(first["metric"])
        measured = first["status"] == "measured"
        smallest, largest = (
            f"{number(row['difference'], metric.digits, metric.scale, sign=True)}"
            f" ({label(row['method'])}{f', {labeled_text(row)} labeled' if many else ''})"
            if measured else UNKNOWN
            for _, row in by_size.iloc[[0, -1]].iterrows()
        )  # fmt: skip
        rows.append({
            "Audit": f"{first['audit']}: {first['reported_as']} / {first['instead_as']}",
            "Metric": metric.heading,
            "Lowest difference": smallest,
            "Highest difference": largest,
            "What it means": first["meaning"] if measured else first["status"],
        })  # fmt: skip
    return pd.DataFrame(rows)


def _titles(table: pd.DataFrame) -> pd.Series:
    return table["audit"] + table["instead_as"] + table["reported_as"] + table["metric"]


def audits_note(table: pd.DataFrame) -> str:
    """What stands below the audits wherever they are shown: how to read them, what each means."""
    meanings = table.drop_duplicates(["audit", "reported_as", "instead_as"])
    means = [
        f"{row['audit']}, {row['reported_as']} / {row['instead_as']}: {row['meaning']}."
        for _, row in meanings.iterrows()
    ]
    means = [text[0].upper() + text[1:] for text in means]
    return " ".join([NOTE, *means, role_note(table)]).strip()
