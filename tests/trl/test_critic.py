"""The critic's loss, its gradient, and that it learns."""

import pytest
import torch
from critic_steps import gradients, naive_values, randomise_head
from stepping import logged, rollout
from trl import GRPOTrainer

from aent.trl.critic import Critic
from aent.trl.ppo import OLD_VALUES, RETURNS

BOTH = pytest.mark.parametrize("critic", ["own", "shared"])


def test_the_head_starts_at_0_and_reads_the_state_before_each_token(make_model):
    policy = make_model()
    critic = Critic(policy, own=True)
    hidden = torch.randn(2, 6, 32)
    assert torch.equal(critic(hidden, 3), torch.zeros(2, 3))
    torch.nn.init.normal_(critic.head.weight)
    expected = hidden[:, 2:5] @ critic.head.weight[0]  # tokens 3 to 5 of 6
    torch.testing.assert_close(critic(hidden, 3), expected)
    assert all(p is not q for p, q in zip(critic.body.parameters(), policy.model.parameters(), strict=True))
    assert Critic(policy, own=False).body is None


def test_it_joins_an_optimizer_once_and_leaves_its_bias_without_decay(make_model):
    critic = Critic(make_model(), own=False)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    for _ in range(2):
        critic.join(optimizer, decaying={"head.weight"}, lr=0.5, weight_decay=0.1)
    decaying, plain = optimizer.param_groups[1:]
    assert decaying["params"] == [critic.head.weight]
    assert (decaying["lr"], decaying["weight_decay"]) == (0.5, 0.1)
    assert plain["params"] == [critic.head.bias]
    assert (plain["lr"], plain["weight_decay"]) == (0.5, 0.0)


@BOTH
def test_the_critics_gradient_is_that_of_its_loss(critic, ppo):
    """1/2 max of clipped and plain squared error, mean over tokens; a shared body learns from it too."""
    trainer = ppo(critic=critic, value_coef=0.7, value_clip=0.05, ends=True)
    inputs = rollout(trainer, 16)
    randomise_head(trainer)  # after the rollouts, so that values have moved by more than the clip
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    got = gradients(trainer.critic), gradients(trainer.model)
    trainer.critic.zero_grad()
    trainer.model.zero_grad()
    plain = GRPOTrainer._compute_loss(trainer, trainer.model, inputs)
    values, old, target = naive_values(trainer, inputs), inputs[OLD_VALUES], inputs[RETURNS]
    near = old + (values - old).clamp(-0.05, 0.05)
    errors = torch.maximum((values - target) ** 2, (near - target) ** 2)
    mask = inputs["completion_mask"]
    value = 0.5 * (errors * mask).sum() / mask.sum()
    (plain + 0.7 * value).backward()
    torch.testing.assert_close(loss, plain + 0.7 * value, rtol=0, atol=1e-6)
    assert got[0].abs().max() > 1e-3
    torch.testing.assert_close(got[0], gradients(trainer.critic), rtol=0, atol=1e-5)
    torch.testing.assert_close(got[1], gradients(trainer.model), rtol=0, atol=1e-5)
    assert trainer._metrics["train"]["ppo/value_loss"][-1] == pytest.approx(value.item(), abs=1e-5)
    assert 0 < trainer._metrics["train"]["ppo/value_clip_ratio"][-1] <= 1


def test_accumulation_does_not_change_the_critics_gradient(ppo):
    found = []
    for steps in (1, 2):
        cut = {"gradient_accumulation_steps": steps, "per_device_train_batch_size": 16 // steps}
        trainer = ppo(**cut, value_clip=1e9, ends=True)
        torch.manual_seed(0)
        rollout(trainer, 16)
        randomise_head(trainer)
        for inputs in trainer._buffered_inputs:
            trainer._compute_loss(trainer.model, inputs).backward()
        found.append(gradients(trainer.critic))
    lengths = [i["completion_mask"].sum().item() for i in trainer._buffered_inputs]
    assert lengths[0] != lengths[1]  # a mean of means would differ
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-6)


@BOTH
def test_the_critic_learns(critic, ppo):
    """The reward is 1 whatever is written, so that every value should go from 0 to 1."""
    trainer = ppo(
        critic=critic,
        critic_learning_rate=0.02,
        max_steps=25,
        value_coef=1.0,
        value_clip=float("inf"),
        lam=1.0,
        whiten=False,
        host={"reward_funcs": lambda completions, **_: [1.0] * len(completions)},
    )
    trainer.train()
    values, losses = logged(trainer, "ppo/value_mean"), logged(trainer, "ppo/value_loss")
    assert values[0] == 0  # the head starts there
    assert losses[0] == pytest.approx(0.5, abs=1e-6)  # (0 - 1)^2 / 2
    assert sum(values[-5:]) / 5 == pytest.approx(1, abs=0.25)
    assert sum(losses[-5:]) / 5 < 0.2
    assert logged(trainer, "ppo/return_mean")[0] == pytest.approx(1)
