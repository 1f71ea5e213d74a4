"""Each `as_released` step is that of the released code, and of the formulas written afresh.

``methods/released.json`` holds what lines of the released code gave for the inputs of
``support/released_steps.py``: the loss, and the gradient's components along four directions.
"""

import pytest
import torch
from support.released_steps import FORMULAS, projections, restated, step

from ssl_methods import methods

MEASURED = methods.beside_released_code()
SAME = 1e-5  # relative: rounding of float32, summed in another order


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", FORMULAS)
def test_the_step_is_that_of_the_formulas_and_of_the_released_code(name):
    loss, gradient = step(name)
    expected_loss, expected_gradient = restated(name)
    assert relative(loss, expected_loss) < SAME
    assert relative(gradient, expected_gradient) < SAME

    released = MEASURED[name]
    assert relative(loss.double(), torch.tensor(released["loss"]).double()) < 1e-4
    components = torch.tensor(projections(gradient))
    assert relative(components, torch.tensor(released["gradient"])) < 1e-3
    assert released["loss_difference"] < SAME and released["gradient_difference"] < SAME
    for other in released.get("otherwise", []):
        difference = relative(loss.double(), torch.tensor(other["loss"]).double())
        assert difference == pytest.approx(other["loss_difference"], rel=0.05)


def test_every_method_is_measured_or_says_why_not():
    assert MEASURED.keys() == FORMULAS.keys()
    for entry in methods.describe():
        measured, said = entry["beside_released_code"], " ".join(entry["deviations"])
        if measured is None and entry["role"] != "control":
            assert "released code" in said or "Those of" in said, entry["name"]
        assert entry["deviations"] or entry["role"] == "control", entry["name"]


def test_deviations_are_whole_sentences_of_the_file():
    (first, *_) = methods.deviations("dtc")
    assert first.startswith("The paper's eq. 2 has sigmoid(k z)") and "\n" not in first
    assert methods.deviations("empty") == []
