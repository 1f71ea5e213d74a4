"""The journal of a study is a file like others: what it says is checked, what is torn is mended."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from support.studies import declare

from ssl_methods.cli import main
from ssl_methods.errors import UserError
from ssl_methods.tuning import worker
from ssl_methods.tuning.answers import best_overrides, trial_rows
from ssl_methods.tuning.storage import _end_of_last_line
from ssl_methods.tuning.worker import open_study, work

JOURNAL = Path("tiny/tuning/s/journal.log")
MADE: list[bytes] = []  # once, for all tests


@pytest.fixture
def journal(known, tmp_path: Path) -> Path:
    """Of a study of two finished trials."""
    path = tmp_path / JOURNAL
    if not MADE:
        work(declare(trials=2), tmp_path)
        MADE.append(path.read_bytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(MADE[0])
    return path


def rows(study, results: Path):
    return trial_rows(study, open_study(study, results)["dtc"])


# ---- damage --------------------------------------------------------------------------------------

DAMAGED = {
    "unknown operation": b'{"op_code": 99, "worker_id": "x"}',
    "no operation": b"{}",
    "operation of another type": b'{"op_code": "4", "worker_id": "x"}',
    "no object": b"[1, 2]",
    "nothing": b"",
    "zeros": b"\0" * 50,
    "half a line": b'{"op_code": 2,',
    "no text": b"\xff\xfe\x00",
    "nested too deep": b"[" * 100_000,
    "keys missing": b'{"op_code":4,"worker_id":"x","study_id":0}',
    "a bad time": b'{"op_code":4,"worker_id":"x","study_id":0,"datetime_start":"yesterday"}',
    "a bad range": b'{"op_code":4,"worker_id":"x","study_id":0,"datetime_start":null,"state":4,'
    b'"distributions":{"k":"{}"},"params":{"k":1},"user_attrs":{},"system_attrs":{},'
    b'"intermediate_values":{},"value":null,"values":null}',
}


@pytest.mark.parametrize("where", ["end", "middle"])
@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_line_is_named_with_what_to_do(kind, where, journal, tmp_path):
    lines = journal.read_bytes().splitlines()
    number = len(lines) if where == "end" else 4
    whole = b"\n".join([*lines[:number], DAMAGED[kind], *lines[number:], b""])
    journal.write_bytes(whole)
    with pytest.raises(UserError) as error:
        work(declare(trials=2), tmp_path)
    said = str(error.value)
    assert said.startswith(f"{journal}: line {number + 1} is damaged (")
    assert f"head -n {number})" in said and said.isprintable()
    assert journal.read_bytes() == whole, "what is to be looked at was changed"


def test_the_lines_before_the_damage_go_on(journal, tmp_path):
    kept = journal.read_bytes()
    journal.write_bytes(kept + b"{}\n")
    with pytest.raises(UserError):
        work(declare(trials=3), tmp_path)
    journal.write_bytes(kept)  # head -n
    assert work(declare(trials=3), tmp_path) == 1


@pytest.mark.parametrize(
    "slot", ["../../OUTSIDE", "/tmp/OUTSIDE", -1, 1.0, True, [0], {}, "0", None, "\x1b[2J"]
)
@pytest.mark.parametrize("state", [0, 4])
def test_a_slot_that_is_no_number_is_no_folder(slot, state, known, tmp_path):
    study = declare(trials=1)
    results = tmp_path / "a" / "b" / "results"
    lay_out_trials(study, results)
    journal = results / JOURNAL
    made = json.loads(journal.read_text().splitlines()[-1])
    made |= {"state": state, "user_attrs": {"slot": slot}}
    with journal.open("a") as file:
        file.write(json.dumps(made) + "\n")
    before = everything(tmp_path)
    if slot is None:  # of somebody who looks at the study with Optuna
        assert work(study, results) == 1
        return
    with pytest.raises(
        UserError, match=r"the storage is damaged: the slot of trial 1 is "
    ) as error:
        work(study, results)
    assert str(error.value).isprintable()
    assert everything(tmp_path) == before


@pytest.mark.parametrize("runs", ["x", [1], [[100, 0]], [["100", 0, 0.5]], [[100, 0, "0.5"]], None])
def test_runs_that_are_none_are_no_traceback(runs, known, tmp_path):
    study = declare(trials=1)
    lay_out_trials(study, tmp_path)
    made = json.loads((tmp_path / JOURNAL).read_text().splitlines()[-1])
    made |= {"user_attrs": {"slot": 0, "runs": runs}}
    with (tmp_path / JOURNAL).open("a") as file:
        file.write(json.dumps(made) + "\n")
    with pytest.raises(UserError, match="the storage is damaged: the runs of trial 1 are "):
        work(study, tmp_path)


def lay_out_trials(study, results: Path) -> None:
    for queue in open_study(study, results).values():
        queue.refill()


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.name.startswith(".")}


def test_a_slot_beyond_those_declared_is_not_waited_for(known, tmp_path):
    lay_out_trials(declare(trials=1), tmp_path)
    journal = tmp_path / JOURNAL
    made = json.loads(journal.read_text().splitlines()[-1])
    for slot in (7, 10**30):
        made |= {"state": 0, "user_attrs": {"slot": slot}, "datetime_start": "2026-01-01T00:00:00"}
        with journal.open("a") as file:
            file.write(json.dumps(made) + "\n")
    assert work(declare(trials=1), tmp_path) == 1
    assert not (tmp_path / "tiny/tuning/s/trials/dtc/7").exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.timeout(60)
def test_a_journal_that_is_no_regular_file_is_not_written(kind, known, tmp_path):
    journal = tmp_path / JOURNAL
    journal.parent.mkdir(parents=True)
    (tmp_path / "precious").write_bytes(b"no line feed at the end")
    if kind == "link":
        journal.symlink_to(tmp_path / "precious")
    else:
        os.mkfifo(journal) if kind == "pipe" else journal.mkdir()
    with pytest.raises(UserError, match=r"journal\.log: "):
        work(declare(), tmp_path)
    assert (tmp_path / "precious").read_bytes() == b"no line feed at the end"


# ---- torn lines ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [b"{", b'{"op_code":4,"wor', b"\0" * 4096, b"x" * 200_000])
def test_a_last_line_that_was_not_written_whole_is_cut_off(tail, journal, tmp_path, caplog):
    kept = journal.read_bytes()
    journal.write_bytes(kept + tail)
    assert len(rows(declare(trials=2), tmp_path)) == 2
    assert journal.read_bytes().startswith(kept)
    assert all(map(json.loads, journal.read_bytes().splitlines()))
    assert "its last line is not whole and is cut off" in caplog.text
    assert work(declare(trials=4), tmp_path) == 2


@pytest.mark.parametrize("lost", [1, 10, 40, 100, 101, 200])
def test_a_journal_that_lost_its_end_is_gone_on_with(lost, journal, tmp_path):
    """As after a power loss: the trials whose ends are lost are tried again."""
    values = rows(declare(trials=2), tmp_path)[["k", "weight", "validation_dice"]]
    journal.write_bytes(journal.read_bytes()[:-lost])
    work(declare(trials=2), tmp_path)
    assert rows(declare(trials=2), tmp_path)[["k", "weight", "validation_dice"]].equals(values)


def test_a_line_that_a_full_disk_tore_does_not_spoil_those_of_other_workers(
    known, tmp_path, monkeypatch
):
    study = declare(trials=2)
    lay_out_trials(study, tmp_path)
    one, other = (open_study(study, tmp_path)["dtc"] for _ in range(2))
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":8,"worker_id":"one","tri')  # then ENOSPC
    taken = other.take(other.waiting()[0])
    assert taken is not None
    assert [trial.state.name for trial in one.trials()] == ["RUNNING", "WAITING"]
    assert len(rows(study, tmp_path)) == 2


@pytest.mark.parametrize("content", [b"", b"a", b"\n", b"a\n", b"a\nb", b"\n\n", b"\na" * 9])
@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_the_end_of_the_last_line(content, step, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        assert _end_of_last_line(file, step) == content.rfind(b"\n") + 1


# ---- a moment's trouble --------------------------------------------------------------------------

TROUBLE = [
    OSError(errno.ENOSPC, "No space left on device", "history.csv"),
    OSError(errno.EIO, "Input/output error"),
    MemoryError(),
    RuntimeError("DataLoader worker is killed by signal: Killed"),
    UserError("model.pt: cannot be written (No space left on device)"),
    KeyboardInterrupt(),
    ConnectionError("the database went away"),
]


@pytest.mark.parametrize(
    ("trouble", "moment"),
    [*((it, "training") for it in TROUBLE), (TROUBLE[0], "looking")],
    ids=repr,
)
def test_what_is_not_the_settings_fault_is_tried_again(
    trouble, moment, known, tmp_path, monkeypatch
):
    usual, calls = worker.run_setting, []

    def once(study, row, settings, seeds, folder, results, look, keep):
        calls.append(settings)
        if len(calls) == 2:
            if moment == "training":
                raise trouble

            def look(step, dice):
                raise trouble

        return usual(study, row, settings, seeds, folder, results, look, keep)

    monkeypatch.setattr(worker, "run_setting", once)
    with pytest.raises(type(trouble)):
        work(declare(trials=3), tmp_path / "disturbed")
    work(declare(trials=3), tmp_path / "disturbed")
    monkeypatch.setattr(worker, "run_setting", usual)
    work(declare(trials=3), tmp_path / "undisturbed")
    found, wanted = (rows(declare(trials=3), tmp_path / it) for it in ("disturbed", "undisturbed"))
    columns = ["trial", "state", "k", "weight", "validation_dice", "reason"]
    assert found[columns].equals(wanted[columns])
    assert list(found["attempts"]) == [1, 2, 1]
    best = [
        best_overrides(declare(trials=3), open_study(declare(trials=3), tmp_path / it))
        for it in ("disturbed", "undisturbed")
    ]
    assert best[0] == best[1]


def test_a_setting_that_the_method_refuses_has_failed(known, tmp_path, monkeypatch):
    usual = worker.run_setting

    def refuses(study, row, settings, *rest):
        if len(known) == 1:
            known.append((row, settings))
            raise worker.Refused("scales: the network has 2")
        return usual(study, row, settings, *rest)

    monkeypatch.setattr(worker, "run_setting", refuses)
    assert work(declare(trials=3), tmp_path) == 3
    found = rows(declare(trials=3), tmp_path)
    assert list(found["state"] == "failed") == [False, True, False]
    assert found.loc[1, "reason"] == "scales: the network has 2"


def test_refused_is_what_cannot_be_made(prepared_results):
    from ssl_methods.tuning.objective import Refused, check_accepted

    search = {"urpc": {"search": {"scales": ["int", 1, 4]}}}
    study = declare(methods=search, network={"width": 2, "levels": 3})
    check_accepted(study, "urpc", {"scales": 2}, prepared_results)
    with pytest.raises(Refused, match="scales"):
        check_accepted(study, "urpc", {"scales": 4}, prepared_results)


# ---- passwords -----------------------------------------------------------------------------------


def test_the_verb_refuses_a_password_in_a_file(tmp_path, capsys):
    from support.studies import TINY

    from ssl_methods.files import write_yaml

    study = {"methods": ["dtc"], "validation_cases": 2, "storage": "postgresql://me:hush@host/db"}
    write_yaml(tmp_path / "e.yaml", TINY | {"studies": {"s": study}})
    assert main(["tune", str(tmp_path / "e.yaml"), "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "hush" not in said and "postgresql://me:***@host/db" in said and "PGPASSWORD" in said


@pytest.mark.parametrize("key", ["param_name", "datetime_start"])
def test_a_completed_trial_that_cannot_be_is_no_traceback(key: str, journal: Path, tmp_path: Path):
    lines = [json.loads(line) for line in journal.read_bytes().splitlines()]
    line = next(it for it in lines if it.get(key))
    if key == "param_name":
        line[key] = "another"
    else:  # the line by which it was begun
        lines.remove(line)
    journal.write_text("".join(json.dumps(it) + "\n" for it in lines))
    with pytest.raises(UserError, match="the storage is damaged: trial 0: ") as error:
        rows(declare(trials=2), tmp_path)
    assert str(error.value).isprintable()
