"""The small part of an experiment's results that is kept with the project.

    ssl-methods showcase configs/experiments/hippocampus.yaml

In: `results/<experiment>/` after its report. Out: `results/showcase/<experiment>/`: the tables but
for the one of all cases, the figures as small PNGs, a README that says how they were made; and the
main table between the marks of that experiment in `results/README.md`. No number is typed. What
the records cannot know (how loaded the machine was, what came before) is written by hand into
`NOTES.md` there, which is kept and shown in that README.
"""

from __future__ import annotations

import re
from pathlib import Path

from ssl_methods.analysis.published import published_note, shown_published
from ssl_methods.analysis.questions.summary import Summary
from ssl_methods.analysis.shown import (
    UNKNOWN,
    duration,
    markdown,
    role_note,
    shown_comparisons,
    shown_summary,
)
from ssl_methods.analysis.table_files import read_table
from ssl_methods.config import budget_text, load_experiment
from ssl_methods.errors import UserError
from ssl_methods.files import write_text
from ssl_methods.reporting.compare import FOLDER as COMPARED
from ssl_methods.reporting.kept import keep, notes, small
from ssl_methods.reporting.results import Results

CSV_AND_TEX = (".csv", ".tex")


def showcase(path: Path, results: Path, readme: Path) -> Path:
    """Write the showcase of a finished experiment and return its folder.

    Raises UserError if anything of the results is damaged; an earlier showcase then stays.
    """
    experiment = load_experiment(path)
    found = Results(experiment, results)
    folder = results / "showcase" / experiment.name
    pictures = {
        figure.name: small(figure) for figure in sorted((found.folder / "figures").glob("*.png"))
    }
    asked = found.questions.items()
    tables = [file for name, question in asked for file in question.files(found.table(name))]
    files = {name: found.folder / "tables" / name for name in ["runs.csv", *tables]}
    for beside in compared(found):
        pictures[f"compared_{beside.name}.png"] = small(beside / "compared.png")
        files |= {f"compared_{beside.name}{end}": beside / f"compared{end}" for end in CSV_AND_TEX}
    text = page(path, found, list(pictures), notes(folder))
    if found.unread:
        raise UserError(found.unread[0])
    keep(folder, files, pictures, text)
    if readme.is_file():
        before = readme.read_text(encoding="utf-8")
        write_text(readme, with_table(before, experiment.name, main_table(folder)))
    return folder


def page(path: Path, found: Results, figures: list[str], said: str = "") -> str:
    """The showcase's README; ``said`` stands below the circumstances."""
    experiment = found.experiment
    comparisons = found.comparisons[found.comparisons["metric"].isin(["dice", "hd95_voxel"])]
    note = "Means over runs and test cases, 95 % intervals; last checkpoint, no post-processing."
    published = found.table("published")
    if len(published):
        published = published[published["run"].fillna("") != ""]  # those that we have runs of
    parts = [
        f"# {experiment.name}",
        experiment.description,
        f"```\nsnakemake --cores 2 --configfile {path.as_posix()}\n"
        f"ssl-methods showcase {path.as_posix()}\n```",
        "\n".join(f"- {line}" for line in circumstances(found)),
        *([said] if said else []),
        markdown(shown_summary(found.summary), f"{note} {role_note(found.summary)}".strip()),
        markdown(shown_comparisons(comparisons), "Paired by labeled subset and test case."),
        *(
            [markdown(shown_published(published), published_note(published))]
            if len(published)
            else []
        ),
        *((beside / "compared.md").read_text(encoding="utf-8") for beside in compared(found)),
        *(f"![{name.removesuffix('.png')}]({name})" for name in figures),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def compared(found: Results) -> list[Path]:
    """The folders of what `compare` wrote of this experiment and another."""
    return [path.parent for path in sorted((found.folder / COMPARED).glob("*/compared.md"))]


def circumstances(found: Results) -> list[str]:
    """The grid, the versions and the machine, from the runs' own records."""
    experiment = found.experiment
    records = [record for _, record in found.records("provenance.json")]
    versions = {
        f"{name} {v}" for record in records for name, v in record.get("versions", {}).items()
    }
    devices = {str(record.get("device", UNKNOWN)) for record in records}
    sources = {str(record.get("sources", UNKNOWN)) for record in records}
    runs = found.runs.drop_duplicates(["method", "budget", "subset", "seed"])
    cropped = "cropped" if experiment.dataset.crop_used_label else "not cropped"
    training = experiment.training
    return [
        f"{len(found.done)} of {len(runs)} runs done: {', '.join(experiment.methods)}",
        f"labels: {', '.join(map(budget_text, experiment.budgets))} (1.0: all);"
        f" subsets: {len(experiment.subsets)}; seeds: {len(experiment.seeds)}",
        f"{training.iterations} iterations, patches {' x '.join(map(str, training.patch_size))},"
        f" {experiment.network.name} of width {experiment.network.width}",
        f"training time in all: {duration(runs['train_seconds'].sum())} on"
        f" {', '.join(sorted(devices))}, {training.cpu_threads} thread a run",
        f"the images were {cropped} with the help of the reference label",
        f"{', '.join(sorted(versions))}; sources {', '.join(sorted(sources))}",
    ]


def main_table(folder: Path) -> str:
    """The summary as the README of `results/` shows it."""
    summary = read_table(folder / "summary.csv", Summary.columns)
    shown = shown_summary(summary)
    kept = [
        c for c in ("Method", "Labeled", "Dice %", "95HD voxel", "Failures", "Time") if c in shown
    ]
    note = "Means over labeled subsets and test cases, with 95 % intervals."
    return markdown(shown[kept], f"{note} {role_note(summary)}".strip())


def with_table(readme: str, name: str, table: str) -> str:
    """The README with the table between `<!-- name -->` and `<!-- /name -->`."""
    marks = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.escape(marks[0]) + r".*?" + re.escape(marks[1])
    return re.sub(pattern, lambda _: f"{marks[0]}\n{table}{marks[1]}", readme, flags=re.S)
