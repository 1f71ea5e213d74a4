"""The small part of a study's answers that is kept with the project.

    ssl-methods showcase configs/studies/left_atrium_small.yaml

In: the study's folder after ``snakemake tune``. Out: ``results/showcase/tuning/<study>/``: its
tables, ``best.yaml``, the figures as small PNGs, a README that says how they were made. No number
is typed; findings are written by hand into ``NOTES.md`` there, which is kept and shown there.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ssl_methods.analysis.names import label
from ssl_methods.analysis.shown import markdown
from ssl_methods.analysis.table_files import read_table
from ssl_methods.reporting.kept import keep, notes, small
from ssl_methods.tuning.maps import title
from ssl_methods.tuning.study import Study

TABLES = ("trials.csv", "runs.csv", "importances.csv", "tuned.csv", "variance.csv", "best.yaml")


def showcase(study: Study, declared: Path, results: Path) -> Path:
    """Write the showcase of an answered study and return its folder."""
    source, folder = results / study.folder, results / "showcase" / "tuning" / study.name
    pictures = {figure.name: small(figure) for figure in sorted((source / "figures").glob("*.png"))}
    parts = [
        f"# {study.name}",
        study.description,
        f"```\nsnakemake tune --cores 2 --configfile {declared.as_posix()}\n"
        f"ssl-methods showcase {declared.as_posix()}\n```",
        "\n".join(f"- {line}" for line in circumstances(study, read_table(source / "trials.csv"))),
        notes(folder),
        *(answers(source)),
        *(f"![{Path(name).stem}]({name})" for name in pictures),
    ]
    text = "\n\n".join(part.strip() for part in parts if part) + "\n"
    keep(folder, {name: source / name for name in TABLES}, pictures, text)
    return folder


def circumstances(study: Study, trials: pd.DataFrame) -> list[str]:
    """What was tried, and on what it was judged."""
    states = [
        f"{label(method)}: "
        + ", ".join(f"{count} {state}" for state, count in own["state"].value_counts().items())
        for method, own in trials.groupby("method", sort=False)
    ]
    subsets, seeds = (", ".join(map(str, values)) for values in (study.subsets, study.seeds))
    return [
        f"trials: {'; '.join(states)}",
        f"{study.training.iterations} iterations, {study.budget} labeled cases; labeled subsets"
        f" {subsets}; seeds {seeds}",
        f"the objective is the mean Dice of {study.validation_cases} labeled training cases held"
        " out for it; no test case was read",
    ]


def answers(folder: Path) -> list[str]:
    """The table of tuned against default, or of the parts of the variance."""
    found = []
    if (folder / "tuned.csv").is_file():
        tuned = read_table(folder / "tuned.csv")
        shown = pd.DataFrame({
            "Method": tuned["method"].map(label),
            "Default %": (tuned["default_dice"] * 100).map("{:.1f}".format),
            "Tuned %": (tuned["tuned_dice"] * 100).map("{:.1f}".format),
            "Difference": in_percent(tuned, "difference", "+.1f"),
            "Verdict": tuned["verdict"],
        })  # fmt: skip
        runs = int(tuned["runs"].max())
        note = f"Validation Dice, {runs} runs with fresh seeds a setting; 95 % intervals."
        found.append(markdown(shown, note))
    if (folder / "variance.csv").is_file():
        parts = read_table(folder / "variance.csv").dropna(subset=["share"])
        shown = pd.DataFrame({
            "Method": parts["method"].map(label),
            "Source": parts["source"].map(title),
            "Share of the variance %": in_percent(parts, "share", ".0f"),
            "p": parts["p_value"].map(lambda p: "" if pd.isna(p) else f"{p:.3g}"),
        })  # fmt: skip
        found.append(markdown(shown, "Parts of the variance of validation Dice, 95 % intervals."))
    return found


def in_percent(table: pd.DataFrame, column: str, form: str) -> list[str]:
    """The column with its interval, of fractions."""
    return [
        f"{value * 100:{form}} [{low * 100:{form}}, {high * 100:{form}}]"
        for value, low, high in zip(table[column], table["low"], table["high"], strict=True)
    ]
