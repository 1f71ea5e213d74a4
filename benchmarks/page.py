"""Write docs/reference/performance.md from what `make bench` measured: no number is typed in."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from benchmarks.bars import BARS
from benchmarks.timing import text
from ssl_methods.files import read_json, write_text

HERE = Path(__file__).parent
MEASURED = HERE / "measured"
PAGE = HERE.parent / "docs" / "reference" / "performance.md"
INTRODUCTION = """# Performance

Written by `make bench` from what it measured; to measure anew, run it on a machine that does
nothing else. Alternatives take turns; a ratio is the median of those within a round, with its
95 % interval in brackets. A bar is met if the whole interval is on its right side, and unclear if
a part is.
"""


def names() -> list[str]:
    """The benchmarks there are."""
    files = sorted(HERE.glob("*.py"))
    return [
        file.stem
        for file in files
        if "\ndef main(" in file.read_text(encoding="utf-8")
        and file.stem not in ("all", "page", "gpu_day")
    ]


def section(name: str) -> str:
    """What one benchmark does, on what machine it ran, and its rows."""
    document = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))) or ""
    head = f"## {name.replace('_', ' ').capitalize()}\n\n{document}\n"
    parts = [
        f"{origin(where)}\n\n{table(rows)}\n" for where in homes(name) if (rows := read(where))
    ]
    return "\n".join([head, *(parts or ["Not measured.\n"])])


def homes(name: str) -> list[str]:
    """Where rows of a benchmark may be: of this machine, and of a day at a GPU."""
    return [name, f"gpu/{name}"]


def measured(name: str) -> list[dict[str, Any]]:
    """The rows of a benchmark; none if it was not run."""
    return [row for where in homes(name) for row in read(where)]


def read(where: str) -> list[dict[str, Any]]:
    file = MEASURED / f"{where}.json"
    rows: list[dict[str, Any]] = read_json(file) if file.exists() else []
    return rows


def bars() -> str:
    """What is to be reached, and whether it is."""
    rows = [bar.judged(measured(bar.benchmark)) for bar in BARS]
    return f"## What it has to reach\n\n{table(rows)}\n"


def origin(name: str) -> str:
    """One line about the machine."""
    file = MEASURED / f"{name}.machine.json"
    if not file.exists():
        return "On a machine that is not recorded."
    seen = read_json(file)
    gpu = f"; {seen['gpu']}" if seen["gpu"] else "; no GPU"
    versions = ", ".join(f"{key} {value}" for key, value in seen["versions"].items() if value)
    load = f"; load before the start {seen['load']:.1f}" if "load" in seen else ""
    code = f"; code of {seen['commit']}" if seen.get("commit") else ""
    return f"{seen['cpu']}, {seen['cores']} cores{gpu}{load}; {versions}{code}."


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown; columns in the order in which they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[text(row.get(column)) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    write_text(PAGE, "\n".join([INTRODUCTION, bars(), *map(section, names())]))
    print(PAGE)


if __name__ == "__main__":
    main()
