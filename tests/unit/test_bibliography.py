"""Papers and their entries: every method that names a paper has one."""

import ast
import re
from pathlib import Path

import pytest
from support import simulated

from ssl_methods import methods
from ssl_methods.analysis.bibliography import FILE, bibliography, cited, papers

WITHOUT = {"empty", "mean_shape"}
METHODS = [name for name in methods.names() if methods.modules()[name].startswith("ssl_methods.")]


def document(method: str) -> str:
    path = Path(methods.__file__).parent / f"{method}.py"
    return " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_with_a_paper_has_an_entry_that_its_file_names(method):
    found = papers(method)
    if method in WITHOUT:
        assert "there is no paper" in document(method) and not found
        return
    assert found
    text = document(method)
    if method == "supervised_all":
        text = document("supervised")
    for entry in found:
        family = entry.fields["author"].split(",")[0]
        assert family in text and entry.fields["year"] in text, entry.key


def test_each_entry_is_of_some_method_or_network():
    known = {*METHODS, "network:vnet", "network:unet"}
    for entry in bibliography().values():
        assert set(entry.fields["keywords"].split(", ")) <= known, entry.key


def test_entries_are_whole_and_keys_are_unique():
    heads = re.findall(r"^@(\w+)\{([a-z0-9]+),$", FILE.read_text(), re.M)
    assert [key for _, key in heads] == list(bibliography()) == sorted(bibliography())
    for kind, key in heads:
        fields = bibliography()[key].fields
        where = {"article": "journal", "inproceedings": "booktitle"}[kind]
        assert {"author", "title", "year", "keywords", where} == set(fields), key


@pytest.mark.parametrize(
    ("key", "short"),
    [
        ("luo2021dtc", "Luo et al., 2021"),
        ("tarvainen2017meanteacher", "Tarvainen & Valpola, 2017"),
        ("sohn2020fixmatch", "Sohn et al., 2020"),
    ],
)
def test_a_citation_in_words(key, short):
    assert bibliography()[key].short == short


def test_an_experiment_cites_its_methods_and_its_network():
    keys = [entry.key for entry in cited(simulated.experiment(methods=["dtc", "empty"]))]
    assert keys == ["luo2021dtc", "milletari2016vnet"]
