"""What a run is made of and measured on: its prepared store and its split, opened once for all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ssl_methods.config import DatasetBase, Run
from ssl_methods.data.prepare import prepare, say_if_outdated, verify_or_mend
from ssl_methods.data.splits import Split, load_split, with_every_label
from ssl_methods.data.store import Store, store_folder


@dataclass(frozen=True)
class Inputs:
    """The prepared data of a run, and which of its cases are labeled, validated and tested on."""

    dataset: DatasetBase
    store: Store
    split: Split

    def with_every_label(self) -> Inputs:
        """The same with every training label given: for upper bounds."""
        return replace(self, split=with_every_label(self.split, self.store))

    def verify(self, ids: Iterable[str], labels: bool = True) -> None:
        """Read these cases and compare their checksums; broken ones are prepared again.

        Raises BrokenData as ``verify_or_mend`` does.
        """
        verify_or_mend(self.dataset, self.store, ids, labels)


def open_inputs(run: Run, results: Path, make: bool = False) -> Inputs:
    """The store and the split of a run; ``make`` prepares data that are not there.

    Raises UserError if the data are absent or cannot give the split, or if the split's file, which
    is a witness and no input, says another one.
    """
    store = open_store(run.dataset, results, make)
    return Inputs(run.dataset, store, load_split(run, store, results))


def open_store(dataset: DatasetBase, results: Path, make: bool = False) -> Store:
    """The prepared data; a warning if their source has changed since.

    ``make``: prepare them if there are none. Raises UserError if there are none otherwise.
    """
    folder = store_folder(dataset, results)
    if make and not (folder / "manifest.json").exists():
        prepare(dataset, results)
        return Store.open(folder)
    store = Store.open(folder)
    say_if_outdated(dataset, folder)
    return store
