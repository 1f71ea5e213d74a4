"""The same test cases for the methods that the overlays leave out."""

from __future__ import annotations

from matplotlib.figure import Figure

from ssl_methods.reporting.figures.base import Drawing
from ssl_methods.reporting.overlays import draw_overlays, others_caption
from ssl_methods.reporting.results import Results


class OverlaysOthers(Drawing):
    place = 50
    folded = True

    def caption_for(self, found: Results) -> str:
        return others_caption(found)

    def draw(self, found: Results) -> Figure:
        return draw_overlays(found, others=True)
