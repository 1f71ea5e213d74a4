"""`live.html`: the curves of all runs of a sweep, on one page without scripts or network.

In: a ``Now``. Out: a file that a browser loads again by itself while the sweep is at work. Curves
of finished runs are those of ``history.csv``, of others what `progress.jsonl` holds so far.
"""

from __future__ import annotations

import csv
import html
import io
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ssl_methods.config import budget_text
from ssl_methods.errors import UserError
from ssl_methods.files import read_text, write_text
from ssl_methods.watching import words
from ssl_methods.watching.sweep import Now, RunNow

MOST_POINTS = 20_000  # of all curves together: some hundred kB
WIDTH, HEIGHT = 300, 110
MEASURES = {"loss": "loss", "validation_dice": "validation Dice"}

Points = list[tuple[float, float]]

STYLE = """
:root { color-scheme: light dark; --done: #3b6ea5; --work: #c05a00; --failed: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --done: #8fb8e8; --work: #ffb066; --failed: #ff8a80; }
}
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 72rem;
  padding: 0 1rem; }
h1 { font-size: 1.3rem; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
div { display: flex; flex-wrap: wrap; gap: .4rem 1.5rem; }
figure { margin: 0; }
figcaption { font-size: .85rem; }
svg { display: block; width: 300px; height: 134px; }
polyline { fill: none; stroke: var(--done); stroke-width: 1.2; }
.work { stroke: var(--work); stroke-width: 1.8; }
.failed, .stopped { stroke: var(--failed); stroke-dasharray: 4 2; }
rect { fill: none; stroke: currentColor; opacity: .35; }
text { font-size: 10px; fill: currentColor; }
"""


def write_page(now: Now, path: Path, at_work: bool) -> None:
    """Write the page anew, whole; ``at_work``: it loads itself again every ten seconds."""
    write_text(path, page(now, at_work))


def page(now: Now, at_work: bool) -> str:
    """The text of the page."""
    most = max(10, min(100, MOST_POINTS // max(1, len(now.runs))))
    refresh = '<meta http-equiv="refresh" content="10">' if at_work else ""
    name = html.escape(now.name)
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: curves</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{name}: curves of all runs</h1>"
        f"<p>{html.escape(words.headline(now))}. As of {time.strftime('%Y-%m-%d %H:%M:%S')}.</p>"
        "<p>A line is a run: orange at work, red and dashed failed or stopped, else done.</p>"
    ]
    for failed in (*now.of("failed"), *now.of("stopped")):
        parts.append(f"<p><strong>{html.escape(words.failure(failed))}</strong></p>")
    for method in dict.fromkeys(it.run.name for it in now.runs):
        own = [it for it in now.runs if it.run.name == method]
        curves = {it.folder: _curves(it, most) for it in own}
        highest = {key: _highest(key, [*curves.values()]) for key in MEASURES}
        parts.append(f"<h2>{html.escape(method)}</h2><div>")
        for budget in dict.fromkeys(budget_text(it.run.budget) for it in own):
            cell = [it for it in own if budget_text(it.run.budget) == budget]
            for key, title in MEASURES.items():
                lines = [(it, curves[it.folder][key]) for it in cell if curves[it.folder][key]]
                if lines or key == "loss":
                    caption = f"{budget} labeled: {title}"
                    parts.append(_figure(caption, lines, highest[key]))
        parts.append("</div>")
    if not any(it.run.training.validate_every for it in now.runs):
        parts.append(f"<p>{words.NO_VALIDATION.capitalize()}.</p>")
    return "".join([*parts, "</main></body></html>\n"])


def _figure(caption: str, lines: Sequence[tuple[RunNow, Points]], highest: float) -> str:
    last = max((x for _, points in lines for x, _ in points), default=1.0)
    drawn = []
    for it, points in lines:
        kind = {"at work": "work"}.get(it.state, it.state)
        at = " ".join(
            f"{x / last * WIDTH:.1f},{HEIGHT * (1 - min(y, highest) / highest):.1f}"
            for x, y in points
        )
        drawn.append(
            f'<polyline class="{kind}" points="{at}">'
            f"<title>{html.escape(it.title)}</title></polyline>"
        )
    return (
        f"<figure><figcaption>{html.escape(caption)}</figcaption>"
        f'<svg viewBox="-1 -10 {WIDTH + 2} {HEIGHT + 24}" role="img" '
        f'aria-label="{html.escape(caption)}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}"/>{"".join(drawn)}'
        f'<text x="2" y="-2">{highest:.3g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 11}" text-anchor="end">iteration {last:.0f}</text>'
        "</svg></figure>"
    )


def _highest(key: str, curves: Sequence[dict[str, Points]]) -> float:
    """The top of a method's panels: 1 for Dice; of the loss all but the first, highest values."""
    if key == "validation_dice":
        return 1.0
    found = sorted(y for of_run in curves for _, y in of_run[key])
    return max(found[int(0.99 * (len(found) - 1))], 1e-6) if found else 1.0


def _curves(it: RunNow, most: int) -> dict[str, Points]:
    """A run's (iteration, value) by measure, at most so many."""
    trained = [job for job in it.jobs if job.name == "train" and job.rows]
    rows: list[dict[str, str | float]] = []
    if trained:
        rows = [{**row, "iteration": row["at"]} for row in trained[-1].rows]
    else:
        with suppress(UserError, csv.Error):
            rows = [*csv.DictReader(io.StringIO(read_text(it.folder / "history.csv")))]
    return {key: _thinned(_points(rows, key), most) for key in MEASURES}


def _points(rows: Sequence[dict[str, str | float]], key: str) -> Points:
    found = []
    for row in rows:
        with suppress(ValueError, TypeError):
            point = float(row["iteration"]), float(row.get(key) or "")
            if all(map(math.isfinite, point)) and point[0] > 0:
                found.append(point)
    return found


def _thinned(points: Points, most: int) -> Points:
    """Every n-th point, and the last."""
    step = math.ceil(len(points) / most) or 1
    return points if step == 1 else [*points[:-1:step], points[-1]]
