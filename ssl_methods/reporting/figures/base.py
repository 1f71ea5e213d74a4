"""The contract of a figure: what it is drawn from, what is said below it, where it is shown.

A file beside this one, or a file of one's own that an experiment names under ``figures``, is one
figure: it defines one subclass of ``Drawing``, and its name is the file's. It is drawn as PDF and
PNG into ``figures/`` and shown on the page, hence in `snakemake --report` and in the showcase.
"""

from __future__ import annotations

from typing import ClassVar

from matplotlib.figure import Figure

from ssl_methods.reporting.results import Results

SECTIONS = ("results", "ranks", "figures")
"""Sections of the page that show figures, by their anchors."""


class NothingToShow(Exception):
    """A figure's data are absent. The message says which, and stands on the page in its place."""


class Drawing:
    """Base of all figures.

    ``place``: the order on the page; those of one's own are last unless they say otherwise.
    ``section``: the section of the page that shows it, one of ``SECTIONS``.
    ``folded``: opened with a click, and not missed if there is nothing to show.
    ``caption``: what stands below it, unless ``caption_for`` says it from the results.
    """

    place: ClassVar[int] = 1000
    section: ClassVar[str] = "figures"
    folded: ClassVar[bool] = False
    caption: ClassVar[str] = ""

    def caption_for(self, found: Results) -> str:
        """What is seen, in whole sentences."""
        return self.caption

    def draw(self, found: Results) -> Figure:
        """The figure, made as ``Figure(figsize=...)`` in inches; no pyplot.

        Raises NothingToShow if what it shows was not measured.
        """
        raise NotImplementedError(f"{type(self).__name__} must define draw()")
