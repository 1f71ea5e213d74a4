"""Metrics in files of their own, measured beside the built-in ones of ``metrics.py``."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ssl_methods.errors import UserError
from ssl_methods.measures import METRICS, Metric


def measured(
    metrics: Mapping[str, Metric],
    prediction: ArrayLike,
    reference: ArrayLike,
    spacing: Sequence[float] | None,
    where: str,
) -> dict[str, float]:
    """The value of each metric by its name, for one case and class.

    Where a mask has no voxel it is what the metric's range says (``Measure.of_empty``), else what
    its file computes, of masks that it cannot change.

    Args:
        metrics: by name, as ``measures.named`` gives them.
        prediction, reference: masks of one shape; non-zero is foreground.
        spacing: voxel size in mm per axis; None: not known, and so is every value (NaN).
        where: the case and class, for errors.

    Raises:
        UserError: a metric raised an error, or gave what is no number within its range.
    """
    if spacing is None:
        return dict.fromkeys(metrics, math.nan)
    masks = [np.array(mask, bool) for mask in (prediction, reference)] if metrics else []
    for mask in masks:
        mask.flags.writeable = False
    size, found = tuple(map(float, spacing)), {}
    for name, metric in metrics.items():
        if all(mask.any() for mask in masks):
            found[name] = _value(name, metric, masks[0], masks[1], size, where)
        else:
            both = not any(mask.any() for mask in masks)
            found[name] = metric.measure.of_empty(both, masks[0].shape, size)
    return found


def _value(
    name: str,
    metric: Metric,
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: tuple[float, ...],
    where: str,
) -> float:
    file, (low, high) = METRICS.modules()[name], metric.measure.range
    try:
        value = float(metric.value(prediction, reference, spacing))
    except Exception as error:  # of somebody's own program: it may be any
        steps = traceback.extract_tb(error.__traceback__)
        lines = [step.lineno for step in steps if step.filename == file]
        line = f", line {lines[-1]}" if lines else ""
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{file}{line}: {where}: {said}") from error
    if not low <= value <= high:
        raise UserError(f"{file}: {where}: its value is {value:g}, not within {low:g}..{high:g}")
    return value
