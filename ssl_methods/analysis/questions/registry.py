"""Every question: the files of this folder, and those that an experiment names.

Listing their names imports none: each plan of the workflow does that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ssl_methods.config import Experiment
from ssl_methods.errors import UserError
from ssl_methods.rests_on import MEASUREMENTS, QUESTIONS, table_names

if TYPE_CHECKING:
    from ssl_methods.analysis.questions.base import Question

__all__ = ["QUESTIONS", "questions", "table_names"]


def questions(experiment: Experiment) -> dict[str, Question]:
    """Every question that is asked of an experiment, by name, in the order of the page.

    Raises UserError for a file of one's own that defines none, or whose name is taken.
    """
    from ssl_methods.analysis.questions.base import Question

    names = [*QUESTIONS.packaged, *map(_registered, experiment.questions)]
    asked = [QUESTIONS.subclass(name, Question)(name, experiment) for name in names]
    return {it.name: it for it in sorted(asked, key=lambda it: (it.place, it.name))}


def _registered(file: Path) -> str:
    if file.stem in MEASUREMENTS:
        raise UserError(f"{file}: '{file.stem}' is the name of another table; rename the file")
    return QUESTIONS.register(file)
