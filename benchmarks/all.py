"""Run every benchmark, one after the other, and write the page about them.

Each is a module of this package with a ``main``, run as ``python -m benchmarks.NAME --json FILE``;
its rows go to ``benchmarks/measured/NAME.json``. One that fails is named and leaves no file: it is
'not measured'.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.page import HERE, MEASURED, names
from ssl_methods import provenance
from ssl_methods.files import write_json


def run(name: str) -> bool:
    """Measure one; whether it went well."""
    file = MEASURED / f"{name}.json"
    file.unlink(missing_ok=True)
    print(f"== {name}", flush=True)
    load, start = os.getloadavg()[0], time.perf_counter()
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(file)]
    done = subprocess.run(command, cwd=HERE.parent)
    if done.returncode != 0 or not file.exists():
        file.unlink(missing_ok=True)
        print(f"{name} failed", file=sys.stderr)
        return False
    seconds = time.perf_counter() - start
    write_json(MEASURED / f"{name}.machine.json", machine() | {"load": load, "seconds": seconds})
    return True


def machine() -> dict[str, Any]:
    """What it ran on."""
    import torch

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [
            line
            for line in info.read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ]
        cpu = lines[0].partition(": ")[2] if lines else cpu
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    versions = provenance.versions()
    return {"cpu": cpu, "cores": os.cpu_count(), "gpu": gpu, "versions": versions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these")
    chosen = parser.parse_args().names or names()
    MEASURED.mkdir(exist_ok=True)
    went_well = [run(name) for name in chosen]
    page.main()
    sys.exit(not all(went_well))


if __name__ == "__main__":
    main()
