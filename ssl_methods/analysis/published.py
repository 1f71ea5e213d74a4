"""Published results beside our own: what other papers print, and how a run of ours stands to it.

The values are in ``configs/published/*.yaml``, one file per set of scans, each group of rows with
its source. A row that was read there is ``verified``; one that is known only from memory is
``quoted``, and is never shown without saying so.

A published value is judged against our interval only where the two were made alike. Known
differences make it 'not comparable' and are named; what the source does not say is listed as
unknown, and does not keep it from being compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from ssl_methods.analysis.components import Interval
from ssl_methods.analysis.jensen import jensen_ok
from ssl_methods.analysis.shown import UNKNOWN, WORDS, drop_silent, number, or_dash, with_interval
from ssl_methods.analysis.tables import overall, roles
from ssl_methods.analysis.verdicts import of_interval
from ssl_methods.config import (
    Experiment,
    Lengths,
    Name,
    Settings,
    Sizes,
    TrainingConfig,
    parse,
    published_folder,
    read_yaml,
)
from ssl_methods.errors import UserError
from ssl_methods.measures import OF_PAPERS, of

LOOP = (
    "labeled_batch", "unlabeled_batch", "optimizer", "learning_rate", "learning_rate_schedule",
    "learning_rate_steps", "momentum", "weight_decay", "flip_axes", "rotate",
)  # fmt: skip
"""Settings of the loop whose defaults are those of the papers."""

HALF_UNIT = 0.005
"""Half a unit of the last printed digit: all these sources print two decimals."""

CHOSEN_ON = {"best_on_test": "the test set", "best_on_validation": "validation cases"}
CHECKPOINTS = {
    "last": "last checkpoint",
    "best_on_test": "checkpoint best on test",
    "best_on_validation": "checkpoint best on validation",
    "unknown": "checkpoint unknown",
}
NOT_PRINTED = "not printed"
DAGGER = "\N{DAGGER}"
NOTE = (
    "Published: as printed in the source, of one labeled subset. Ours: mean over runs and test "
    "cases with its 95 % interval. Verdict on Dice: ours beside the published value, which "
    "is taken as printed; equivalent: reproduced within the margin. Not comparable: the two differ "
    "in what is named. Source: with the checkpoint that was measured. "
    "Not stated: what the source does not say of itself. Jensen check: can the printed Jaccard "
    "belong to the printed Dice?"
)
QUOTED_NOTE = f" {DAGGER}: quoted from memory, not verified; or inferred in part."
CHECKED = {True: "passes", False: "fails"}
NO_PUBLISHED = "No published results are kept for this dataset."


# ---- settings ------------------------------------------------------------------------------------


class Protocol(Settings):
    """How the published values came about, as far as the source or its code tells."""

    iterations: int | None = Field(ge=1, description="optimiser steps; null: not told")
    checkpoint: Literal["last", "best_on_validation", "best_on_test", "unknown"] = Field(
        description="which weights of a training were measured"
    )
    post_processing: Literal["none", "largest_component", "unknown"]
    split: str = Field(description="which cases are for training, and which of them labeled")


class Backbone(Settings):
    """The network of these publications."""

    name: str
    width: int = Field(ge=1)
    levels: int = Field(ge=1)


class Benchmark(Settings):
    """A set of scans as the field uses it: what all rows of one file share."""

    datasets: tuple[Name, ...] = Field(description="names of datasets that hold these scans")
    spacing_mm: Lengths | None = Field(description="null: each scan has its own")
    patch_size: Sizes
    network: Backbone


class Source(Settings):
    """One table or file, and what its rows share."""

    citation: str
    place: str = Field(description="table or file")
    mark: Literal["verified", "quoted"] = Field(
        description="read there; or known from memory, or inferred in part (its note says what)"
    )
    protocol: Protocol
    note: str = ""


class Result(Settings):
    """One printed row: Dice and Jaccard in percent, distances in voxels."""

    method: str = Field(description="its name here, or the paper's if it is not among our methods")
    title: str = Field(description="its name as printed")
    settings: dict[str, Any] = Field({}, description="of our method, where a variant is meant")
    labeled: int = Field(ge=1)
    unlabeled: int = Field(ge=0)
    dice: float = Field(ge=0, le=100)
    jaccard: float | None = Field(None, ge=0, le=100, description="of all but Dice: null, not told")
    asd_voxel: float | None = Field(None, ge=0)
    hd95_voxel: float | None = Field(None, ge=0)
    train_hours: float | None = Field(None, gt=0)
    parameters_m: float | None = Field(None, gt=0)


class PublishedRow(Result):
    """A printed row with its source and its benchmark."""

    source: Source
    benchmark: Benchmark

    def value(self, metric: str) -> float:
        """The printed value in the unit of our own tables: Dice and Jaccard in 0..1, distances in
        voxels; NaN if it is not printed."""
        printed = getattr(self, metric)
        return float("nan") if printed is None else float(printed) / of(metric).scale

    @property
    def jensen_ok(self) -> bool | None:
        """Can its Jaccard belong to its Dice, given that both are rounded? None if it has none."""
        if self.jaccard is None:
            return None
        return jensen_ok(self.value("dice"), self.value("jaccard"), HALF_UNIT / 100)

    @property
    def unknown(self) -> list[str]:
        """What the source does not tell of the protocol."""
        protocol = self.source.protocol.model_dump()
        return [
            name.replace("_", "-")
            for name in ("iterations", "checkpoint", "post_processing", "split")
            if protocol[name] in (None, "unknown")
        ]


# ---- reading -------------------------------------------------------------------------------------


def load_published(folder: Path) -> list[PublishedRow]:
    """The rows of every ``*.yaml`` in a folder, in the order of files and lines.

    Raises UserError naming the file, the source, the row and the key of each fault.
    """
    return [row for path in sorted(folder.glob("*.yaml")) for row in _rows(path)]


def _rows(path: Path) -> Iterator[PublishedRow]:
    data = read_yaml(path)
    sources = _mapping(data.pop("sources", {}), f"{path}: sources")
    benchmark = parse(Benchmark, data, str(path))
    for name, group in sources.items():
        where = f"{path}: sources.{name}"
        group = dict(_mapping(group, where))
        rows = group.pop("rows", [])
        if not isinstance(rows, list):
            raise UserError(f"{where}.rows: expected a list")
        source = parse(Source, group, where)
        for i, row in enumerate(rows, start=1):
            result = parse(Result, row, f"{where}, row {i}")
            yield PublishedRow(**result.model_dump(), source=source, benchmark=benchmark)


def _mapping(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected 'key: value' lines")
    return data


# ---- beside our runs -----------------------------------------------------------------------------

COLUMNS = [
    "title", "method", "mark", "citation", "place", "labeled", "unlabeled", "jensen_ok",
    "train_hours", "parameters_m", "iterations", "checkpoint", "post_processing", "split",
    "unknown", "note",
    "run", "recipe", "budget", "metric", "published", "ours", "low", "high", "difference",
    "verdict",
]  # fmt: skip


def published_table(
    experiment: Experiment, summary: pd.DataFrame, folder: Path | None = None
) -> pd.DataFrame:
    """Every published row of the experiment's dataset, beside our run of it if there is one.

    Args:
        summary: the table ``summary.csv``; where it has several classes their mean is compared.
        folder: of the published files; by default ``published_folder()``.

    Returns:
        One row per published row, matching run and metric (one without a run if none matches); no
        rows for a dataset that nothing is known of.

        - ``title method labeled unlabeled train_hours parameters_m``: as printed; ``method`` is our
          name where we have one.
        - ``mark``: verified or quoted. ``citation place note``: where it stands.
        - ``iterations checkpoint post_processing split``: its protocol; ``unknown``: what of that
          is not told.
        - ``jensen_ok``: whether its Jaccard can belong to its Dice; blank where it has none.
        - ``run recipe budget``: the row of the experiment that matches its method, settings and
          number of labels; an upper bound is matched by the number of all labels.
        - ``published ours low high``: both values of ``metric`` and our interval, Dice and Jaccard
          in 0..1. A value of largest components is set beside ours of largest components.
        - ``difference``: ours minus published, where they are comparable.
        - ``verdict``: ours beside the published value, which is taken as it is printed, by the
          experiment's margin: one of the five words of ``verdicts`` (equivalent: reproduced), or
          'not comparable: ' and why, or 'not printed'.
    """
    rows = [
        line for row in of_dataset(experiment, folder) for line in _lines(row, experiment, summary)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def of_dataset(experiment: Experiment, folder: Path | None = None) -> list[PublishedRow]:
    """The published rows of the experiment's scans."""
    published = load_published(folder or published_folder())
    return [row for row in published if experiment.dataset.name in row.benchmark.datasets]


def _lines(
    row: PublishedRow, experiment: Experiment, summary: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    runs = _matches(row, experiment, summary)
    for run in [run for _, run in runs.iterrows()] or [None]:
        reasons = _why_not(row, experiment, run, summary)
        for metric in OF_PAPERS:
            yield _printed(row) | _compared(row, run, metric, reasons, experiment.margin)


def _printed(row: PublishedRow) -> dict[str, Any]:
    kept = row.model_dump(include={*COLUMNS})
    source = row.source.model_dump(include={*COLUMNS})
    protocol = row.source.protocol.model_dump()
    return (
        kept | source | protocol | {"jensen_ok": row.jensen_ok, "unknown": ", ".join(row.unknown)}
    )


def of_method(row: PublishedRow, experiment: Experiment) -> list[str]:
    """The experiment's rows of this method, with the settings that make the variant."""
    methods = {row.method, "supervised"} if row.method == "supervised_all" else {row.method}
    return [
        name
        for name, choice in experiment.methods.items()
        if choice.method in methods and row.settings.items() <= choice.settings.items()
    ]


def _matches(row: PublishedRow, experiment: Experiment, summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of the summary that were given as many labels and have runs."""
    own = overall(summary)
    own = own[own["method"].isin(of_method(row, experiment)) & own["dice"].notna()]
    all_labels = own["labeled"] + own["unlabeled"]
    given = own["labeled"].where(roles(own) != "bound", all_labels)
    return own[given == row.labeled]


def resampled(row: PublishedRow, experiment: Experiment) -> list[str]:
    """Whether our scans have another resolution than the published ones: nothing, or to which."""
    spacing, theirs = experiment.dataset.spacing, row.benchmark.spacing_mm
    if not spacing:
        return []
    if theirs and len(spacing) == len(theirs) and np.allclose(spacing, theirs):
        return []
    sizes = [f"{size:g}" for size in (spacing if len(set(spacing)) > 1 else spacing[:1])]
    return [f"resampled to {' x '.join(sizes)} mm"]


def _why_not(
    row: PublishedRow, experiment: Experiment, run: pd.Series | None, summary: pd.DataFrame
) -> list[str]:
    """Known differences between a published row and our run, the scans' resolution first."""
    reasons = resampled(row, experiment)
    if experiment.test == "rotated":
        reasons.append("rotated test folds")
    benchmark, training, network = row.benchmark, experiment.training, experiment.network
    if run is None:
        ran = bool(of_method(row, experiment))
        return [*reasons, f"{row.labeled} labeled not run" if ran else "method not run"]

    if training.patch_size != benchmark.patch_size:
        reasons.append(f"patch {' x '.join(map(str, training.patch_size))}")
    if any(getattr(network, name) != value for name, value in benchmark.network):
        reasons.append("network")
    usual = TrainingConfig()
    other = [name for name in LOOP if getattr(training, name) != getattr(usual, name)]
    if other:
        reasons.append(f"training {', '.join(other)}")
    protocol = row.source.protocol
    if protocol.iterations not in (None, training.iterations):
        reasons.append(f"{training.iterations} iterations, published {protocol.iterations}")
    if protocol.checkpoint in CHOSEN_ON:
        reasons.append(f"published checkpoint is the best on {CHOSEN_ON[protocol.checkpoint]}")
    if _column(row, "dice") not in summary:
        reasons.append("published after post-processing")
    if run["recipe"] != "as_released":
        reasons.append(f"recipe {run['recipe']}")
    settings = experiment.methods[run["method"]].settings
    changed = [name for name in settings if settings[name] != row.settings.get(name)]
    if changed:
        reasons.append(f"settings {', '.join(changed)}")
    return reasons


def _column(row: PublishedRow, metric: str) -> str:
    """Our column that is made as the published value was."""
    largest = row.source.protocol.post_processing == "largest_component"
    return f"{metric}_largest_component" if largest else metric


def _compared(
    row: PublishedRow, run: pd.Series | None, metric: str, reasons: list[str], margin: float
) -> dict[str, Any]:
    """What is said of one metric; our columns are blank without a run."""
    published, column = row.value(metric), _column(row, metric)
    line: dict[str, Any] = {"metric": metric, "published": published}
    if run is not None:
        line |= {"run": run["method"], "recipe": run["recipe"], "budget": run["budget"]}
        line |= {"ours": run.get(column, np.nan)}
        line |= {end: run.get(f"{column}_{end}", np.nan) for end in ("low", "high")}
        if not reasons and np.isnan([line["low"], line["high"]]).any():
            reasons = ["our interval is not known"]
    if reasons:
        return line | {"verdict": f"not comparable: {'; '.join(reasons)}"}
    if np.isnan(published):
        return line | {"verdict": NOT_PRINTED}
    rounding = HALF_UNIT / of(metric).scale
    difference = line["ours"] - published
    ends = line["low"] - published - rounding, line["high"] - published + rounding
    word = of_interval(Interval(difference, *ends), metric, margin)
    return line | {"difference": difference, "verdict": word}


# ---- as shown ------------------------------------------------------------------------------------


def shown_published(table: pd.DataFrame) -> pd.DataFrame:
    """A table of ``published_table`` as it is read: one row per published row and run of ours.

    Quoted rows carry a dagger (``published_note`` says what it means). Columns of ours are left out
    where no row has a run.
    """
    if table.empty:
        return pd.DataFrame()
    rows = []
    size = len(OF_PAPERS)  # published_table writes the metrics of one row together
    for start in range(0, len(table), size):
        group = table.iloc[start : start + size].set_index("metric", drop=False)
        dice = group.loc["dice"]
        rows.append({
            "Method": f"{dice['title']}{DAGGER if dice['mark'] == 'quoted' else ''}",
            "Labeled": f"{dice['labeled']} + {dice['unlabeled']}",
            "Source": f"{dice['citation']}, {dice['place']}; {CHECKPOINTS[dice['checkpoint']]}",
            **{
                of(metric).heading: number(group.loc[metric, "published"], 2, of(metric).scale)
                for metric in OF_PAPERS
            },
            "Jensen check": CHECKED.get(dice["jensen_ok"], UNKNOWN),
            "Not stated": or_dash(dice["unknown"]),
            "Our row": or_dash(dice["run"]),
            f"Our {of('dice').heading}": with_interval(
                dice, ["ours", "low", "high"], of("dice")
            ),
            "Difference": number(dice["difference"], 1, 100, sign=True),
            "Verdict": WORDS.get(dice["verdict"], dice["verdict"]),
        })  # fmt: skip
    frame = pd.DataFrame(rows, index=["method"] * len(rows))
    return drop_silent(frame, "Our row", f"Our {of('dice').heading}", "Difference")


def published_note(table: pd.DataFrame) -> str:
    """What stands below the published results wherever they are shown."""
    if table.empty:
        return NO_PUBLISHED
    return NOTE + (QUOTED_NOTE if (table["mark"] == "quoted").any() else "")
