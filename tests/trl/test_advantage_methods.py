"""Methods that change rewards and advantages, in training."""

from itertools import combinations
from types import SimpleNamespace

import pytest
import torch
from stepping import gradient, logged, naive_logits, weights
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntRLOOConfig, AEntRLOOTrainer

GRPO = (AEntGRPOTrainer, AEntGRPOConfig, GRPOTrainer, GRPOConfig)
RLOO = (AEntRLOOTrainer, AEntRLOOConfig, RLOOTrainer, RLOOConfig)
BOTH = pytest.mark.parametrize("kind", [GRPO, RLOO], ids=["grpo", "rloo"])

NEVER = {"low": 0.0, "low_end": 0.0, "high": 100.0, "high_end": 100.0}
OFF = [
    {"name": "unlikeliness", "b": 0.0},
    {"name": "entropy-advantage", "alpha": 0.0},
    {"name": "stare", "weight": 1.0, "target": 100.0},
    {"name": "stare", "weight": 2.0, "target": 0.0},
    {"name": "entrocraft", "steps": 3, **NEVER},
]
"""Methods switched off."""
ON = [
    {"name": "unlikeliness"},
    {"name": "pass-at-k", "k": 4},
    {"name": "w-reinforce"},
    {"name": "qae"},
    {"name": "entropy-advantage"},
    {"name": "stare", "weight": 2.0, "target": 100.0},
    {"name": "entrocraft", "steps": 20, "low": 4.2, "high": 4.2, "low_end": 3.8, "high_end": 3.8},
]
"""Methods that have something to do with a policy this flat (4 nats per token)."""


def rollout(trainer, rows):
    """One generation batch, scored, in the order in which it was rewarded."""
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    trainer.model.train()
    return trainer._generate_and_score_completions([trainer.train_dataset[i // 8] for i in range(rows)])


def name(method):
    return method["name"]


@pytest.fixture
def learning(options):
    """20 steps in which a policy learns what `reward` wants."""
    return options | {"max_steps": 20, "learning_rate": 1e-2, "per_device_train_batch_size": 32}


@BOTH
@pytest.mark.parametrize("method", OFF, ids=str)
def test_switched_off_is_bit_equal_to_trl(kind, method, build, options):
    trainer_class, config, parent, parent_config = kind
    ours = build(trainer_class, config, options, method=method)
    ours.train()
    theirs = build(parent, parent_config, options)
    theirs.train()
    assert torch.equal(weights(ours), weights(theirs))
    assert logged(ours, "loss") == logged(theirs, "loss")


@pytest.mark.parametrize("method", ON, ids=name)
def test_twenty_steps_of_grpo_learn(method, build, learning):
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, learning, method=method)
    trainer.train()
    earned = logged(trainer, "reward")
    assert sum(earned[-5:]) > sum(earned[:5])


@pytest.mark.parametrize("method", ON, ids=name)
def test_three_steps_of_rloo_are_not_plain_rloo(method, build, options):
    ours = build(AEntRLOOTrainer, AEntRLOOConfig, options, method=method)
    ours.train()
    theirs = build(RLOOTrainer, RLOOConfig, options)
    theirs.train()
    assert weights(ours).isfinite().all()
    assert not torch.equal(weights(ours), weights(theirs))


def test_entrocraft_pulls_entropy_to_its_band(build, learning):
    """Raising good completions alone sharpens the policy, suppressing bad ones alone does not."""
    ends = []
    for edge in (0.0, 100.0):  # always above the band: positives; always below: negatives
        band = dict.fromkeys(("low", "low_end", "high", "high_end"), edge)
        method = {"name": "entrocraft", "steps": 20, **band}
        trainer = build(AEntGRPOTrainer, AEntGRPOConfig, learning, method=method)
        trainer.train()
        assert logged(trainer, "aent/coef")[0] == 0  # nothing was measured yet
        ends.append(logged(trainer, "aent/entropy")[-1])
    positives, negatives = ends
    assert positives < negatives - 0.05


def by_hand_unlikeliness(seen):
    earned = seen.rewards.clone()
    for group, logp in zip(earned, seen.mean_logp.tolist(), strict=True):
        for i, reward in enumerate(group.tolist()):
            less_likely = sum(other < logp[i] for other in logp)
            group[i] = reward * (1 - 0.25 * less_likely / 8) if reward > 0.5 else reward
    return seen.baseline(earned)


def by_hand_pass_at_4(seen):
    right = (seen.rewards > 0.5).float()
    made = torch.zeros_like(right)
    for group, out in zip(right, made, strict=True):
        subsets = torch.tensor(list(combinations(range(8), 4)))
        earned = group[subsets].max(1).values
        normal = (earned - earned.mean()) / earned.std(correction=0)
        for i in range(8):
            out[i] = normal[(subsets == i).any(1)].mean() if earned.std() > 0 else 0.0
    return made


def by_hand_qae(seen):
    """K = 0.4 of 8 is 3.2: the fourth smallest."""
    return (seen.rewards - seen.rewards.sort(1).values[:, 3:4]) / (seen.rewards.std(1, keepdim=True) + 1e-4)


def by_hand_stare(seen):
    """The tenth of the good tokens with the lowest log-probability, doubled."""
    made = seen.plain.flatten()[:, None].repeat(1, seen.logp.size(1))
    good = (made > 0) & seen.mask.bool()
    lowest = seen.logp[good].sort().values[: -(-int(good.sum()) // 10)]
    return torch.where(good & torch.isin(seen.logp, lowest), 2 * made, made)


def by_hand_entropy_advantage(seen):
    plain = seen.plain.flatten()[:, None].expand_as(seen.entropy)
    return plain + torch.minimum(0.4 * seen.entropy, plain.abs() / 2)


BY_HAND = {
    "unlikeliness": by_hand_unlikeliness,
    "pass-at-k": by_hand_pass_at_4,
    "w-reinforce": lambda seen: torch.where(seen.rewards > 0.5, 0.1, -1.0),
    "qae": by_hand_qae,
    "entropy-advantage": by_hand_entropy_advantage,
    "stare": by_hand_stare,
    "entrocraft": lambda seen: seen.plain.clamp(min=0),  # the entropy is above its band
}


def score(model, inputs):
    """Log-probabilities and entropies of the completions, all logits held; and their mask."""
    policy = torch.distributions.Categorical(logits=naive_logits(model, inputs, 1.0))
    return policy.log_prob(inputs["completion_ids"]), policy.entropy(), inputs["completion_mask"].float()


@BOTH
@pytest.mark.parametrize("method", ON, ids=name)
def test_gradient_is_that_of_a_loss_written_by_hand(kind, method, build, options):
    """-A_t * log pi_t on fresh rollouts: averaged over tokens by GRPO, over completions by RLOO."""
    trainer_class, config, _, _ = kind
    options["generation_kwargs"] = {"eos_token_id": list(range(1, 9))}  # lengths differ
    trainer = build(trainer_class, config, options, method=method)
    if trainer.controller is not None:
        trainer.controller.coef = 1.0
    inputs = rollout(trainer, 16)
    ours = gradient(trainer, trainer._compute_loss(trainer.model, inputs))

    logp, entropy, mask = score(trainer.model, inputs)
    rewards = trainer._aent_rollouts.rewards[:, 0].view(2, 8)
    means = (logp.detach() * mask).sum(1) / mask.sum(1)

    def grpo(rewards):
        return (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)

    def rloo(rewards):
        return rewards - (rewards.sum(1, keepdim=True) - rewards) / 7

    baseline = grpo if kind is GRPO else rloo
    advantages = BY_HAND[name(method)](
        SimpleNamespace(
            rewards=rewards,
            mean_logp=means.view(2, 8),
            baseline=baseline,
            plain=baseline(rewards),
            logp=logp.detach(),
            entropy=entropy.detach(),
            mask=mask,
        )
    )
    if advantages.shape == rewards.shape:
        advantages = advantages.flatten()[:, None]
    assert advantages.unique().numel() > 2 or name(method) == "w-reinforce"
    loss = -(advantages * logp * mask).sum() / (mask.sum() if kind is GRPO else len(mask))
    by_hand = gradient(trainer, loss)
    assert by_hand.abs().max() > 1e-3  # the comparison has something to see
    torch.testing.assert_close(ours, by_hand, rtol=0, atol=1e-6)


def test_qae_with_the_median_of_symmetric_rewards_is_grpo(build, options):
    """Groups earn 0, 0.5 and 1, so that the median is the mean; GRPO clips at 0.28 too."""

    def thirds(completions, **_):
        return [i % 3 / 2 for i in range(len(completions))]

    options |= {"per_device_train_batch_size": 12, "num_generations": 3}
    method = {"name": "qae", "quantile": 0.5}
    ours = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=method, reward_funcs=thirds)
    ours.train()
    theirs = build(GRPOTrainer, GRPOConfig, options | {"epsilon_high": 0.28}, reward_funcs=thirds)
    theirs.train()
    assert ours.epsilon_high == 0.28
    assert torch.equal(weights(ours), weights(theirs))
