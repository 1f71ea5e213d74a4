"""What a metric is: its name, unit, scale, which way is better, what it can be, and how it is said.

``base`` holds the rows of the built-in ones, which ``evaluation/metrics.py`` computes together. Any
other file of this folder is a metric of its own, with its row and its function.
"""

from ssl_methods.measures.base import (
    LARGEST,
    NSD,
    OF_CASES,
    OF_PAPERS,
    Measure,
    Metric,
    check_name,
)
from ssl_methods.measures.registry import METRICS, compared, modules_of, name_metrics, named, of

__all__ = [
    "LARGEST",
    "METRICS",
    "NSD",
    "OF_CASES",
    "OF_PAPERS",
    "Measure",
    "Metric",
    "check_name",
    "compared",
    "modules_of",
    "name_metrics",
    "named",
    "of",
]
