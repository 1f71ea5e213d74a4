"""Every figure of the page: the files of this folder, found without being named anywhere."""

from __future__ import annotations

from ssl_methods.plugins import Plugins
from ssl_methods.reporting.figures.base import Drawing

FIGURES = Plugins("ssl_methods.reporting.figures", "figure")


def drawings() -> dict[str, Drawing]:
    """Every figure by name, in the order of the page."""
    made = {name: FIGURES.subclass(name, Drawing)() for name in FIGURES.names()}
    return dict(sorted(made.items(), key=lambda item: (item[1].place, item[0])))
