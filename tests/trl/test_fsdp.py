"""FSDP2 on two processes: the same steps as without sharding, the output layer sharded too."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def ranks(tmp_path_factory, launch):
    folder = tmp_path_factory.mktemp("fsdp")
    launch(Path(__file__).parent / "fsdp_ranks.py", folder)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_ranks_agree(ranks):
    assert ranks[0] == ranks[1]
    assert len(set(ranks[0]["sharded"]["coefs"])) == 3  # the controller moved at every step


@pytest.mark.parametrize(
    ("whole", "sharded"),
    [
        ("whole", "sharded"),
        ("whole, tied", "sharded, tied"),
        ("whole, several passes", "sharded, several passes"),
        ("whole", "sharded, checkpointed"),
    ],
)
def test_sharding_changes_nothing(whole, sharded, ranks):
    whole, sharded = ranks[0][whole], ranks[0][sharded]
    assert (whole["rows_of_the_head"], sharded["rows_of_the_head"]) == (96, 48)
    assert sharded["coefs"] == pytest.approx(whole["coefs"], abs=1e-6)
    assert sharded["losses"] == pytest.approx(whole["losses"], abs=1e-5)
    assert sharded["weights"] == pytest.approx(whole["weights"], abs=1e-5)


def test_a_sharded_run_resumes(ranks):
    whole, resumed = ranks[0]["sharded"], ranks[0]["sharded, resumed"]
    assert resumed == whole


def test_a_head_in_a_unit_of_its_own_is_refused(ranks):
    """TRL gathers it without summing its gradient over ranks: no error there, but another model."""
    assert "transformer_layer_cls_to_wrap" in ranks[0]["head alone"]
