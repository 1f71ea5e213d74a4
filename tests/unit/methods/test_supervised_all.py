"""supervised_all: supervised, with every training label."""

import json
import shutil

import pytest
import torch

from ssl_methods import methods
from ssl_methods.methods.supervised import Supervised
from ssl_methods.training.train import train


@pytest.fixture
def trained(tmp_path, prepared_results, experiment):
    """Trains a method on the six tiny cases and returns its folder."""
    shutil.copytree(prepared_results, tmp_path / "results")

    def one(name, budget):
        declared = experiment(methods=[name], budgets=[budget])
        folder = tmp_path / f"{name}-{budget}"
        train(declared.run(name, declared.budgets[0], 0, 0), tmp_path / "results", folder)
        return folder

    return one


def test_it_trains_on_every_label_whatever_the_budget(trained):
    split = json.loads((trained("supervised_all", 2) / "provenance.json").read_text())["split"]
    assert len(split["labeled"]) == 6 and split["unlabeled"] == []


def test_where_all_are_labeled_it_is_supervised_bit_for_bit(trained):
    weights = [
        torch.load(trained(name, "all") / "model.pt", weights_only=True)
        for name in ("supervised", "supervised_all")
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_it_is_a_bound_with_the_settings_of_supervised():
    kind = methods.method_class("supervised_all")
    assert kind.role == "bound" and not kind.uses_unlabeled
    assert kind.Config is Supervised.Config
