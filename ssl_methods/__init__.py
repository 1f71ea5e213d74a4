"""Semi-supervised learning methods for medical image segmentation, compared fairly."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["load"]
__version__ = "0.1.0"


def load(*runs: Any, **options: Any) -> Any:
    """The trained model of a run's folder, or of a ZIP file that `export` wrote.

    An ``evaluation.trained.Model``: ``model.predict(image, spacing)`` gives the label map of a
    scan's array. Several runs are one model, an ensemble: the mean of their probabilities.

    Args:
        runs: folders or ZIP files, as paths or text.
        options: ``device``, where to compute ("cpu"); ``results``, the folder with the prepared
            store, which runs that an earlier version trained need ("results").

    Raises:
        errors.UserError: a run is not trained, is damaged, or cannot be applied to new scans.
    """
    # By name: what imports this package does not depend on all of it, nor does its digest.
    return import_module("ssl_methods.evaluation.trained").load(*runs, **options)
