"""What runs again after a change, as Snakemake decides it: by inputs and by what jobs rest on."""

from __future__ import annotations

from collections import Counter

from ssl_methods.grid import Grid


def again(before: Grid, now: Grid) -> dict[str, int]:
    """How many jobs of each rule are to run for a grid, when every job of another one is done.

    A job runs if its output is not there, if what it rests on is another, or if a job that makes
    one of its inputs runs. That Snakemake decides so is shown by tests/workflow.
    """
    counts: Counter[str] = Counter()

    def runs(rule: str, is_there: bool, inputs_run: bool, of: str = "") -> bool:
        to_run = not is_there or inputs_run or before.rests_on(rule, of) != now.rests_on(rule, of)
        counts[rule] += to_run
        return to_run

    prepared = runs("prepare", before.manifest == now.manifest, False)
    known = set(before.of_every_split())
    splits = {file: runs("split", file in known, prepared) for file in now.of_every_split()}
    measured = []
    for folder, run in now.runs.items():
        is_there = folder in before.runs
        inputs_run = prepared or splits[now.split(run.budget, run.subset)]
        trained = runs("train", is_there, inputs_run, folder)
        measured.append(runs("evaluate", is_there, trained, folder))
    here = before.home == now.home
    collected = runs("collect", here, prepared or any(measured) or [*before.runs] != [*now.runs])
    runs("report", here, prepared or collected)
    return {rule: count for rule, count in counts.items() if count}
