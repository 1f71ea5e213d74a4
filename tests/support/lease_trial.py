"""Many claims by many processes, of which some are killed at random; prints what went wrong.

    python tests/support/lease_trial.py FOLDER CLAIMS PROCESSES GPUS RUNS_PER_GPU [unlocked]

The witness knows nothing of locks. While a process believes to hold a slot, its name (pid and time
of start) is in a file that it made with O_EXCL, and that it removes before it lets go. If the file
is there when another takes the slot, the one that it names must be dead: it was killed as holder.
One that lives, or that removes its file afterwards, was holding the slot too.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from ssl_methods.devices import leases


def start_time(pid: int) -> str | None:
    """In clock ticks since boot; None if there is no such process or it is only to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def identity(pid: int) -> str:
    return f"{pid} {start_time(pid)}"


def bear_witness(path: Path, own: Path, folder: Path) -> None:
    while True:
        try:
            os.link(own, path)  # its content is there at once; fails if the file exists
            return
        except FileExistsError:
            pass
        other = read(path)
        give_up = time.monotonic() + 10
        while other is not None and identity(int(other.split()[0])) == other:
            if read(path) != other or time.monotonic() > give_up:
                note(folder / "violations")
                break
            time.sleep(0.0005)
        else:
            note(folder / "killed_as_holders")
        path.unlink(missing_ok=True)


def note(path: Path) -> None:
    """One more; a byte each, so that what a killed process has noted counts."""
    with path.open("ab", buffering=0) as file:
        file.write(b".")


def noted(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def work(folder: Path, gpus: list[str], runs_per_gpu: int, deadline: float) -> None:
    """Claim slots until told to stop."""
    own = folder / "workers" / str(os.getpid())
    own.write_text(identity(os.getpid()))
    random.seed(os.getpid())
    while not (folder / "stop").exists() and time.monotonic() < deadline:
        with leases.lease(gpus, "trial", runs_per_gpu) as (gpu, slot):
            witness = folder / "witnesses" / f"{gpu}-{slot}"
            bear_witness(witness, own, folder)
            note(folder / "claims")
            time.sleep(random.uniform(0, 0.004))
            witness.unlink(missing_ok=True)


def spawn(*given: object) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work(*given)  # type: ignore[arg-type]
            status = 0
        finally:
            os._exit(status)
    return pid


def trial(folder: Path, claims: int, *more: str) -> dict:
    """What is found when 16 processes share 2 GPUs of 4 slots each; run from a fresh Python."""
    given = [str(folder / "trial"), str(claims), "16", "2", "4", *more]
    done = subprocess.run(
        [sys.executable, __file__, *given], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def claim_and_kill(folder: Path, claims: int, processes: int, gpus: int, runs_per_gpu: int) -> dict:
    for name in ("workers", "witnesses"):
        (folder / name).mkdir(parents=True)
    leases.FOLDER, leases.PAUSE, leases.log.disabled = folder / "leases", (0.002, 0.02), True
    names = [f"GPU-{number}" for number in range(gpus)]
    given = (folder, names, runs_per_gpu, time.monotonic() + 240)
    workers, kills, failed = [spawn(*given) for _ in range(processes)], 0, 0
    while noted(folder / "claims") < claims and time.monotonic() < given[3]:
        time.sleep(random.uniform(0, 0.1))
        victim = random.randrange(processes)
        os.kill(workers[victim], signal.SIGKILL)
        failed += os.waitpid(workers[victim], 0)[1] != signal.SIGKILL
        workers[victim] = spawn(*given)
        kills += 1
    (folder / "stop").touch()
    failed += sum(os.waitpid(pid, 0)[1] != 0 for pid in workers)
    slots = gpus * runs_per_gpu
    taken = [leases._take_one_of(names, "afterwards", runs_per_gpu) for _ in range(slots + 1)]
    counts = ("claims", "violations", "killed_as_holders")
    return {name: noted(folder / name) for name in counts} | {
        "kills": kills,
        "failed": failed,
        "free_afterwards": sum(lease is not None for lease in taken),
    }


if __name__ == "__main__":
    if sys.argv[6:] == ["unlocked"]:
        leases.fcntl.flock = lambda *_: None
    numbers = [int(text) for text in sys.argv[2:6]]
    print(json.dumps(claim_and_kill(Path(sys.argv[1]), *numbers)))
