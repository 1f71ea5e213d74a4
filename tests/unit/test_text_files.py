"""Text, YAML and JSON that others wrote: what is read, and one line for whatever cannot be."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ssl_methods import yaml_core
from ssl_methods.config import read_yaml
from ssl_methods.errors import UserError
from ssl_methods.files import read_json, read_text, write_yaml

ROOT = Path(__file__).parents[2]


def one_line(read, path: Path) -> str:
    """Whatever is wrong is one line that begins with the file's name."""
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- encodings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_is_utf_8_whatever_the_locale_and_its_mark_is_dropped(tmp_path, mark):
    path = tmp_path / "a.yaml"
    path.write_bytes(mark + "a: Überblick".encode())
    code = f"from ssl_methods.config import read_yaml; from pathlib import Path; \
print(ascii(read_yaml(Path({str(path)!r}))))"
    for locale in ("C", "POSIX", "en_US.ISO-8859-1"):
        environment = os.environ | {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == ascii({"a": "Überblick"})


def test_other_encodings_are_named(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes("a: 1\nb: é".encode("latin-1"))
    assert "not UTF-8 (byte 0xe9 in line 2)" in one_line(read_yaml, path)
    path.write_bytes("a: 1".encode("utf-16"))
    assert "UTF-16" in one_line(read_yaml, path)


def test_what_is_no_regular_file_is_never_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "pipe" in one_line(read_text, pipe)
    assert "device" in one_line(read_text, Path("/dev/zero"))
    assert "directory" in one_line(read_text, tmp_path)
    assert "No such file" in one_line(read_text, tmp_path / "absent")


def test_a_huge_file_is_not_taken_into_memory(tmp_path):
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse
    tracemalloc.start()
    assert "larger than 8 MB" in one_line(read_yaml, path)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_every_text_file_is_opened_with_its_encoding():
    """In the package, the benchmarks and the rules; ruff's PLW1514 sees only what it can type."""
    named = {"read_text": 0, "write_text": 1, "open": 1}
    rules = [*(ROOT / "workflow" / "rules").glob("*.smk"), ROOT / "Snakefile"]
    for path in rules:
        assert ".read_text()" not in path.read_text() and "open(" not in path.read_text(), path
    for path in [*(ROOT / "ssl_methods").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in named or any(it.arg == "encoding" for it in node.keywords):
                continue
            modes = [it.value for it in node.args if isinstance(it, ast.Constant)]
            owner = ast.unparse(node.func.value)
            binary = any(isinstance(mode, str) and "b" in mode for mode in modes)
            if node.func.attr == "open" and (
                binary
                or owner in {"Image", "os", "Store", "cls", "archive"}
                or "ab" in ast.unparse(node)
            ):
                continue
            raise AssertionError(f"{path}:{node.lineno}: {ast.unparse(node)}: without encoding")


# ---- YAML ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        (".5", 0.5),
        ("010", 10),
        ("0o10", 8),
        ("0x1f", 31),
        ("1_000", 1000),
        ("1:30", "1:30"),
        ("2018-01-01", "2018-01-01"),
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("~", None),
        ("null", None),
        ("", None),
        ("'1e-3'", "1e-3"),
        ("1.0", 1.0),
        ("dtc", "dtc"),
    ],
)
def test_words_mean_what_they_look_like(word, meaning):
    found = yaml_core.load(f"a: {word}")["a"]
    assert found == meaning and type(found) is type(meaning)
    if not word.startswith("'"):
        assert yaml_core.word(word) == meaning and type(yaml_core.word(word)) is type(meaning)


def test_keys_are_text():
    assert yaml_core.load("{4: a, 1.0: b, on: c, true: d}") == {
        "4": "a",
        "1.0": "b",
        "on": "c",
        "true": "d",
    }


texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]))
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(texts, plain, max_size=3))
def test_what_is_written_is_read_again_by_this_and_by_pyyaml(data):
    text = yaml_core.dump(data)
    assert yaml_core.load(text) == data
    assert yaml.safe_load(text) == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "levels deep"),
        ("{a: " * 5_000 + "}" * 5_000, "levels deep"),
        ("\n".join(" " * i + "a:" for i in range(3_000)), "levels deep"),
        ("- " * 20_000, "levels deep"),
        ("a: &x [*x]", "values"),
        (
            "\n".join(
                f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9) if i else 1}]" for i in range(12)
            ),
            "values",
        ),
        ("a: 1\nb: 2\na: 3", "key 'a' is given twice, in lines 1 and 3"),
        ("t: {b: 1, 'b': 2}", "key 'b' is given twice"),
        ("4: 1\n'4': 2", "key '4' is given twice"),
        ("? [a]\n: 1", "a key must be a word"),
        ("a\x00b: 1", "control characters"),
        ("a: " + "9" * 5_000, "a number of 5000 characters"),
        ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("a: !!timestamp 2018-13-45", "month"),
        ("a: !!int x", "not valid YAML"),
        ("a: [1", "not valid YAML"),
        ("- a", "expected 'key: value' lines"),
        ("", "expected 'key: value' lines"),
    ],
)
def test_bad_yaml_is_one_line(tmp_path, text, message):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert message in one_line(read_yaml, path)


def test_what_yaml_has_for_repetition_still_works():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]"
    data = yaml_core.load(text)
    assert data["b"] == {"x": 1, "y": 3}
    assert data["c"] == [{"x": 1, "y": 2}] * 2


def test_records_keep_text_that_looks_like_something_else(tmp_path):
    data = {"digest": "1234567890123456", "other": "12345e7890123456", "name": "on", "e": 1e-5}
    write_yaml(tmp_path / "a.yaml", data)
    assert read_yaml(tmp_path / "a.yaml") == data


# ---- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": NaN}', "[Infinity]", "9" * 10_000, "{", "", "\x00"]
)
def test_bad_json_is_one_line(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    assert "is not valid JSON" in one_line(read_json, path)


def test_json_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": "é"}, ensure_ascii=False).encode())
    assert read_json(path) == {"a": "é"}
