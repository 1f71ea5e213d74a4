"""Tests that only a GPU can answer; without one they are skipped by name.

``SSL_METHODS_REHEARSE=1`` runs them on the CPU instead, which shows that they run, not more.
"""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture
def device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if os.environ.get("SSL_METHODS_REHEARSE"):
        return torch.device("cpu")
    pytest.skip("needs a GPU")
