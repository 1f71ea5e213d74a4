"""Settings of the measurement on the test cases."""

from __future__ import annotations

from pydantic import field_validator

from ssl_methods.config.base import IN_ORDER, MOST_THINGS, Settings, Sizes, setting
from ssl_methods.measures import check_name
from ssl_methods.plugins import name_of


class EvaluationConfig(Settings):
    """Sliding-window inference and the metrics."""

    stride: Sizes | None = setting(
        None, f"number of voxels between windows, {IN_ORDER}; none: half a patch"
    )
    nsd_tolerance_mm: float = setting(
        1.0, "tolerance of the normalised surface distance in mm", gt=0
    )
    window_batch: int = setting(4, "number of windows per forward pass", ge=1, le=MOST_THINGS)
    save_predictions: bool = setting(False, "whether each prediction is also written as NIfTI")
    metrics: tuple[str, ...] = setting(
        (),
        "metrics beside the built-in ones: names, or Python files that each define one; relative "
        "to the working directory",
        exclude_if=lambda given: not given,  # as before there was the setting
    )

    @field_validator("metrics")
    @classmethod
    def _names_are_columns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [name_of(given) for given in value]
        if len(set(names)) != len(names):
            raise ValueError("a metric's name is that of its file: no two may have the same")
        for name in names:
            check_name(name)
        return value
