"""The page of speed shows what was measured, and says so where nothing was."""

import json

import pytest

from benchmarks import page
from benchmarks.bars import BARS, Bar
from benchmarks.timing import alternate, ratio

OVERHEAD = Bar("overhead", "step", {"device": "cpu"}, "%", at_most=5)
FASTER = Bar("faster", "step", {}, "times", at_least=15)


@pytest.mark.parametrize(
    ("bar", "rows", "value", "met"),
    [
        (OVERHEAD, [{"device": "cpu", "%": 4.0}, {"device": "cuda", "%": 9.0}], 4.0, "yes"),
        (OVERHEAD, [{"device": "cpu", "%": 4.0}, {"device": "cpu", "%": 6.0}], 6.0, "no"),
        (OVERHEAD, [{"device": "cpu", "%": 4.0}, {"device": "cpu", "%": None}], None, "unknown"),
        (OVERHEAD, [{"device": "cuda", "%": 4.0}], None, "unknown"),
        (FASTER, [{"times": 20.0}, {"times": 14.0}], 14.0, "no"),
        (FASTER, [{"times": 20.0}, {"times": 15.0}], 15.0, "yes"),
        (FASTER, [], None, "unknown"),
        (FASTER, [{"times": [20, 16, 25]}, {"times": [17, 16, 18]}], [17, 16, 18], "yes"),
        (FASTER, [{"times": [20, 16, 25]}, {"times": [17, 14, 18]}], [17, 14, 18], "unclear"),
        (FASTER, [{"times": [12, 10, 14]}], [12, 10, 14], "no"),
        (FASTER, [{"times": [17, None, None]}], [17, None, None], "yes"),
    ],
)
def test_the_worst_row_is_held_against_the_bar(bar, rows, value, met):
    judged = bar.judged(rows)
    assert (judged["measured"], judged["met"]) == (value, met)


def test_every_bar_is_about_a_benchmark_and_is_on_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MEASURED", tmp_path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "reference" / "performance.md")
    rows = [
        {"kind": kind, "MedPy / ASD and 95HD": 21.3}
        for kind in ("as of a network", "made to be hard")
    ]
    (tmp_path / "metrics.json").write_text(json.dumps(rows))
    page.main()
    written = page.PAGE.read_text()
    assert {bar.benchmark for bar in BARS} <= set(page.names())
    for bar in BARS:
        (line,) = [line for line in written.splitlines() if line.startswith(f"| {bar.what} |")]
        expected = "21.3 | yes |" if bar.benchmark == "metrics" else "not measured | unknown |"
        assert line.endswith(expected)
    assert "On a machine that is not recorded.\n\n| kind |" in written


def test_alternatives_take_turns_and_the_first_call_of_each_does_not_count():
    now, called = [0.0], []
    costs = {"slow": iter([100, 5, 7, 6]), "fast": iter([100, 1, 30, 2])}

    def candidate(name):
        def run():
            called.append(name)
            now[0] += next(costs[name])

        return run

    found = alternate({name: candidate(name) for name in costs}, 3, clock=lambda: now[0])
    assert called == ["slow", "fast"] * 4
    assert found == {"slow": [5, 7, 6], "fast": [1, 30, 2]}


def test_a_ratio_is_of_the_same_round_so_that_what_slows_both_cancels():
    machine = [1, 5, 2, 9, 3, 4, 8, 7, 6]
    first = [3 * slow for slow in machine]
    assert ratio(first, machine) == pytest.approx((3, 3, 3))
    assert ratio(first, machine).percent_above_one() == pytest.approx((200, 200, 200))


def test_the_interval_of_the_median_is_of_order_statistics():
    # Of 9 values, P(the 2nd is above the median) = 10 / 512: 2nd to 8th cover it at 96 %.
    assert ratio([9, 1, 8, 2, 7, 3, 6, 4, 5], [1] * 9) == (5, 2, 8)
    assert ratio([1, 2, 3, 4, 5], [1] * 5) == (3, None, None)  # all five: 94 %
