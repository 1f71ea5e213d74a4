"""A SLURM cluster of one node on loopback, for tests: no systemd, no accounting."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

CONFIGURATION = Path("/etc/slurm")  # jobs of the plugin drop $SLURM_CONF
FILES = ["slurm.conf", "gres.conf"]

SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MinJobAge=3600
KillWait=5
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=100000 Gres=gpu:2 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Why no node can be started here, if so."""
    absent = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not which(name)]
    if absent:
        return f"SLURM is not installed ({', '.join(absent)})"
    if os.geteuid() != 0:
        return "starting SLURM needs root"
    paths = [CONFIGURATION / name for name in FILES]
    if any(path.exists() and not path.is_symlink() for path in paths):
        return f"{CONFIGURATION} holds the configuration of a cluster"
    return None


def which(name: str) -> str | None:
    return shutil.which(name, path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])


@contextmanager
def one_node() -> Iterator[None]:
    """The cluster, up and idle, with two GPUs that are none; all of it is gone at the end."""
    alone = FileLock(Path(tempfile.gettempdir(), "slurm-node.lock"))
    made = tempfile.TemporaryDirectory(prefix="slurm-node-", ignore_cleanup_errors=True)
    with alone, made as name:
        folder = Path(name)
        folder.chmod(0o755)  # the user munge goes through it
        with daemons(folder):
            yield


@contextmanager
def daemons(folder: Path) -> Iterator[None]:
    made = not CONFIGURATION.exists()
    munge = pwd.getpwnam("munge")
    for name in ("munge", "spool", "state"):
        (folder / name).mkdir(parents=True)
    os.chown(folder / "munge", munge.pw_uid, munge.pw_gid)
    host = socket.gethostname().split(".")[0]
    text = SLURM_CONF.format(host=host, folder=folder, ports=free_ports(2))
    (folder / "slurm.conf").write_text(text)
    for gpu in range(2):
        os.mknod(folder / f"gpu{gpu}", 0o20666, os.makedev(1, 3))  # /dev/null
    (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File={folder}/gpu[0-1]\n")
    CONFIGURATION.mkdir(exist_ok=True)
    try:
        for name in FILES:
            (CONFIGURATION / name).unlink(missing_ok=True)  # left by a test that was killed
            (CONFIGURATION / name).symlink_to(folder / name)
        start_munge(folder / "munge", munge)
        for daemon in ("slurmctld", "slurmd"):
            subprocess.run([str(which(daemon)), "-f", str(folder / "slurm.conf")], check=True)
        wait_until_idle(folder)
        yield
    finally:
        subprocess.run(["scancel", "--full", "--state=RUNNING"], check=False, timeout=30)
        for name in ("slurmd.pid", "slurmctld.pid", "munge/munged.pid"):
            stop(folder / name)
        for name in FILES:
            (CONFIGURATION / name).unlink(missing_ok=True)
        if made:
            CONFIGURATION.rmdir()


def start_munge(folder: Path, user: pwd.struct_passwd) -> None:
    key = folder / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    os.chown(key, user.pw_uid, user.pw_gid)
    files = {"key-file": "key", "socket": "socket", "pid-file": "munged.pid"}
    files |= {"log-file": "log", "seed-file": "seed"}
    options = [f"--{option}={folder / name}" for option, name in files.items()]
    subprocess.run(
        [str(which("munged")), "--force", *options],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        check=True,
    )


def wait_until_idle(folder: Path) -> None:
    give_up = time.monotonic() + 60
    state = ""
    while not state.startswith("idle"):
        assert time.monotonic() < give_up, (state, (folder / "slurmctld.log").read_text())
        time.sleep(0.2)
        asked = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True)
        state = asked.stdout.strip() or asked.stderr


def stop(pid_file: Path) -> None:
    """The daemon that wrote the file: politely, then not."""
    if not pid_file.is_file():
        return
    pid = int(pid_file.read_text())
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(50):
            try:
                os.kill(pid, sent if _ == 0 else 0)
            except ProcessLookupError:
                return
            time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
