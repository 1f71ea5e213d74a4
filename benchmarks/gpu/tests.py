"""The tests marked `gpu`, one row each: passed, failed or skipped, and its seconds."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from benchmarks.children import PROJECT, environment
from benchmarks.timing import show


def rows(report: Path) -> list[dict[str, Any]]:
    """The outcomes in a JUnit file."""
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        outcomes = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        message = next((child.get("message", "") for child in case if child.tag in outcomes), "")
        found.append(
            {
                "test": case.get("name"),
                "outcome": outcomes[0] if outcomes else "passed",
                "seconds": float(case.get("time", 0)),
                "message": message[:300],
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="on the CPU where there is no GPU")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
        rehearse = {"SSL_METHODS_REHEARSE": "1"} if options.tiny else {}
        done = subprocess.run(
            [*command, "tests/gpu", f"--junitxml={report}"],
            cwd=PROJECT,
            env=environment() | rehearse,
        )
        show(rows(report), options.json)
    sys.exit(done.returncode not in (0, 1))  # a failed test is an answer


if __name__ == "__main__":
    main()
