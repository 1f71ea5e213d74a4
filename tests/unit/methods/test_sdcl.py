"""SDCL: its corrections against their formulas, its stages, its two students."""

import math

import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.parts.copy_paste import Mix
from ssl_methods.methods.sdcl import SDCLConfig, uncertainty
from ssl_methods.training.loop import step


def make(name="sdcl", network="vnet", **settings):
    torch.manual_seed(0)
    chosen = NetworkConfig(name=network, width=2, levels=2, dropout=0.0)
    return methods.create(name, network=chosen, **settings)


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 1, 8, 8, 8, generator=g) > 0.7).float()
    images = torch.randn(4, 1, 8, 8, 8, generator=g)
    return Batch(images[:2], labels, images[2:])


class Says(torch.nn.Module):
    """The same logits, whatever the image."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits).reshape(-1, 1, 1, 4))

    def forward(self, images):
        return [self.logits]


def test_corrections_voxel_by_voxel():
    """Two mixed images of four voxels; the last two of the first are guessed, of weight 0.5."""
    method = make()
    method.network = Says([3.0, -1.0, 2.0, 4.0], [1.0, 1.0, 1.0, 1.0])
    method.second = Says([2.0, 1.0, -2.0, 4.0], [1.0, 1.0, 1.0, 1.0])  # agrees in the second
    known = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(1, 4)
    mixes = tuple(Mix(torch.tensor([0]), torch.tensor([0]), r) for r in (known, 1 - known))
    labels, guesses = torch.ones(1, 1, 1, 4), torch.zeros(1, 1, 1, 4)
    images = torch.zeros(2, 1, 1, 4)
    terms = method.on_mixed(images, mixes, labels, guesses, 0.5)

    def p(z):
        return 1 / (1 + math.exp(-z))

    # They differ at the second voxel, whose label is 1, and at the third, whose guess is 0.
    errors = [(p(-1) - 1) ** 2 + 0.5 * p(2) ** 2, (p(1) - 1) ** 2 + 0.5 * p(-2) ** 2]
    assert float(terms["review"].value.detach()) == pytest.approx(sum(errors) / 2)
    # The first student is wrong at both, the second at neither.
    certain = [-(math.log(p(z)) + math.log(p(-z))) / 2 for z in (1, 2)]
    expected = (certain[0] + 0.5 * certain[1]) / 2
    assert float(terms["rectify"].value.detach()) == pytest.approx(expected)
    assert (terms["review"].weight, terms["rectify"].weight) == (0.5, 0.05)


def test_errors_are_made_less_certain_and_nothing_else_is():
    z = torch.tensor([-1e4, -3.0, 0.0, 2.0, 1e4], requires_grad=True)
    uncertainty(z).sum().backward()
    assert float(uncertainty(z).min().detach()) == pytest.approx(math.log(2))
    assert z.grad.isfinite().all() and (z.grad.sign() == z.detach().sign()).all()


def test_what_it_adds_to_copy_paste_is_a_second_student_and_the_corrections(batch):
    """Without the corrections, each student's terms are those of `bcp` with it as the network."""
    method, alone = make(ce_weight=0.0).eval(), make("bcp", ce_weight=0.0).eval()
    for t in (0, 9):
        torch.manual_seed(1)
        terms = method.loss(batch, Progress(t, 10))
        total = {}
        for student in (method.network, method.second):
            alone.network, alone.teacher = student, method.teacher
            torch.manual_seed(1)
            for name, term in alone.loss(batch, Progress(t, 10)).items():
                total[name] = total.get(name, 0) + term.value
        corrections = {"review", "rectify"} if t else set()
        assert terms.keys() - total.keys() == corrections
        for name, value in total.items():
            torch.testing.assert_close(terms[name].value, value)


def test_the_teacher_follows_the_first_student_from_stage_two_on(batch):
    method = make(pretraining=0.5)
    optimizers = method.optimizers(TrainingConfig(learning_rate=0.1))
    start = next(method.teacher.parameters()).clone()
    for t in range(4):
        step(optimizers, batch, Progress(t, 8))
        method.after_step(Progress(t, 8))
        as_before = torch.equal(next(method.teacher.parameters()), start)
        assert as_before == (t < 3)
    assert torch.equal(next(method.teacher.parameters()), next(method.network.parameters()))


def test_the_mean_of_both_students_predicts(batch):
    method = make().eval()
    p1, p2 = (f(batch.unlabeled_images)[0].sigmoid() for f in (method.network, method.second))
    torch.testing.assert_close(method.predict(batch.unlabeled_images), (p1 + p2) / 2)


def test_students_of_one_kind_are_refused():
    with pytest.raises(UserError, match=r"sdcl\.partner is network\.name"):
        make(network="unet")


def test_the_released_loop():
    loop = SDCLConfig.released_training(TrainingConfig())
    assert (loop.optimizer, loop.learning_rate, loop.weight_decay) == ("adam", 0.001, 0.0)
    assert (loop.labeled_batch, loop.unlabeled_batch) == (4, 4)
    assert (loop.learning_rate_schedule, loop.flip_axes, loop.rotate) == ("constant", (), False)
