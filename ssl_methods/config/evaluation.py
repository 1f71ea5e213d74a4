"""Settings of the measurement on the test cases."""

from __future__ import annotations

from ssl_methods.config.base import IN_ORDER, MOST_THINGS, Settings, Sizes, setting


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
