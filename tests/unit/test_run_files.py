"""Damaged records: a reader gives what is right, or one line that names the file."""

import json
import os
import struct
import zipfile
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import simulated

from ssl_methods.analysis.collect import collect
from ssl_methods.analysis.run_files import (
    cases_with_stacks,
    read_cases_of_run,
    read_cost,
    read_history,
    read_provenance,
    read_run_record,
    read_slice,
    read_snapshots,
    read_split,
    read_stack,
)
from ssl_methods.analysis.table_files import SUMS, no_formula, read_table, write_table
from ssl_methods.errors import UserError

READERS = {
    "cases.csv": read_cases_of_run,
    "cost.json": read_cost,
    "history.csv": read_history,
    "provenance.json": read_provenance,
    "run.yaml": read_run_record,
    "snapshots.csv": read_snapshots,
    "split.json": read_split,
    "summary.csv": read_table,
}


def all_of(path):
    """Everything that is read of a ``slices.npz``."""
    for case in cases_with_stacks(path):
        read_stack(path, case)
    return read_slice(path, "case_000")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of every record of one run."""
    results = tmp_path_factory.mktemp("results")
    declared = simulated.collected(
        results, methods=["dtc"], budgets=[4], subsets=1, test_cases=3, classes=("a", "b")
    )
    folder = results / next(declared.runs()).folder
    snapshots = "iteration,validation_dice,case,class,dice\n5,,case_000,a,0.5\n10,0.5,b,a,\n"
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    found |= {
        "snapshots.csv": snapshots.encode(),
        "split.json": next(results.rglob("splits/*.json")).read_bytes(),
        "summary.csv": (results / "simulated/tables/summary.csv").read_bytes(),
    }
    return found


@pytest.mark.parametrize("name", [*READERS, "slices.npz"])
def test_what_is_whole_is_read(good, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(good[name])
    (READERS | {"slices.npz": all_of})[name](path)


def mutated(data, content: bytes) -> bytes:
    """A few bytes replaced, put in, taken out or cut off."""
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, max(len(content) - 1, 0)))
        length = data.draw(st.integers(0, 6) | st.integers(0, len(content)))
        put = data.draw(st.binary(max_size=6) | st.sampled_from(ODD))
        content = content[:start] + put + content[start + length :]
    return content


ODD = [
    b"[", b"{", b'"', b"\n", b"\r", b"\0", b"-1", b"1e999", b"NaN", b"null", b",,", b"\xff", b"=",
    b"&a [*a]", b"!!python/name:os.system", b"9" * 400, b"\xef\xbb\xbf", b"PK\x05\x06",
]  # fmt: skip


@pytest.mark.parametrize("name", [*READERS, "slices.npz"])
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_damage_is_one_line_that_names_the_file(good, name, tmp_path, data):
    path = tmp_path / name
    path.write_bytes(mutated(data, good[name]))
    try:
        (READERS | {"slices.npz": all_of})[name](path)
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 600


@pytest.mark.parametrize("name", [name for name in READERS if not name.startswith("summary")])
def test_a_file_without_end_is_not_read_to_its_end(name, tmp_path):
    with (tmp_path / name).open("wb") as file:
        os.truncate(file.fileno(), 10 << 30)  # a hole: takes no room
    with pytest.raises(UserError, match=r"is larger than \d+ MB"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["folder", "pipe", "absent"])
def test_what_is_no_file_is_never_waited_for(name, kind, tmp_path):
    path = tmp_path / name
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "absent": lambda: None}[kind]()
    with pytest.raises(UserError, match=name):
        READERS[name](path)


@pytest.mark.parametrize("name", ["cost.json", "provenance.json", "run.yaml"])
def test_nesting_has_an_end(name, tmp_path):
    aliases = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))
    bombs = ['{"a": ' * n + "1" + "}" * n for n in (60, 5000)]
    if name == "run.yaml":
        bombs.append(f"a0: &a0 [1]\n{aliases}")
    for bomb in bombs:
        (tmp_path / name).write_text(bomb)
        with pytest.raises(UserError, match=name):
            READERS[name](tmp_path / name)


@pytest.mark.parametrize(
    "text", ['"x"', "true", "-1", "1e999", "NaN", "[1]", "{}", "9" * 400], ids=lambda text: text[:9]
)
def test_a_cost_that_is_no_amount_is_refused(text, good, tmp_path):
    cost = json.loads(good["cost.json"]) | {"train_seconds": "HERE"}
    (tmp_path / "cost.json").write_text(json.dumps(cost).replace('"HERE"', text))
    with pytest.raises(UserError, match="train_seconds is not a number that is not negative"):
        read_cost(tmp_path / "cost.json")


@pytest.mark.parametrize(
    ("column", "text"),
    [("dice", "1.2"), ("dice", "-0.1"), ("jaccard", "inf"), ("asd_mm", "-1"), ("hd95_mm", "0x1"),
     ("empty_reference", "Falsf"), ("empty_prediction", ""), ("class", ""), ("class", "a\u2028b"),
     ("case", "\t=1"),
     ("nsd_1mm", "2")],
)  # fmt: skip
def test_a_measurement_that_cannot_be_is_refused(column, text, good, tmp_path):
    cases = pd.read_csv(BytesIO(good["cases.csv"]), dtype=str)
    cases.loc[1, column] = text
    cases.to_csv(tmp_path / "cases.csv", index=False)
    with pytest.raises(UserError, match=f"line 3, {column} is .*; evaluate it again"):
        read_cases_of_run(tmp_path / "cases.csv")


# ---- slices --------------------------------------------------------------------------------------


def npy(array=None, header: bytes | None = None) -> bytes:
    buffer = BytesIO()
    np.save(buffer, np.zeros((4, 5)) if array is None else array, allow_pickle=True)
    content = buffer.getvalue()
    if header is None:
        return content
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content[128:]


def archive(path, **arrays: bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("image", "label", "prediction"):
            file.writestr(f"a.{name}.npy", arrays.get(name, npy(np.zeros((4, 5), np.uint8))))


SAID = "{{'descr': '<f8', 'fortran_order': False, 'shape': {}, }}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(np.array([object()], object)), "holds no numbers"),
        (npy(np.array(["text"])), "holds no numbers"),
        (npy(np.zeros((2, 3, 4, 5))), "no image of 2 axes"),
        (npy(np.full((4, 5), np.nan)), "finite"),
        (npy(np.zeros((0, 5))), "not as large as its header says"),
        (npy(header=SAID.format("(1000000, 1000000)").encode()), "not as large as its header"),
        (npy(header=SAID.format(f"({2**62}, 8)").encode()), "not as large as its header"),
        (npy(header=SAID.format("(-4, -5)").encode()), "not as large as its header"),
        (npy(header=SAID.format("__import__('os')").encode()), "cannot be read"),
        (npy(header=b"(" * 9000), "cannot be read"),
        (npy()[:100], "cannot be read"),
        (b"", "cannot be read"),
        (npy(np.zeros((5, 4))), "no label of the image's shape"),
        (bytes(65 << 20), "would be 65 MiB large"),
    ],
)  # fmt: skip
def test_an_array_is_what_its_header_says(content, message, tmp_path):
    archive(tmp_path / "slices.npz", image=content)
    with pytest.raises(UserError, match=rf"slices\.npz: .*{message}.*; evaluate it again"):
        read_slice(tmp_path / "slices.npz", "a")


def test_labels_hold_classes(tmp_path):
    for label in (np.full((4, 5), -1), np.full((4, 5), 300), np.zeros((4, 5))):
        archive(tmp_path / "slices.npz", label=npy(label))
        with pytest.raises(UserError, match=r"'a\.label'"):
            read_slice(tmp_path / "slices.npz", "a")


def test_an_archive_that_lies_about_its_sizes_does_not_grow(tmp_path):
    """The directory says 1000 bytes, the data would be 60 MiB."""
    archive(tmp_path / "slices.npz", image=bytes(60 << 20))
    content = (tmp_path / "slices.npz").read_bytes()
    size, lie = struct.pack("<L", 60 << 20), struct.pack("<L", 1000)
    assert content.count(size) >= 2
    (tmp_path / "slices.npz").write_bytes(content.replace(size, lie))
    with pytest.raises(UserError, match="cannot be read"):
        read_slice(tmp_path / "slices.npz", "a")


def test_a_flipped_bit_is_noticed_by_its_checksum(good, tmp_path):
    path = tmp_path / "slices.npz"
    content = bytearray(good["slices.npz"])
    place = content.index(b"case_000.label.npy") + 1000
    content[place] ^= 4
    path.write_bytes(content)
    with pytest.raises(UserError, match="CRC"):
        read_slice(path, "case_000")


# ---- collect -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("cost.json", b"[]", "train the run again, or remove the file"),
        ("cost.json", b'{"parameters": -5}', "parameters is not a number"),
        ("cases.csv", b"", "evaluate it again"),
        ("cases.csv", b"case,class\n", "has no column 'dice'"),
        ("run.yaml", b"method_settings: [" + b"[" * 3000, "run.yaml"),
        ("split", b'{"labeled": 5}', "draw the splits again"),
        ("split", b"\xff", "draw the splits again"),
    ],
)  # fmt: skip
def test_collect_names_the_file_and_what_makes_it_anew(name, content, remedy, tmp_path):
    declared = simulated.experiment(methods=["dtc"], budgets=[4], subsets=1)
    simulated.write_results(declared, tmp_path, test_cases=3)
    folder = tmp_path / next(declared.runs()).folder
    path = next(tmp_path.rglob("splits/*.json")) if name == "split" else folder / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=remedy) as found:
        collect(declared, tmp_path)
    assert str(path) in str(found.value)


def test_a_class_called_as_the_mean_is_refused(tmp_path):
    declared = simulated.experiment(methods=["dtc"], budgets=[4], subsets=1)
    simulated.write_results(declared, tmp_path, test_cases=3, classes=("mean", "other"))
    with pytest.raises(UserError, match="a class is called 'mean'"):
        collect(declared, tmp_path)


def test_a_table_that_was_changed_is_noticed_until_collect_writes_it_again(tmp_path):
    declared = simulated.collected(tmp_path, methods=["dtc"], budgets=[4], subsets=1, test_cases=3)
    folder = tmp_path / "simulated" / "tables"
    names = {line.split("  ")[1] for line in (folder / SUMS).read_text().splitlines()}
    assert names == {path.name for path in folder.glob("*.csv")}
    path = folder / "summary.csv"
    path.write_text(path.read_text().replace("dtc", "dtb"))
    with pytest.raises(UserError, match=r"summary\.csv: is not as 'collect' wrote it"):
        read_table(path)
    collect(declared, tmp_path)
    assert read_table(path)["method"].tolist() == ["dtc"]


# ---- formulas ------------------------------------------------------------------------------------

FORMULAS = [
    "=1+1",
    "+A1",
    "-A1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1",
    "'=1",
    "''-x",
    "--1",
]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=8) | st.sampled_from(FORMULAS))
def test_a_name_is_no_formula_and_comes_back(text):
    written = no_formula(text)
    assert written == text or written == f"'{text}"
    if written == text:
        harmless = not text or text[0] not in "=@\t\r\n+-"
        assert harmless or float(text) < 1e999


def test_names_in_tables_are_no_formulas_and_numbers_stay(tmp_path):
    names = [*(name for name in FORMULAS if "\r" not in name), "plain", "-1.5", "+2e3", "'quoted"]
    frame = pd.DataFrame({"class": names, "difference": np.linspace(-1, 1, len(names))})
    write_table(tmp_path / "t.csv", frame)
    back = read_table(tmp_path / "t.csv")
    assert back["class"].tolist() == names
    assert np.allclose(back["difference"], frame["difference"], atol=1e-5)
    raw = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    dangerous = [cell for cell in raw["class"] if cell[0] in "=+-@\t\r\n\uff1d"]
    assert dangerous == ["-1.5", "+2e3"] and raw["difference"][0] == "-1"


def test_formulas_of_runs_stand_in_no_table(tmp_path):
    names = ('=HYPERLINK("http://evil","x")', "+tumour|a")
    simulated.collected(
        tmp_path, methods=["dtc", "supervised"], budgets=[4], subsets=2, test_cases=3, classes=names
    )
    for path in (tmp_path / "simulated/tables").glob("*.csv"):
        raw = pd.read_csv(path, dtype=str, keep_default_na=False)
        if "class" in raw and len(raw):
            assert {f"'{name}" for name in names} <= set(raw["class"]), path.name
            assert set(names) <= set(read_table(path)["class"])
    text = (tmp_path / "simulated/tables/summary.md").read_text()
    assert r"| +tumour\|a |" in text
