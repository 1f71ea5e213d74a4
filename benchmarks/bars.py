"""What the harness has to reach, and what was measured of it: the first table of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ssl_methods import methods

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Bar:
    """One limit. Of several rows that match, the worst counts; with none it is not measured."""

    what: str
    benchmark: str
    rows: Mapping[str, Any]
    column: str
    at_most: float | None = None
    at_least: float | None = None

    def measured(self, rows: list[Row]) -> Any:
        """The worst value of the matching rows; None if there is none, or one of them is."""
        matching = [row for row in rows if self.rows.items() <= row.items()]
        values = [row.get(self.column) for row in matching]
        if not values or None in values:
            return None
        return (min if self.at_most is None else max)(values, key=lambda it: ends(it)[0])

    def judged(self, rows: list[Row]) -> dict[str, Any]:
        """A row of the table. Met or not by the whole of a ratio's interval."""
        value = self.measured(rows)
        most = self.at_most is not None
        limit = self.at_most if most else self.at_least
        assert limit is not None
        within = [it <= limit if most else it >= limit for it in ends(value)]
        return {
            "what": self.what,
            "bar": f"at {'most' if most else 'least'} {limit:g}",
            "measured": value,
            "met": answer(within),
        }


def answer(within: list[bool]) -> str:
    if not within:
        return "unknown"
    return "yes" if all(within) else "unclear" if any(within) else "no"


def ends(value: Any) -> list[float]:
    """Of a ratio: its median and the ends of its interval, if it has one. None: nothing."""
    found = value if isinstance(value, list | tuple) else [value]
    return [it for it in found if it is not None]


OF_DTC = methods.method_class("dtc").least_precision  # what `auto` is to it on a GPU
AS_TRAINED = {"device": "cuda", "precision": OF_DTC, "compile": "none"}
PAPER, SMALL = {"scale": "paper", "method": "dtc"}, {"scale": "hippocampus", "method": "dtc"}

BARS = (
    Bar("DTC's step over its bare network, paper settings, CPU: overhead, %", "step",
        PAPER | {"device": "cpu"}, "overhead, %", at_most=5),
    Bar("the same, GPU", "step", PAPER | AS_TRAINED, "overhead, %", at_most=5),
    Bar("DTC's step at the paper's settings, GPU: seconds (60 steps a second)", "step",
        PAPER | AS_TRAINED, "harness, s", at_most=1 / 60),
    Bar("DTC against the released step, paper settings, GPU: times faster", "step",
        PAPER | AS_TRAINED, "released / harness", at_least=20),
    Bar("DTC against the released step, hippocampus scale, two CPU cores: times faster", "step",
        SMALL | {"device": "cpu"}, "released / harness", at_least=1.25),
    Bar("ASD and 95HD of a left atrium against MedPy, one core: times faster", "metrics",
        {"kind": "as of a network"}, "MedPy / ASD and 95HD", at_least=15),
    Bar("the same of masks made to be hard: times faster", "metrics",
        {"kind": "made to be hard"}, "MedPy / ASD and 95HD", at_least=1),
    Bar("test cases of the left atrium with metrics, paper strides, GPU: seconds", "full_size",
        {"verb": "evaluate", "device": "cuda"}, "seconds", at_most=60),
    Bar("host memory of a training job on the full-size left atrium, mapped files apart: GB",
        "full_size", {"verb": "train", "device": "cpu"}, "memory without mapped files, GB",
        at_most=3),
    Bar("a training job's first step, from its start: seconds", "startup",
        {"what": "train, to the first step: dtc"}, "seconds", at_most=5),
    Bar("planning 10,000 runs, `--quiet rules`: seconds", "planning",
        {"runs": 10_000, "options": "--quiet rules"}, "seconds", at_most=60),
    Bar("planning 10,000 runs: MB", "planning", {"runs": 10_000, "workflow": "ours"},
        "peak_memory_mb", at_most=2000),
)  # fmt: skip
