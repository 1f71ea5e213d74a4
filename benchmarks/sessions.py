"""The terminal sessions of docs/how-to/watch-a-run.md, recorded in tmux: ``python -m
benchmarks.sessions [NAME ...]``.

Each session is typed into a terminal of its own; what its screen holds then takes the place of the
session's block on the page. Of what was seen only the folder of the project is left out. Needs
tmux, and some minutes on an idle machine.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ssl_methods.files import write_text

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/how-to/watch-a-run.md"
COLUMNS, LINES = 118, 50
PATIENCE = 1800.0  # seconds
PROMPT = "$ "
TWO_RUNS = "--config name=first 'methods=[supervised,dtc]' 'budgets=[4]' subsets=1"
LONGER = "'training={iterations: 300}'"
FAILS = (
    "--config name=failing 'budgets=[4]' subsets=1"
    " 'methods={supervised: {}, diverging: {method: supervised, ce_weight: 1e38}}'"
)


class Terminal:
    """A terminal in which a shell waits."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = f"sessions-{os.getpid()}-{name}"
        path = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
        shell = ["env", f"PATH={path}", f"PYTHONPATH={ROOT}", f"PS1={PROMPT}", "bash", "--norc"]
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        self._tmux("new-session", "-d", "-s", self.name, *size, "-c", str(folder), *shell)
        self.wait(r"^\$")

    def type(self, text: str) -> None:
        """A command; it is seen on the screen before it begins."""
        self._tmux("send-keys", "-t", self.name, "-l", text)
        self.wait(rf"{re.escape(text[-20:])}\Z")
        self.press("Enter")

    def press(self, key: str) -> None:
        self._tmux("send-keys", "-t", self.name, key)

    def wait(self, pattern: str, patience: float = PATIENCE) -> str:
        """The screen, once it shows this."""
        give_up = time.monotonic() + patience
        while not re.search(pattern, screen := self.screen(), re.M):
            if time.monotonic() > give_up:
                raise SystemExit(f"{self.name}: no {pattern!r} on the screen:\n{screen}")
            time.sleep(0.5)
        return screen

    def ended(self) -> str:
        """The screen, once the prompt is its last line."""
        return self.wait(r"\$ ?\Z")

    def screen(self) -> str:
        seen = self._tmux("capture-pane", "-p", "-J", "-t", self.name)
        return "\n".join(line.rstrip() for line in seen.splitlines()).strip()

    def close(self) -> None:
        self._tmux("kill-session", "-t", self.name)

    @staticmethod
    def _tmux(*words: str) -> str:
        done = subprocess.run(["tmux", *words], capture_output=True, text=True, check=True)
        return done.stdout


def quickstart(folder: Path) -> dict[str, str]:
    """The quickstart, from nothing to its report."""
    terminal = Terminal("quickstart", folder)
    terminal.type("ssl-methods quickstart --cores 2")
    screen = terminal.ended()
    terminal.close()
    return {"quickstart": screen}


def stopped(folder: Path) -> dict[str, str]:
    """Ctrl-C, and the same command again; beside it `watch` on two jobs."""
    terminal, watcher = Terminal("stopped", folder), Terminal("watch", folder)
    command = f"ssl-methods quickstart models --cores 2 {TWO_RUNS} {LONGER}"
    terminal.type(command)
    at_work = terminal.wait(r"2 at work; about .* \| \w+ \d+/300, loss")
    watcher.type("ssl-methods watch first")
    paced = r"iteration \d+ of 300 .* (s|min)"
    watching = watcher.wait(rf"{paced}\n.*{paced}$")
    terminal.press("C-c")
    terminal.ended()
    left = watcher.ended()
    terminal.type(command)
    screen = terminal.ended()
    terminal.close()
    watcher.close()
    return {"at work": at_work, "stopped": screen, "watch": watching, "watch at the end": left}


def failing(folder: Path) -> dict[str, str]:
    """One run of two fails."""
    terminal = Terminal("failing", folder)
    terminal.type(f"ssl-methods quickstart --cores 2 {FAILS}")
    screen = terminal.ended()
    terminal.close()
    return {"failing": screen}


SESSIONS: dict[str, Callable[[Path], dict[str, str]]] = {
    "quickstart": quickstart,
    "stopped": stopped,
    "failing": failing,
}


def on_the_page(page: str, blocks: dict[str, str]) -> str:
    """The page with the blocks of these sessions, each after its mark."""
    for name, screen in blocks.items():
        shown = re.sub(r"\n\$ ?\Z", "", screen).replace(f"{ROOT}/", "")
        mark = f"<!-- session: {name} -->"
        block = f"{mark}\n```console\n{shown}\n```"
        page, count = re.subn(
            rf"{re.escape(mark)}\n```console\n(.*?\n)??```",
            lambda _, it=block: it,
            page,
            flags=re.S,
        )
        if count != 1:
            raise SystemExit(f"{PAGE}: has no block '{mark}'")
    return page


def main(names: Sequence[str]) -> None:
    for name in names or SESSIONS:
        with tempfile.TemporaryDirectory() as folder:
            blocks = SESSIONS[name](Path(folder))
        write_text(PAGE, on_the_page(PAGE.read_text(encoding="utf-8"), blocks))
        print(f"{name}: {', '.join(map(shlex.quote, blocks))}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
