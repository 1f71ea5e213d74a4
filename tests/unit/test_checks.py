"""Every check of a method finds the fault that it is there for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ssl_methods import checks, methods
from ssl_methods.checks.check import Broken
from ssl_methods.checks.registry import in_one_line
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
        "        return terms if progress.t < 20 else {}\n",
        "returned nothing",
    ),
    "resumes_to_the_same_bits": (
        "Term(value, ",
        "Term(value * (1 + self.steps), ",
        "resumed, it ends with other weights",
    ),
    "is_documented": ('"of the average"', '""', "the setting 'decay' does not say what it is"),
    "moves_no_weight_twice": (
        "self.teacher = Teacher(self.network, config.decay)",
        "import copy; self.teacher = copy.deepcopy(self.network)\n"
        "        self.teacher.update_parameters = lambda student: [\n"
        "            mine.data.lerp_(his.data, 0.1) for mine, his in\n"
        "            zip(self.teacher.parameters(), student.parameters())]",
        "is trained by an optimiser and moved again by after_step: of a teacher",
    ),
    "is_finite_where_the_network_is_sure": (
        "value = (logits[2:].float().sigmoid() - guess).square().mean()",
        "p = logits[2:].float().sigmoid(); value = -(p * p.log()).mean()",
        "term 'consistency' is nan where probabilities are 0 and 1: clamp",
    ),
    "teaches_with_detached_targets": (
        "self.teacher(batch.unlabeled_images)",
        "self.network(batch.unlabeled_images)",
        "term 'consistency' has gradients through 2 passes of one network",
    ),
    "uses_the_unlabeled_images_that_it_weighs": (
        "uses_unlabeled = True",
        "uses_unlabeled = False",
        "no term has it, and no unlabeled image is given .* set uses_unlabeled = True",
    ),
}

PLANTED = {  # what is planted: before, after, a check that finds it, the line that is printed
    "a tensor": (
        "return terms\n",
        "return sum(term.value for term in terms.values())\n",
        "learns_one_batch",
        r"^loss\(\) returned a Tensor; return a dict of names .* \(own.py, line \d+\)$",
    ),
    "nothing": (
        "        return terms\n",
        "        return\n",
        "learns_one_batch",
        r"^loss\(\) returned nothing; return a dict .* \(own.py, line \d+\)$",
    ),
    "a term without a weight": (
        "= Term(value, unlabeled_weight(self.config, progress))",
        "= value",
        "learns_one_batch",
        r"^loss\(\): 'consistency' is a Tensor; give Term\(value, weight\)",
    ),
    "a number": (
        "Term(value, unlabeled",
        "Term(float(value), unlabeled",
        "learns_one_batch",
        r"^loss\(\): 'consistency' is a float; give Term\(value, weight\) of a tensor",
    ),
    "not reduced": (
        ".square().mean()",
        ".square()",
        "learns_one_batch",
        r"^loss\(\): term 'consistency' has shape \(2, 1, 16, 16, 16\); reduce it to one number",
    ),
    "all detached": (
        "return terms\n",
        "return {name: Term(term.value.detach(), 1.0) for name, term in terms.items()}\n",
        "learns_one_batch",
        r"^loss\(\): no term has a gradient; .* \(own.py, line \d+\)$",
    ),
    "targets not asked for": (
        "        return terms\n",
        "        batch.level_sets.float()\n        return terms\n",
        "learns_one_batch",
        r"^AttributeError: .* targets = frozenset\(\{'level_set'\}\) alone \(own.py, line \d+\)$",
    ),
    "nan when nothing is sure": (
        "value = (logits[2:].float().sigmoid() - guess).square().mean()",
        "value = (logits[2:].float().sigmoid() - guess)[guess > 2].square().mean()",
        "learns_one_batch",
        r"^term 'consistency' is nan at iteration 1 of 6$",
    ),
    "labels of unlabeled cases": (
        "guess = ",
        "batch.unlabeled_labels; guess = ",
        "learns_one_batch",
        r"^AttributeError: .* no attribute 'unlabeled_labels' \(own.py, line \d+\)$",
    ),
    "squeezed": (
        "return self.network(image)[0].float().sigmoid()",
        "return self.network(image)[0].float().sigmoid()[:, 0]",
        "predicts_probabilities",
        r"^has shape \(2, 16, 32, 16\), not \(2, 1, 16, 32, 16\)$",
    ),
    "three dimensions alone": (
        "guess = ",
        "logits.sum((2, 3, 4)); guess = ",
        "learns_one_batch",
        r"^IndexError: .* \(own.py, line \d+\)$",
    ),
    "a device by name": (
        "guess = ",
        "logits.to('cuda:7'); guess = ",
        "learns_one_batch",
        r"^\w+: .* \(own.py, line \d+\)$",
    ),
    "random numbers of its own": (
        "        if len(logits) > 2:\n",
        "        if len(logits) > 2:\n            import random\n"
        "            logits = logits * random.random()\n",
        "resumes_to_the_same_bits",
        r"^resumed, it ends with other weights$",
    ),
    "an unused head": (
        "self.network = make_network(1)",
        "self.network, self.unused = make_network(1), torch.nn.Linear(2, 2)",
        "trains_every_parameter",
        r"^no loss has a gradient for 'unused.weight'$",
    ),
    "a constant weight": (
        "unlabeled_weight(self.config, progress)",
        "0.1",
        "warms_up_as_the_settings_say",
        r"no weight begins at 0.0067",
    ),
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


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_said_in_plain_words(planted, own_method):
    before, after, check, line = PLANTED[planted]
    assert before in SOUND
    name = methods.register(own_method("own", SOUND.replace(before, after)))
    with pytest.raises(Exception) as raised:
        checks.CHECKS[check].holds(name)
    assert re.search(line, in_one_line(raised.value, methods.method_class(name)))


def test_what_is_not_asked_is_named_and_a_reason_is_said_once(own_method, capsys):
    """A supervised method without a teacher, whose loss is a tensor."""
    source = SOUND.replace("uses_unlabeled = True", "pass").replace(
        "self.teacher = Teacher(self.network, config.decay)", "self.teacher = None"
    )
    source = source.replace("self.teacher.update_parameters(self.network)", "pass")
    source = source.replace("RampedConfig", "MethodConfig")
    source = source.replace("return terms\n", "return sum(t.value for t in terms.values())\n")
    path = own_method("plain", source.replace("Deviations: none.", "My own."))
    assert main(["methods", "check", "plain", "--method-module", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(checks.CHECKS)
    said = "says uses_unlabeled = False"
    assert any(re.match(f"skipped learns from unlabeled images: it {said}", it) for it in lines)
    assert sum("returned a Tensor" in it for it in lines) == 1
    assert sum("for the same reason as 'learns one batch'" in it for it in lines) > 3
    assert "ok      is documented" in lines  # what nobody published deviates from nothing


def test_a_teacher_that_decays_to_nothing_is_found(own_method):
    """As in a public framework, where w' became a w', without the student's share."""
    decays = SOUND.replace(
        "self.teacher.update_parameters(self.network)",
        "[p.data.mul_(0.5) for p in self.teacher.parameters()]",
    )
    name = methods.register(own_method("decaying", decays))
    with pytest.raises(Broken, match="norm"):
        checks.CHECKS["teachers_follow_without_gradient"].holds(name)


@pytest.mark.system
def test_a_line_per_check_and_the_place_of_an_error(own_method, capsys):
    """The command, on a method without a fault and on one with two."""
    sound = own_method("sound", SOUND)
    assert main(["methods", "check", "sound", "--method-module", str(sound)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(checks.CHECKS)
    assert all(line.startswith("ok ") for line in lines)

    faulty = SOUND.replace('"of the average"', '""').replace(
        "return self.network(image)[0].float().sigmoid()", "return 1 / 0"
    )
    path = own_method("faulty", faulty)
    assert main(["methods", "check", "faulty", "--method-module", str(path)]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"^FAILED  is documented: the setting 'decay'", printed, re.M)
    line = faulty.splitlines().index("        return 1 / 0") + 1
    place = rf"\(faulty\.py, line {line}\)"
    assert re.search(rf"^FAILED  learns one batch: ZeroDivisionError: .* {place}$", printed, re.M)
    assert "Traceback" not in printed


@pytest.mark.system
def test_a_suite_of_ones_own_has_a_test_for_each_check(own_method, tmp_path):
    """As the how-to writes it, on a method with one fault."""
    own_method("planted", SOUND.replace('"of the average"', '""'))
    suite = re.findall(r"```python\n(from ssl_methods import checks\n.*?)```", PAGE, re.S)[0]
    named = suite.replace('"pseudo_label"', 'Path("planted.py")')
    assert named != suite
    (tmp_path / "test_planted.py").write_text("from pathlib import Path\n" + named)
    command = [sys.executable, "-m", "pytest", "-q", "-k", "predicts or documented or settles"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    title = "test_planted.py::test_every_method_can_do_this[planted-is_documented]"
    assert f"FAILED {title}" in done.stdout and "the setting 'decay' does" in done.stdout
    assert re.search(r"^1 failed, 2 passed", done.stdout, re.M), done.stdout
    with pytest.raises(UserError, match="no method 'plantd'"):
        checks.parametrize(["plantd"])
