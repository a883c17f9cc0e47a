"""Two processes must take the same steps."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    script = Path(__file__).parent / "two_ranks.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*command, str(script), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return {f.stem: json.loads(f.read_text()) for f in folder.glob("*.json")}


@pytest.mark.parametrize("kind", ["grpo", "rloo"])
def test_two_gloo_ranks_hold_the_same_coefficient_and_weights(kind, results):
    first, second = results[f"{kind}-0"], results[f"{kind}-1"]
    assert first["coef"] == second["coef"] != 0.01
    assert first["weights"] == second["weights"]
    assert first["tokens"] == second["tokens"]
    assert len(set(first["coefs"])) == 3
