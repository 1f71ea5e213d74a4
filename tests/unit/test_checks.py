"""Every check of a method finds the fault that it is there for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ssl_methods import checks, methods
from ssl_methods.checks.check import Broken
from ssl_methods.cli import main
from ssl_methods.errors import UserError

PAGE = (Path(__file__).parents[2] / "docs/how-to/add-a-method.md").read_text()

SOUND = '''"""A mean teacher, written plainly.

Deviations: none.
"""
import torch
from ssl_methods.config import RampedConfig, setting
from ssl_methods.methods.base import Method, Term, unlabeled_weight
from ssl_methods.methods.parts.teacher import Teacher


class Settings(RampedConfig):
    decay: float = setting(0.9, "of the average")


class Own(Method):
    Config = Settings
    uses_unlabeled = True

    def __init__(self, config, make_network):
        super().__init__(config, make_network)
        self.network = make_network(1)
        self.teacher = Teacher(self.network, config.decay)
        self.steps = 0

    def loss(self, batch, progress):
        (logits,) = self.network(self.images(batch))
        terms = self.segmentation_terms(logits[:2], batch.labels)
        if len(logits) > 2:
            guess = self.teacher(batch.unlabeled_images)[0].float().sigmoid()
            value = (logits[2:].float().sigmoid() - guess).square().mean()
            terms["consistency"] = Term(value, unlabeled_weight(self.config, progress))
        return terms

    def after_step(self, progress):
        self.steps += 1
        self.teacher.update_parameters(self.network)

    def predict(self, image):
        return self.network(image)[0].float().sigmoid()
'''

FAULTS = {  # check: what the sound method has, what the faulty one has in its place, the reason
    "learns_one_batch": ("batch.labels)\n", "1 - batch.labels)\n", "cross-entropy .* went from"),
    "predicts_probabilities": (
        "return self.network(image)[0].float().sigmoid()",
        "return self.network(image)[0].float()",
        "not within 0 and 1",
    ),
    "learns_from_unlabeled_images": (
        "(logits[2:].float()",
        "(logits[2:].detach().float()",
        "term 'consistency' has no gradient",
    ),
    "ignores_unlabeled_images_at_weight_0": (
        "self.images(batch)",
        "torch.cat([batch.labeled_images, batch.unlabeled_images])",
        "other unlabeled images",
    ),
    "trains_where_all_cases_are_labeled": (
        "if len(logits) > 2:",
        "if self.wants_unlabeled:",
        "term 'consistency' is nan at iteration 1 of 4",
    ),
    "trains_in_bfloat16": ("guess = ", "logits.detach().numpy(); guess = ", "BFloat16"),
    "trains_every_parameter": (
        "self.steps = 0",
        "self.steps, self.forgotten = 0, make_network(1)",
        "no loss has a gradient for 'forgotten.",
    ),
    "teachers_follow_without_gradient": (
        "self.teacher.update_parameters(self.network)",
        "pass",
        "is what it was before",
    ),
    "is_restored_from_its_state_dict": (
        "return self.network(image)[0].float().sigmoid()",
        "return self.network(image)[0].float().sigmoid() * (0.5 if self.steps else 1)",
        "not in the state dict",
    ),
    "warms_up_as_the_settings_say": (
        "unlabeled_weight(self.config, progress)",
        "self.config.weight",
        "no weight begins at 0.0067",
    ),
    "settles_the_released_loop": (
        '"of the average")',
        '"of the average")\n\n    @classmethod\n    def released_training(cls, training):\n'
        '        return training.model_copy(update={"labeled_batch": 1 + training.labeled_batch})',
        "released_training is not idempotent",
    ),
    "goes_through_the_training_loop": (
        "        return terms\n",
        "        return terms if batch.level_sets.any() else {}\n",
        "'NoneType'",
    ),
    "resumes_to_the_same_bits": (
        "Term(value, ",
        "Term(value * (1 + self.steps), ",
        "resumed, it ends with other weights",
    ),
    "is_documented": ("Deviations", "Differences", "no 'Deviations'"),
}


@pytest.fixture
def own_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a method of one's own, and forgets it afterwards."""
    monkeypatch.setattr(methods.PLUGINS, "own", {})

    def write(name: str, source: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        return path

    return write


def test_every_check_is_tested():
    assert set(FAULTS) == set(checks.CHECKS)


@pytest.mark.parametrize("check", FAULTS)
def test_a_fault_is_found(check, own_method):
    before, after, reason = FAULTS[check]
    assert before in SOUND
    name = methods.register(own_method(f"faulty_{check}", SOUND.replace(before, after)))
    with pytest.raises(Exception, match=reason):
        checks.CHECKS[check].holds(name)


def test_a_teacher_that_decays_to_nothing_is_found(own_method):
    """As in a public framework, where w' became a w', without the student's share."""
    decays = SOUND.replace(
        "self.teacher.update_parameters(self.network)",
        "[p.data.mul_(0.5) for p in self.teacher.parameters()]",
    )
    name = methods.register(own_method("decaying", decays))
    with pytest.raises(Broken, match="norm"):
        checks.CHECKS["teachers_follow_without_gradient"].holds(name)


def test_a_line_per_check_and_the_place_of_an_error(own_method, capsys):
    """The command, on a method without a fault and on one with two."""
    sound = own_method("sound", SOUND)
    assert main(["methods", "check", "sound", "--method-module", str(sound)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(checks.CHECKS)
    assert all(line.startswith("ok ") for line in lines)

    faulty = SOUND.replace("Deviations", "Differences").replace(
        "return self.network(image)[0].float().sigmoid()", "return 1 / 0"
    )
    path = own_method("faulty", faulty)
    assert main(["methods", "check", "faulty", "--method-module", str(path)]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"^FAILED  is documented: .*Deviations", printed, re.M)
    line = faulty.splitlines().index("        return 1 / 0") + 1
    place = rf"\(faulty\.py, line {line}\)"
    assert re.search(
        rf"^FAILED  predicts probabilities: ZeroDivisionError: .* {place}$", printed, re.M
    )
    assert "Traceback" not in printed


def test_a_suite_of_ones_own_has_a_test_for_each_check(own_method, tmp_path):
    """As the how-to writes it, on a method with one fault."""
    own_method("planted", SOUND.replace("Deviations", "Differences"))
    suite = re.findall(r"```python\n(from ssl_methods import checks\n.*?)```", PAGE, re.S)[0]
    named = suite.replace('"pseudo_label"', 'Path("planted.py")')
    assert named != suite
    (tmp_path / "test_planted.py").write_text("from pathlib import Path\n" + named)
    command = [sys.executable, "-m", "pytest", "-q", "-k", "predicts or documented or settles"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    title = "test_planted.py::test_every_method_can_do_this[planted-is_documented]"
    assert f"FAILED {title}" in done.stdout and "no 'Deviations'" in done.stdout
    assert re.search(r"^1 failed, 2 passed", done.stdout, re.M), done.stdout
    with pytest.raises(UserError, match="no method 'plantd'"):
        checks.parametrize(["plantd"])
