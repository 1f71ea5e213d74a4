"""empty: the control that finds nothing."""

import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import TrainingConfig
from ssl_methods.evaluation.metrics import case_metrics


@pytest.mark.parametrize(("classes", "dimensions"), [(1, 3), (3, 2)])
def test_no_foreground_on_any_image(classes, dimensions):
    method = methods.create("empty", classes=classes, dimensions=dimensions)
    image = torch.full((2, 4, *(5, 6, 7)[:dimensions]), 1e6, dtype=torch.bfloat16)
    probability = method.predict(image)
    assert probability.shape == (2, classes, *image.shape[2:])
    assert probability.dtype == torch.float32 and not probability.any()


def test_there_is_nothing_to_train_or_to_restore():
    method = methods.create("empty")
    assert method.optimizers(TrainingConfig()) == [] and method.state_dict() == {}
    assert method.role == "control" and method.whole_image


def test_what_it_scores_is_the_worst_there_is():
    label = torch.zeros(6, 8, 4, dtype=torch.bool)
    label[2:4, 3:5, 1:3] = True
    found = methods.create("empty").predict(torch.zeros(1, 1, *label.shape))[0, 0] > 0.5
    measured = case_metrics(found.numpy(), label.numpy(), (1.0, 1.0, 1.0), 1.0)
    assert measured["dice"] == 0 and measured["empty_prediction"]
    assert measured["hd95_voxel"] == pytest.approx((6**2 + 8**2 + 4**2) ** 0.5)
