"""The precision of a training: how it is resolved, recorded, and what evaluation is in."""

import json
import shutil

import pytest
import torch
from torch.backends import cuda, cudnn

from ssl_methods.config import FASTEST_FIRST, rounds_more
from ssl_methods.devices.precision import autocast, resolve, tf32
from ssl_methods.errors import UserError
from ssl_methods.evaluation.inference import Predictor
from ssl_methods.training.train import train

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("least", FASTEST_FIRST)
def test_auto_is_what_the_method_asks_for_on_a_gpu_and_float32_on_the_cpu(least):
    assert resolve("auto", least, CUDA) == least
    assert resolve("auto", least, CPU) == "float32"


@pytest.mark.parametrize("asked", FASTEST_FIRST)
def test_an_explicit_choice_is_taken_though_it_be_less_than_the_method_asks_for(asked):
    assert resolve(asked, "float32", CUDA) == asked
    assert rounds_more(asked, "float32") == (asked != "float32")
    assert not rounds_more("float32", asked)


def test_tf32_needs_a_gpu():
    with pytest.raises(UserError, match="'tf32', which needs a GPU"):
        resolve("tf32", "bfloat16", CPU)


def test_autocast_is_of_bfloat16_alone():
    x, layer = torch.rand(1, 1, 4, 4, 4), torch.nn.Conv3d(1, 1, 3)
    for precision in FASTEST_FIRST:
        with autocast(precision, CPU):
            kind = layer(x).dtype
        assert kind == (torch.bfloat16 if precision == "bfloat16" else torch.float32)


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_set_for_both_and_put_back(allowed):
    before = cudnn.allow_tf32, cuda.matmul.allow_tf32
    with pytest.raises(KeyError), tf32(allowed):
        assert (cudnn.allow_tf32, cuda.matmul.allow_tf32) == (allowed, allowed)
        raise KeyError
    assert (cudnn.allow_tf32, cuda.matmul.allow_tf32) == before


def test_windows_are_predicted_without_tf32(experiment):
    """In a validation too, which interrupts a training that may have it on."""
    seen = []

    def predict(patches):
        seen.append(cudnn.allow_tf32 or cuda.matmul.allow_tf32)
        return patches.sigmoid()

    image = torch.rand(1, 20, 20, 16).numpy()
    with tf32(True):
        Predictor(predict, (16, 16, 16), 1, experiment().evaluation, CPU).labels(image)
        assert cudnn.allow_tf32
    assert seen and not any(seen)


@pytest.mark.parametrize("asked", ["auto", "float32", "bfloat16"])
def test_a_run_records_what_it_was_computed_in(
    experiment, prepared_results, tmp_path, monkeypatch, asked
):
    results = shutil.copytree(prepared_results, tmp_path / "results")
    seen, original = [], torch.nn.Conv3d.forward

    def forward(self, x):
        output = original(self, x)
        seen.append((output.dtype, cudnn.allow_tf32))
        return output

    monkeypatch.setattr(torch.nn.Conv3d, "forward", forward)
    training = {"iterations": 2, "patch_size": [16, 16, 16], "device": "cpu", "precision": asked}
    run = experiment(training=training, methods=["dtc"]).run("dtc", 2, 0, 0)
    train(run, results, tmp_path / "run")
    computed = "bfloat16" if asked == "bfloat16" else "float32"
    assert set(seen) == {(getattr(torch, computed), False)}
    for name in ("cost.json", "provenance.json"):
        record = json.loads((tmp_path / "run" / name).read_text())
        assert record["precision"] == computed
        assert record["least_precision"] in FASTEST_FIRST
