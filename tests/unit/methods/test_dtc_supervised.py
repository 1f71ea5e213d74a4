"""dtc_supervised: the loss of dtc without unlabeled images."""

from dataclasses import replace

import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.training.loop import weighted_sum


def loss_and_gradients(name, batch):
    torch.manual_seed(0)
    method = methods.create(name, network=NetworkConfig(width=2, levels=2), k=20.0)
    terms = method.loss(batch, Progress(7, 10))
    weighted_sum(terms).backward()
    return terms, [p.grad for p in method.parameters()]


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 1, 8, 8, 8, generator=g) > 0.7).float()
    images = torch.randn(4, 1, 8, 8, 8, generator=g)
    return Batch(images[:2], labels, images[2:], 1 - 2 * labels)


def test_is_dtc_without_unlabeled_images_bit_for_bit(batch):
    terms, gradients = loss_and_gradients("dtc_supervised", batch)
    alone = replace(batch, unlabeled_images=batch.unlabeled_images[:0])
    expected_terms, expected = loss_and_gradients("dtc", alone)
    assert terms == expected_terms and "consistency" in terms
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))
    with_unlabeled, _ = loss_and_gradients("dtc", batch)
    assert with_unlabeled["consistency"].value != terms["consistency"].value


def test_adds_consistency_to_sdf_multitask(batch):
    """Its supervised terms, and one that has a gradient of its own."""
    torch.manual_seed(0)
    method = methods.create("sdf_multitask", network=NetworkConfig(width=2, levels=2))
    supervised = method.loss(batch, Progress(7, 10))
    terms, _ = loss_and_gradients("dtc_supervised", batch)
    assert set(terms) - set(supervised) == {"consistency"}
    assert all(torch.equal(terms[name].value, term.value) for name, term in supervised.items())
