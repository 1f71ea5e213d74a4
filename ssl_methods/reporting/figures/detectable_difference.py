"""What this experiment could detect with more labeled subsets, and what its test cases allow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ssl_methods.analysis.designs import detectable, upper_sd
from ssl_methods.analysis.detection import of_tables
from ssl_methods.measures import of
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.panels import APART, budgets, labeled_text
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import SINGLE

COUNTS = (3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40)


class DetectableDifference(Drawing):
    place = 14
    section = "results"
    folded = True

    def caption_for(self, found: Results) -> str:
        return (
            "The smallest difference that is found in four of five experiments, against the number "
            "of labeled subsets, with the spread seen here at its upper 80 % limit. A curve ends "
            "in the floor that the test cases set. "
            f"Dashed: the margin of {found.design.margin:g}."
        )

    def draw(self, found: Results) -> Figure:
        design = found.design
        spreads = of_tables(Path("here"), found.comparisons.assign(pair="baseline"), design.primary)
        if not spreads:
            raise NothingToShow("no comparison has two labeled subsets")
        texts = budgets(found.comparisons)
        measure = of(design.primary)
        figure = Figure(figsize=(SINGLE, 2.6))
        axis = figure.subplots()
        for shade, (budget, spread) in zip(
            np.linspace(0.75, 0.15, len(spreads)), spreads.items(), strict=True
        ):
            safe = upper_sd(spread.sd_subset, spread.freedom)
            values = [detectable(safe, count, spread.error_case) for count in COUNTS]
            axis.plot(
                COUNTS, values, color=str(1 - shade), marker="o", markersize=2.5,
                label=labeled_text(texts.get(budget, budget)),
            )  # fmt: skip
        axis.axhline(design.margin, color=APART, linestyle="--", linewidth=0.8)
        axis.set_ylim(0, None)
        axis.set_xlabel("labeled subsets")
        unit = "points" if measure.scale == 100 else measure.unit
        axis.set_ylabel(f"detectable difference in {measure.title} ({unit})")
        axis.legend(fontsize=7)
        return figure
