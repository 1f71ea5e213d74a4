"""Memory: how weights lie in it, and whether what was freed stays."""

import copy
import ctypes
import subprocess
import sys

import pytest
import torch

from ssl_methods.checks.materials import make
from ssl_methods.devices.placement import channels_last, place

CPU = torch.device("cpu")

FAULTS = """
import resource, sys, torch
from ssl_methods.devices.claim import claim

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(16 * 2**20)  # 64 MB, and freed
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
with claim("cpu"):
    faults()
    print(given_back, faults())
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt"
)
def test_freed_memory_is_kept_on_the_cpu():
    """The kernel counts the pages that it maps anew."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    given_back, kept = map(int, done.stdout.split())
    assert given_back >= 10 * 32  # in pages of up to 2 MB
    assert kept < given_back / 10


def test_layout_follows_the_rule():
    assert channels_last((32, 48, 32)) and not channels_last((32, 32))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_layout_changes_values_by_rounding_alone(dimensions):
    method = make("dtc", dimensions=dimensions).eval()
    patch = (16,) * dimensions
    placed = place(copy.deepcopy(method), patch, CPU)
    weight = placed.network.encoder.blocks[1][0].weight
    if dimensions == 3:
        assert weight.is_contiguous(memory_format=torch.channels_last_3d)
        assert not weight.is_contiguous()
    torch.manual_seed(0)
    images = torch.randn(2, 1, *patch)
    torch.testing.assert_close(placed.predict(images), method.predict(images), atol=1e-4, rtol=0)
