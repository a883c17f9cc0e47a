"""Settings every test needs before a library is imported."""

import os

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    CI="1",  # TRL sends no telemetry in CI
)

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_cache_of_the_user(monkeypatch, tmp_path_factory):
    """Policies made in tests stay out of the user's cache."""
    monkeypatch.setenv("AENT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
