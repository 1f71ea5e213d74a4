"""Which papers an experiment rests on: `references.bib` beside this file, and what is cited of it.

A method's papers are the entries whose keywords name it. Methods from outside this package have
none here; their own documentation names their source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ssl_methods.config import Experiment

FILE = Path(__file__).with_name("references.bib")


class Reference(NamedTuple):
    """An entry: its key, its fields as written, the text of the whole entry."""

    key: str
    fields: dict[str, str]
    text: str

    @property
    def short(self) -> str:
        """'Luo et al., 2021', 'Tarvainen & Valpola, 2017'."""
        authors = self.fields["author"].split(" and ")
        families = [name.split(",")[0] for name in authors]
        if len(authors) == 2 and families[1] != "others":
            who = " & ".join(families)
        else:
            who = families[0] + " et al." * (len(authors) > 1)
        return f"{who}, {self.fields['year']}"


@cache
def bibliography() -> dict[str, Reference]:
    """Every entry of the file, by its key. The file is ours: a field a line, in braces."""
    found = {}
    for text in re.findall(r"^@.*?^}$", FILE.read_text(encoding="utf-8"), re.M | re.S):
        head, *lines = text.splitlines()
        key = head.partition("{")[2].rstrip(",")
        fields = dict(re.findall(r"^ +(\w+) = \{(.*)\},?$", "\n".join(lines), re.M))
        found[key] = Reference(key, fields, text)
    return found


def papers(name: str) -> list[Reference]:
    """The papers of a method, or of ``network:vnet``; none for what is not in the file."""
    return [
        entry for entry in bibliography().values() if name in entry.fields["keywords"].split(", ")
    ]


def cited(experiment: Experiment) -> list[Reference]:
    """The papers of the network and of every method of an experiment, by key."""
    names = [f"network:{experiment.network.name}"]
    names += [choice.method for choice in experiment.methods.values()]
    return sorted({entry.key: entry for name in names for entry in papers(name)}.values())


def bibtex(entries: Iterable[Reference]) -> str:
    """The text of ``tables/references.bib``."""
    return "\n\n".join(entry.text for entry in entries) + "\n"
