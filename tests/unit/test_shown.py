"""What is shown has no control characters and no passwords."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import TINY

from ssl_methods.config import load_experiment
from ssl_methods.errors import UserError
from ssl_methods.shown import has_password, masked, printable
from ssl_methods.tuning.study import load_studies

URLS = {
    "postgresql://me:hush@host:5432/db": "postgresql://me:***@host:5432/db",
    "postgresql+psycopg://me:hush@host/db": "postgresql+psycopg://me:***@host/db",
    "postgresql://:hush@host/db": "postgresql://:***@host/db",
    "postgresql://me:hu/sh@host/db": "postgresql://me:***@host/db",
    "postgresql://me:hush@hush@host/db": "postgresql://me:***@host/db",
    "postgresql://me:hu%40sh@host/db": "postgresql://me:***@host/db",
    "postgresql://host/db?password=hush": "postgresql://host/db?password=***",
    "postgresql://me@host/db?a=1&PassWord=hush&b=2": "postgresql://me@host/db?a=1&PassWord=***&b=2",
    "postgresql://host/db?sslpassword=hush": "postgresql://host/db?sslpassword=***",
    "cannot reach postgresql://me:hush@host/db (5)": "cannot reach postgresql://me:***@host/db (5)",
}
PLAIN = [
    "journal", "sqlite:///a.db", "postgresql://me@host:5432/db", "postgresql://host/db?passfile=x",
    "see https://example.org:8080/a, or write to me@example.org", "a:b@c",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_a_password_is_masked(url):
    assert masked(url) == URLS[url]
    assert "hush" not in masked(url) and has_password(url)


@pytest.mark.parametrize("text", PLAIN)
def test_what_holds_none_is_as_it_was(text):
    assert masked(text) == text and not has_password(text)


@given(st.text(st.characters(blacklist_categories=["Z", "C"]), min_size=3).map("qq{}qq".format))
def test_no_password_gets_through(password):
    assert password not in masked(f"postgresql://me:{password}@host/db")


@given(st.text())
def test_what_is_printable_says_the_same(text):
    shown = printable(text, most=10**6)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize("url", [url for url in URLS if url.startswith("postgresql:")])
def test_a_study_refuses_it_and_an_experiment_that_holds_the_study_does_not_show_it(url):
    study = {"methods": {"dtc": {}}, "validation_cases": 2, "storage": url, "more": [{"x": url}]}
    experiment = load_experiment(TINY | {"studies": {"s": study}})
    assert "hush" not in experiment.model_dump_json()
    assert "hush" not in str(experiment.model_dump())
    assert experiment.model_dump()["studies"]["s"]["storage"] == URLS[url]
    del study["more"]
    with pytest.raises(UserError, match=r"holds a password.*PGPASSWORD") as error:
        load_studies(TINY | {"studies": {"s": study}})
    assert "hush" not in str(error.value)


def test_an_error_about_another_key_shows_none_either():
    url = "postgresql://me:hush@host/db"
    for wrong in ({"baseline": url}, {"recipe": url}, {"training": {"device": url}}):
        with pytest.raises(UserError) as error:
            load_experiment(TINY | wrong)
        assert "hush" not in str(error.value)


def test_a_fault_that_quotes_a_file_can_be_shown():
    fault = str(UserError("a: '\x1b[2J\u202e\u2028'\nb: '\ud800'"))
    assert fault.splitlines() == ["a: '\\x1b[2J\\u202e\\u2028'", "b: '\\ud800'"]
    assert printable("x" * 5000, 10) == "x" * 10 + "..."
