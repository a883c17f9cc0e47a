"""Two processes must take the same steps."""

import json
from pathlib import Path

import pytest
import torch
from stepping import naive_logits

from aent.methods.pass_at_k import pass_at_k_advantages
from aent.methods.unlikeliness import unlikely_rewards

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def results(tmp_path_factory, launch):
    folder = tmp_path_factory.mktemp("ranks")
    launch(HERE / "two_ranks.py", folder)
    return {f.stem: json.loads(f.read_text()) for f in folder.glob("*.json")}


@pytest.mark.parametrize("kind", ["grpo", "rloo"])
def test_two_gloo_ranks_hold_the_same_coefficient_and_weights(kind, results):
    first, second = results[f"{kind}-0"], results[f"{kind}-1"]
    assert first["coef"] == second["coef"] != 0.01
    assert first["weights"] == second["weights"]
    assert first["tokens"] == second["tokens"]
    assert len(set(first["coefs"])) == 3


@pytest.fixture(scope="module")
def one_group(results):
    """What one process would see of a group that was split over the ranks."""

    def one_group(kind):
        ranks = [results[f"{kind}-{rank}"]["first"] for rank in (0, 1)]
        assert ranks[0]["rewards"] == ranks[1]["rewards"]
        advantages = torch.tensor([ranks[0]["advantages"] + ranks[1]["advantages"]])
        return torch.tensor([ranks[0]["rewards"]]), advantages, ranks

    return one_group


@pytest.mark.parametrize("kind", ["pass-at-k", "unlikeliness", "stare"])
def test_two_ranks_that_share_a_group_take_the_same_steps(kind, results):
    first, second = results[f"{kind}-0"], results[f"{kind}-1"]
    assert first["weights"] == second["weights"]
    assert first["first"]["completion_ids"] != second["first"]["completion_ids"]


def test_pass_at_k_over_two_ranks_is_that_of_one_process(one_group):
    rewards, advantages, _ = one_group("pass-at-k")
    assert rewards.shape == (1, 8)
    assert 0 < (rewards > 0.5).sum() < 8
    torch.testing.assert_close(advantages, pass_at_k_advantages(rewards > 0.5, 3))


def test_unlikeliness_over_two_ranks_is_that_of_one_process(one_group, make_model):
    """One model scores the completions of both ranks; RLOO's baseline is the mean of the other seven."""
    rewards, advantages, ranks = one_group("unlikeliness")
    model, means = make_model(), []
    for rank in ranks:
        seen = {name: torch.tensor(values) for name, values in rank.items()}
        with torch.no_grad():
            logits = naive_logits(model, seen, 1.0)
        logp = logits.log_softmax(-1).gather(-1, seen["completion_ids"][..., None])[..., 0]
        mask = seen["completion_mask"]
        means.append((logp * mask).sum(1) / mask.sum(1))
    earned = unlikely_rewards(rewards, torch.cat(means)[None], 1.0, 0.5)
    assert not torch.equal(earned, rewards)
    expected = earned - (earned.sum(1, keepdim=True) - earned) / 7
    torch.testing.assert_close(advantages, expected, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory, launch):
    folder = tmp_path_factory.mktemp("ranks")
    launch(HERE / "two_ranks_ppo.py", folder)
    return {f.stem: json.loads(f.read_text()) for f in folder.glob("*.json")}


@pytest.mark.parametrize("critic", ["own", "shared"])
def test_two_ranks_of_ppo_hold_the_same_weights_and_whiten_together(critic, two_ranks):
    first, second = two_ranks[f"{critic}-0"], two_ranks[f"{critic}-1"]
    assert first["tokens"] != second["tokens"]  # the ranks saw different rollouts
    assert first["weights"] == second["weights"]
    assert first["critic"] == second["critic"]
    assert any(w != 0 for w in first["critic"][-2:])
    assert first["value_loss"] == second["value_loss"]
    for here, there in zip(first["advantages"], second["advantages"], strict=True):
        together = torch.tensor(here + there)
        assert together.mean().item() == pytest.approx(0, abs=1e-5)
        assert together.std().item() == pytest.approx(1, abs=1e-4)
        assert torch.tensor(here).mean().abs() > 1e-3  # not each rank by itself
