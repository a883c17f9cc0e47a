"""benchmarks/evidence/real.py: what is kept of a run, and the difference from plain GRPO by hand."""

import json

import pytest


@pytest.fixture
def real(script):
    return script("real")


def row(policy, seed, correct, strict):
    return {
        "policy": policy,
        "training_seed": seed,
        "task": "words",
        "samples": 4,
        "correct": correct,
        "strict_correct": strict,
    }


def test_methods_are_paired_on_the_seeds_that_both_have(real):
    """Of 4 answers to each of two problems, 2 are right with plain GRPO and 3 with sac on its seed."""
    rows = [
        {"policy": "start", "task": "words", "samples": 4},
        row("sac-9-steps", 0, [4, 4], [4, 4]),
        row("sac-9-steps", 1, [3, 3], [1, 1]),
        row("none-9-steps", 1, [2, 2], [2, 2]),
    ]
    assert real.table(rows).splitlines()[2:] == [
        "| none-9-steps | 1 | 0.500 | 0.500 |",
        "| sac-9-steps | 0, 1 | 0.875 (+0.250 [+0.250, +0.250]) | 0.625 (-0.250 [-0.250, -0.250]) |",
    ]


def test_every_row_of_the_file_can_be_read(real):
    rows = [json.loads(line) for line in real.RESULTS.read_text().splitlines()]
    assert "| none-100-steps | 1 | 0.867 | 0.846 |" in real.table(rows)
