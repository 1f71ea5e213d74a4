"""The row of a metric, those of the built-in ones, and the contract of one in a file of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPEN = (-math.inf, math.inf)
NAME = re.compile("[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Measure:
    """What stands behind a column of ``cases.csv``, wherever its values are judged or shown.

    ``unit`` is the one that is shown: a value times ``scale``. ``range`` holds the values that it
    can take as they are stored. Methods are ``compared`` by it in the tables as they are read, in
    figures and tests; what they are not compared by is a column of the CSV files alone.
    """

    title: str
    unit: str = ""
    scale: float = 1.0
    higher_is_better: bool = False
    range: tuple[float, float] = OPEN
    compared: bool = True

    @property
    def heading(self) -> str:
        """Heading of a table's column: 'Dice %'."""
        return f"{self.title} {self.unit}".strip()

    @property
    def axis(self) -> str:
        """Label of a figure's axis: 'Dice (%)'."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def digits(self) -> int:
        """Digits after the point, where it is shown with its interval."""
        return 1 if self.scale == 100 else 2

    @property
    def has_no_end(self) -> bool:
        """Can it be as large as it likes, as a distance can?"""
        return self.range[0] == 0 and self.range[1] == math.inf

    def of_empty(self, both: bool, shape: Sequence[int], spacing: Sequence[float]) -> float:
        """The value where a mask has no voxel: the best if none of the two has, else the worst.

        The worst of a distance in voxels or mm is the diagonal of the volume. Raises ValueError if
        the range does not say what is best or worst.
        """
        low, high = self.range
        if both == self.higher_is_better and math.isfinite(high):
            return high
        if both != self.higher_is_better and math.isfinite(low):
            return low
        lengths = {"voxel": (1.0,) * len(shape), "mm": tuple(spacing)}
        if not both and not self.higher_is_better and self.unit in lengths:
            return math.hypot(
                *(n * size for n, size in zip(shape, lengths[self.unit], strict=True))
            )
        raise ValueError("its range has no end, so that empty masks have no value")


class Metric:
    """A metric in a file of its own: one subclass, and the file's name is the column's.

    ``measure`` says what it is; ``value`` computes it. An experiment names it under
    ``evaluation.metrics``.
    """

    measure: ClassVar[Measure]

    def value(
        self,
        prediction: NDArray[np.bool_],
        reference: NDArray[np.bool_],
        spacing: tuple[float, ...],
    ) -> float:
        """Value of one case and class, in the unit of ``measure`` before its scale.

        Both masks have a voxel (else ``Measure.of_empty`` counts) and one shape, 2D or 3D;
        ``spacing`` is in mm per axis. Where the data do not say it, the metric has no value.
        """
        raise NotImplementedError(f"{type(self).__name__} must define value()")


SHARE, DISTANCE, AMOUNT = (0.0, 1.0), (0.0, math.inf), (0.0, math.inf)

LARGEST = "_largest_component"
"""Ends the columns that score the largest component of the prediction alone."""

NSD = "nsd_"
"""Begins the column of the normalised surface distance, which ends in its tolerance: nsd_1mm."""

OF_CASES = {
    "dice": Measure("Dice", "%", 100.0, True, SHARE),
    "jaccard": Measure("Jaccard", "%", 100.0, True, SHARE),
    "asd_voxel": Measure("ASD", "voxel", range=DISTANCE),
    "hd95_voxel": Measure("95HD", "voxel", range=DISTANCE),
    "asd_mm": Measure("ASD", "mm", range=DISTANCE, compared=False),
    "hd95_mm": Measure("95HD", "mm", range=DISTANCE, compared=False),
    "assd_mm": Measure("ASSD", "mm", range=DISTANCE, compared=False),
    NSD: Measure("NSD", "%", 100.0, True, SHARE, compared=False),
    "volume_error_ml": Measure("volume error", "ml", compared=False),
}
"""By column of ``cases.csv``, in its order."""

OF_PAPERS = tuple(name for name, row in OF_CASES.items() if row.compared)
"""What the papers of the field report, and what is compared here."""

OTHER_COLUMNS = (
    "dataset", "method", "role", "recipe", "budget", "labeled", "unlabeled", "subset", "seed",
    "crop_used_label", "case", "class", "patient", "empty_prediction", "empty_reference", "failure",
    "cases", "measurements", "failures", "absent", "false_positives", "runs_done",
    "runs_declared", "train_seconds", "wall_seconds", "seconds_per_iteration",
    "forward_passes_per_iteration", "parameters", "peak_memory_mb", "device", "precision",
    "least_precision", "others_share", "finished", "jensen_ok", "status", "difference",
    "verdict", "subsets_won", "subsets_compared", "verdict_with_best",
)  # fmt: skip
"""What else the tables hold that have a column for each metric."""

ENDINGS = (LARGEST, "_low", "_high", "_sd_subsets", "_sd_seeds", "_other", "_zero")
"""What a metric's further columns end in."""


def check_name(name: str) -> None:
    """Raises ValueError if a metric in a file of its own cannot be called so in the tables."""
    if not NAME.fullmatch(name):
        raise ValueError(f"a metric's name is a column's, of a-z, 0-9 and _: '{name}' is none")
    if name in OF_CASES or name in OTHER_COLUMNS or name.startswith(NSD) or name.endswith(ENDINGS):
        raise ValueError(f"'{name}' is, or looks like, another column of the tables; rename it")


OF_RUNS = {
    "seconds_per_iteration": Measure("", "ms / iteration", 1000.0, range=AMOUNT),
    "train_seconds": Measure("training", "s", range=AMOUNT),
    "forward_passes_per_iteration": Measure("", "forward passes / iteration", range=AMOUNT),
}
"""What a run costs, by column of ``cost.json``."""
