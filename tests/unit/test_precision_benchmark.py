"""The benchmark of precision: its roundings, its draws, and what follows from what it measured."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks import precision
from benchmarks.page import MEASURED
from benchmarks.same_draws import SameDraws
from ssl_methods import methods
from ssl_methods.config import FASTEST_FIRST, rounds_more


def test_tf32_keeps_ten_bits_of_mantissa():
    """By arithmetic: the nearest multiple of 2^(e - 10), a half away from zero."""
    random = np.random.default_rng(0)
    values = (random.normal(size=1000) * 10.0 ** random.integers(-8, 8, 1000)).astype(np.float32)
    values[:3] = [0.0, 1 + 2**-11, -(1 + 2**-11)]
    rounded = precision.tf32_rounded(torch.from_numpy(values)).numpy().astype(float)
    for value, found in zip(values.astype(float), rounded, strict=True):
        unit = 2.0 ** (math.frexp(value)[1] - 1 - 10)
        whole = math.floor(abs(value) / unit + 0.5) * unit
        assert found == math.copysign(whole, value)
    assert precision.tf32_rounded(torch.tensor([1e-3], dtype=torch.float64)).item() == 1e-3


def test_products_are_of_rounded_numbers_forward_and_back():
    x = torch.randn(1, 2, 6, 6, 6, requires_grad=True)
    weight = torch.randn(3, 2, 3, 3, 3, requires_grad=True)
    with precision.RoundedProducts():
        y = functional.conv3d(x, weight)
        y.square().sum().backward()
    rounded = [precision.tf32_rounded(it.detach()).requires_grad_() for it in (x, weight)]
    expected = functional.conv3d(*rounded)
    torch.testing.assert_close(y, expected, rtol=1e-6, atol=1e-6)
    above = precision.tf32_rounded(2 * y.detach())
    grads = torch.autograd.grad(expected, rounded, above)
    for own, other in zip((x.grad, weight.grad), grads, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)
    assert not torch.equal(y, functional.conv3d(x, weight))


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_draws_are_the_same_in_every_precision_and_layout(kind):
    @torch.no_grad()  # as a teacher's: dropout then comes as one operation
    def drawn(dtype, layout):
        like = torch.zeros(2, 3, 4, 5, 6, dtype=dtype).to(memory_format=layout)
        torch.manual_seed(3)
        return [
            torch.randn_like(like),
            torch.empty_like(like).uniform_(-1, 1),
            functional.dropout3d(torch.ones_like(like), 0.5),
            torch.native_dropout(torch.ones_like(like), 0.5, True)[0],
            torch.rand(7, dtype=dtype),
            torch._sample_dirichlet(torch.ones(4, 2, dtype=dtype)),  # what Beta draws
            torch.randperm(5),
        ]

    with SameDraws():
        exact = drawn(torch.float32, torch.contiguous_format)
        other = drawn(kind, torch.channels_last_3d)
    for expected, found in zip(exact, other, strict=True):
        assert found.dtype == (kind if expected.is_floating_point() else expected.dtype)
        assert torch.equal(expected.to(found.dtype), found)


def test_cosine_and_error_by_hand():
    exact = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert precision.compared(2 * exact, exact) == pytest.approx((1, 1))
    assert precision.compared(torch.tensor([4.0, -3.0]).double(), exact) == pytest.approx(
        (0, math.sqrt(2))
    )
    assert precision.compared(torch.tensor([float("nan"), 1.0]).double(), exact) == (-1, math.inf)


@pytest.mark.parametrize(
    ("cosines", "expected"),
    [
        ((1.0, 0.999, 0.995, 0.991), "bfloat16"),
        ((1.0, 0.999, 0.995, 0.98), "bfloat16, heads float32"),
        ((1.0, 0.99, 0.98, 0.98), "TF32"),
        ((1.0, 0.98, 0.5, -1.0), "float32"),
        ((0.97, 0.98, 0.5, 0.1), "float32"),
    ],
)
def test_enough_is_the_fastest_that_keeps_the_direction(cosines, expected):
    assert precision.enough(dict(zip(precision.PRECISIONS, cosines, strict=True))) == expected


@pytest.mark.system
def test_the_tiny_form_measures_every_term(tmp_path, monkeypatch, capsys):
    path = tmp_path / "rows.json"
    other = {"method": "cps", "term": "dice", "after": 1}  # measured earlier
    path.write_text(json.dumps([other, {"method": "dtc", "term": "gone", "after": 9}]))
    monkeypatch.setattr(precision, "show", lambda rows, _: None)
    argv = ["precision", "--tiny", "--methods", "dtc", "dan", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", argv)
    precision.main()
    rows = json.loads(path.read_text())
    assert other in rows
    gaps = [row["method"] for row in rows if row["term"] is None]
    assert "supervised" in gaps and not {"cps", "dtc", "dan", "empty"} & set(gaps)
    rows = [row for row in rows if row.get("enough")]
    found = {(row["method"], row["term"]) for row in rows}
    assert found == {
        *(("dtc", term) for term in ("cross_entropy", "dice", "level_set", "consistency")),
        *(("dan", term) for term in ("cross_entropy", "dice", "adversarial", "discriminator")),
    }
    for row in rows:
        assert row["float32: cosine"] > 0.999
        assert row["float32: error"] < row["bfloat16: error"]
    rounded = [row["bfloat16: cosine"] for row in rows if row["term"] == "consistency"]
    assert max(rounded) < 0.9  # of T⁻¹ at k = 1500


def measured(where):
    path = MEASURED / where / "precision.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    return [row for row in rows if row["term"]]


def methods_measured():
    return sorted({(it, row["method"]) for it in ("", "gpu") for row in measured(it)})


@pytest.mark.parametrize(("where", "name"), methods_measured())
def test_what_a_method_asks_for_is_what_was_measured(where, name):
    """The fastest that keeps every term's direction after the warm-up: after the last steps.

    Rounded on a CPU, and TF32 as a GPU computes it.
    """
    asked = {"TF32": "tf32", "float32": "float32"}
    own = [row for row in measured(where) if row["method"] == name]
    last = max(row["after"] for row in own)
    needed = [asked.get(row["enough"], "bfloat16") for row in own if row["after"] == last]
    most = max(needed, key=FASTEST_FIRST.index)
    assert not rounds_more(methods.method_class(name).least_precision, most)
