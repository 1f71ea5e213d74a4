"""``report``: every figure of an experiment, and one page that holds all of its results."""

from __future__ import annotations

import ast
import base64
import logging
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from ssl_methods import rests_on
from ssl_methods.analysis.bibliography import bibtex, cited
from ssl_methods.analysis.names import faces_of, label, labels, shown_as
from ssl_methods.analysis.questions.base import Part, Question
from ssl_methods.analysis.shown import number, time_note
from ssl_methods.analysis.tables import CELL, counts, overall, roles
from ssl_methods.config import Experiment, budget_text
from ssl_methods.errors import UserError
from ssl_methods.files import write_text
from ssl_methods.locks import alone
from ssl_methods.measures import of
from ssl_methods.reporting import tables
from ssl_methods.reporting.gallery import Shown, gallery
from ssl_methods.reporting.looks import methods_of
from ssl_methods.reporting.panels import budgets
from ssl_methods.reporting.paragraph import in_latex, in_words, paragraph
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.stacks import MOST, other_cases, stacks
from ssl_methods.reporting.style import MANY
from ssl_methods.shown import HIDDEN, visible

logger = logging.getLogger(__name__)


def report(experiment: Experiment, results: Path) -> Path:
    """Draw the figures and write the page; returns ``results/<experiment>/report.html``.

    A figure whose data are absent is named on the page with the reason. A file that is damaged is
    left out, and named on the page and in the log.
    Waits while another process writes there. Raises UserError if the tables are absent or damaged:
    ``collect`` makes them.
    """
    folder = results / experiment.name
    with alone(folder), alone(folder / "figures"):
        (folder / rests_on.REPORTED).unlink(missing_ok=True)
        path = _report(experiment, results)
        rests_on.record_report(experiment, results)
    return path


def _report(experiment: Experiment, results: Path) -> Path:
    if not (results / experiment.name / "tables" / "summary.csv").is_file():
        raise UserError(
            f"{results / experiment.name / 'tables'}: no tables yet; run 'collect' first"
        )
    found = Results(experiment, results)
    path = found.folder / "report.html"
    environment = Environment(
        loader=PackageLoader("ssl_methods.reporting"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=shown_as_it_is,
    )  # fmt: skip
    with shown_as(faces_of(found.records("run.yaml"))):
        shown = page(found, gallery(found))
    write_text(path, environment.get_template("report.html.j2").render(shown))
    return path


def shown_as_it_is(value: Any) -> Any:
    """What stands in the page for a value: no character in it is hidden (``tables.visible``)."""
    return visible(value) if isinstance(value, str) and HIDDEN.search(value) else value


def page(found: Results, shown: list[Shown]) -> dict[str, Any]:
    """What the template shows; every number from the tables."""
    experiment, runs = found.experiment, found.runs
    declared = runs.drop_duplicates(["method", "budget", "subset", "seed"])
    records = list(found.records("run.yaml"))
    settings = {run.name: record.get("method_settings", {}) for run, record in records}
    loops: list[dict[str, Any]] = [
        {key: record[key] for key in ("network", "training", "evaluation") if key in record}
        for _, record in records
    ]
    return {
        "experiment": experiment,
        "question": question(found),
        "facts": facts(found, declared),
        "runs_done": int((declared["status"] == "done").sum()),
        "runs_declared": len(declared),
        "crop_used_label": experiment.dataset.crop_used_label,
        "reading": reading(found),
        "collapsed": collapsed(found),
        "figures": in_sections(shown),
        "sections": sections(found),
        "costs": tables.costs(found.summary),
        "costs_note": time_note(found.summary),
        "stacks": stacks(found),
        "other_cases": other_cases(found),
        "stacked_methods": MOST,
        "missing": tables.missing(runs),
        "failures": tables.failures(found.measured),
        "false_positives": tables.false_positives(found.measured),
        "controls": (roles(found.summary) == "control").any(),
        "many": len(experiment.methods) > MANY,
        "method_settings": tables.one_below_another(settings)
        if len(settings) > MANY
        else tables.side_by_side(settings),
        "settings": tables.common(loops),
        "provenance": tables.common(
            relevant(record) for _, record in found.records("provenance.json")
        ),
        "paragraph": in_words(paragraph(found)),
        "paragraph_latex": in_latex(paragraph(found)),
        "bibtex": bibtex(cited(experiment)),
        "methods": {in_full(run.name): description(run.choice.method) for run in found.done},
        "declaration": yaml.safe_dump(
            experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=90
        ),
        "undrawn": undrawn(shown),
        "unread": found.unread,  # the last: all that is shown has been read
    }


def in_sections(shown: list[Shown]) -> dict[str, list[Shown]]:
    """The figures of each section of the page that has any."""
    missed = [figure for figure in shown if figure.picture or not figure.folded]
    return {
        section: [figure for figure in missed if figure.section == section]
        for section in dict.fromkeys(figure.section for figure in missed)
    }


LARGEST_INSIDE = 300_000
"""Bytes of a CSV that the page holds in itself, to be saved from it."""


class Link(NamedTuple):
    """A file beside the page, or, of a CSV that is small, in it; ``saved_as`` then its name."""

    name: str
    address: str
    saved_as: str = ""


def links(folder: Path, listed: str) -> list[Link]:
    """The files that 'tables/summary.csv, .md, .tex' names."""
    found: list[Link] = []
    stem = ""
    for part in filter(None, listed.split(", ")):
        name = f"{stem}{part}" if part.startswith(".") else part
        stem, path = name.removesuffix(Path(name).suffix), folder / name
        if path.suffix == ".csv" and path.is_file() and path.stat().st_size <= LARGEST_INSIDE:
            data = base64.b64encode(path.read_bytes()).decode()
            found.append(Link(name, f"data:text/csv;base64,{data}", path.name))
        else:
            found.append(Link(name if not part.startswith(".") else part, quote(name)))
    return found


class Block(NamedTuple):
    """A part of a section as the template shows it."""

    table: tables.Table | None
    style: str
    note: str
    files: list[Link]
    opened_by: str
    words: str


class Section(NamedTuple):
    """What the page shows of a question, and of those that are folded below it."""

    name: str
    title: str
    link: str
    blocks: list[Block]


def sections(found: Results) -> list[Section]:
    """The questions that have an answer, each with what the page shows of it, in order.

    The first section holds the results, whatever they are.
    """
    made = {"results": Section("results", "Results", "Results", [])}
    for name, it in found.questions.items():
        parts = it.page(found.table(name))
        if it.section in ("", "results"):
            section = Section(name, it.title, it.link or it.title, [])
            section = made.setdefault(it.section or name, section)
            section.blocks.extend(block(part, found.folder) for part in parts)
    for name, it in found.questions.items():
        if it.section in made and it.section != "results":
            made[it.section].blocks.extend(folded(it, found.table(name), found.folder))
    return [section for section in made.values() if section.blocks]


def folded(question: Question, table: pd.DataFrame, folder: Path) -> list[Block]:
    """A question in the section of another: its table opened by its title."""
    if table.empty:
        return []
    note = question.noted(table)
    part = Part(question.shown(table), note.note, note.file, opened_by=question.title)
    return [block(part, folder)]


def block(part: Part, folder: Path) -> Block:
    """A part of a section: the table's cells as text, its layout as CSS classes."""
    style = " ".join(["sortable"] * part.sortable + ["wrap"] * part.wraps)
    table = None if part.table is None else tables.of_frame(part.table, part.marks)
    files = links(folder, part.file)
    return Block(table, style, part.note, files, part.opened_by, part.words)


def question(found: Results) -> str:
    """What the experiment asks, from its grid."""
    experiment, kinds = found.experiment, methods_of(found.runs)
    others = [name for name, kind in kinds.items() if kind == "method"]
    others = [name for name in others if name != experiment.baseline]
    counts = overall(found.summary).dropna(subset=["labeled"]).sort_values("labeled")
    known = list(dict.fromkeys(f"{count:.0f}" for count in counts["labeled"]))
    labeled = " or ".join([", ".join(known[:-1]), known[-1]] if known[1:] else known or ["few"])
    if not others:
        return ""
    who = f"do any of {len(others)} methods" if len(others) > 1 else f"does {label(others[0])}"
    return (
        f"With {labeled} labeled training cases of {experiment.dataset.name}, {who} segment "
        f"better than {label(experiment.baseline)}, and at what cost?"
    )


def facts(found: Results, declared: pd.DataFrame) -> dict[str, str]:
    """The head of the page: the grid in a few words."""
    experiment = found.experiment
    with_labels = ", ".join(budgets(overall(found.summary)).values())
    done = int((declared["status"] == "done").sum())
    kinds = list(methods_of(found.runs).values())
    counts_apart = {role: kinds.count(role) for role in ("bound", "control") if role in kinds}
    apart = [f"{n} {role}{'s' * (n > 1)}" for role, n in counts_apart.items()]
    return {
        "Dataset": experiment.dataset.name,
        "Methods": ", ".join([str(kinds.count("method")), *apart]),
        "Labeled cases": with_labels or ", ".join(map(budget_text, experiment.budgets)),
        "Subsets x seeds": f"{len(experiment.subsets)} x {len(experiment.seeds)}",
        "Test cases": str(found.measured["case"].nunique()),
        "Iterations": str(experiment.training.iterations),
        "Runs": f"{done} of {len(declared)}",
    } | measured_on(found)


def measured_on(found: Results) -> dict[str, str]:
    """The day on which the last run ended, or the first and the last; nothing if not recorded."""
    days = found.runs["finished"] if "finished" in found.runs else pd.Series(dtype=str)
    days = days[days.fillna("") != ""]
    if days.empty:
        return {}
    return {"Measured": " to ".join(dict.fromkeys([days.min(), days.max()]))}


READING = {
    "better": "Better than {}",
    "worse": "Worse than {}",
    "equivalent": "Equivalent to {}",
    "not_worse": "Not worse than {}",
    "undecided": "Undecided beside {}",
    "": "Not judged yet beside {}",
}


def reading(found: Results) -> list[str]:
    """The main comparison in words, one line per budget, from the verdicts of the table.

    Upper bounds and controls have no part in who is highest; they are named after it.
    """
    lines, primary = [], found.experiment.primary
    measure = of(primary)
    summary = overall(found.summary).dropna(subset=[primary])
    verdicts = found.comparisons
    if not verdicts.empty:
        verdicts = overall(verdicts)
        verdicts = verdicts[verdicts["metric"] == primary]
        verdicts = verdicts[verdicts["role"] == "method"]
    for budget, group in summary.sort_values("labeled", kind="stable").groupby(
        "budget", sort=False
    ):
        line = f"{int(group['labeled'].iloc[0])} labeled:"
        compared = group[roles(group) == "method"]
        if not compared.empty:
            best, most = compared.loc[compared[primary].idxmin()], "lowest"
            if measure.higher_is_better:
                best, most = compared.loc[compared[primary].idxmax()], "highest"
            line += (
                f" {most} mean {measure.title} {valued(best, primary)}, {label(best['method'])}."
            )
        own = verdicts[verdicts["budget"] == budget]
        for verdict, start in READING.items():
            if names := list(own.loc[own["verdict"] == verdict, "method"]):
                line += (
                    f" {start.format(label(found.experiment.baseline))}: {listed(names, len(own))}."
                )
        line += needed(own)
        lines.append(line + apart(group, primary))
    return lines


def needed(comparisons: pd.DataFrame) -> str:
    """What would decide what is undecided or not judged yet, of the one that lacks the least."""
    left = comparisons[comparisons["missing"] != ""]
    if left.empty:
        return ""
    first = left.iloc[0]
    return f" To decide {label(first['method'])}: {first['missing']}."


COLLAPSED = 0.5
"""A run that predicts nothing in more than this share of its measurements has collapsed."""


def collapsed(found: Results) -> list[str]:
    """Runs that predict nothing for most of what their cases have, in words; controls aside."""
    cases = found.measured[roles(found.measured) != "control"]
    named = []
    for (method, budget, subset, seed), own in cases.groupby([*CELL], sort=False):
        counted = counts(own)
        if counted["failures"] > COLLAPSED * counted["measurements"]:
            named.append(
                f"{label(method)} at budget {budget}, subset {subset}, seed {seed} "
                f"({counted['failures']} of {counted['measurements']})"
            )
    return named


def undrawn(shown: list[Shown]) -> str:
    """The characters that figures lack; said in the log too."""
    lacks = " ".join(sorted(set("".join(figure.undrawn for figure in shown))))
    if lacks:
        logger.warning("no installed font draws %s: figures show boxes instead", lacks)
    return lacks


def valued(row: pd.Series, metric: str) -> str:
    """A row's mean with its unit: '81.5 %'."""
    measure = of(metric)
    return f"{number(row[metric], measure.digits, measure.scale)} {measure.unit}".strip()


def apart(group: pd.DataFrame, metric: str) -> str:
    """The means of upper bounds and controls, and which methods a control reaches."""
    text, compared = "", group[roles(group) == "method"]
    for role, start in (("bound", "Upper bound"), ("control", "Control")):
        for _, row in group[roles(group) == role].iterrows():
            text += f" {start} {label(row['method'])}: {valued(row, metric)}."
            sign = 1 if of(metric).higher_is_better else -1
            reached = compared.loc[sign * compared[metric] <= sign * row[metric], "method"]
            if role == "control" and len(reached):
                text += f" Not above it: {listed(list(reached), len(compared))}."
    return text


def listed(names: list[str], of: int) -> str:
    """A few names; of many how many they are, since the table below names them."""
    if len(names) <= MANY:
        return labels(names)
    return f"all {of}" if len(names) == of else f"{len(names)} of {of}"


def in_full(name: str) -> str:
    """A row's name, and what it is called in settings: 'Mean teacher (mean_teacher)'."""
    return name if label(name) == name else f"{label(name)} ({name})"


def relevant(provenance: dict[str, Any]) -> dict[str, Any]:
    """A run's provenance without what differs from run to run by its nature."""
    own = ("settings", "seeds", "split", "model_sha256")
    return {key: value for key, value in provenance.items() if key not in own}


def description(method: str) -> list[str]:
    """The head of a method's file up to its deviations: what it is, and the paper to cite.

    The file is not imported (it needs torch).
    """
    import ssl_methods

    path = Path(str(ssl_methods.__file__)).parent / "methods" / f"{method}.py"
    if not path.is_file():
        return ["A method from another package; its own documentation names its source."]
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n\nDeviations")[0].split("\n\n")
