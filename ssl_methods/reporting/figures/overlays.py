"""Predictions on their images: the best, the median and the worst test case."""

from __future__ import annotations

from matplotlib.figure import Figure

from ssl_methods.reporting.figures.base import Drawing
from ssl_methods.reporting.overlays import draw_overlays, overlay_caption
from ssl_methods.reporting.results import Results


class Overlays(Drawing):
    place = 40

    def caption_for(self, found: Results) -> str:
        return overlay_caption(found)

    def draw(self, found: Results) -> Figure:
        return draw_overlays(found)
