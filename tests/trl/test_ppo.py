"""What the PPO trainer promises, against plain TRL, naive values and loops written out."""

import shutil
from pathlib import Path

import pytest
import torch
from critic_steps import gradients, naive_values, randomise_head, weights
from stepping import logged, rollout
from trl import GRPOConfig, GRPOTrainer

from aent import InputError, Method
from aent.trl import AEntPPOTrainer
from aent.trl.ppo import LEARNED, OLD_VALUES, RETURNS

BOTH = pytest.mark.parametrize("critic", ["own", "shared"])


def naive_gae(reward, values, steps, gamma, lam):
    """One completion as a list of steps."""
    advantages, after = {}, 0.0
    for place in reversed(range(len(steps))):
        t = steps[place]
        following = values[steps[place + 1]].item() if place + 1 < len(steps) else None
        error = (reward if following is None else gamma * following) - values[t].item()
        after = error + gamma * lam * after
        advantages[t] = after
    return advantages


@BOTH
def test_rollouts_carry_values_advantages_and_returns(critic, ppo, monkeypatch):
    """Every third token was written by a tool, one completion was scored by nobody."""
    trainer = ppo(critic=critic, gamma=0.9, lam=0.8, whiten=False, ends=True)
    randomise_head(trainer)
    scored = {}
    generate, reward = GRPOTrainer._generate_and_score_completions, GRPOTrainer._calculate_rewards

    def with_tool(self, inputs):
        batch = generate(self, inputs)
        batch["tool_mask"] = torch.ones_like(batch["completion_mask"])
        batch["tool_mask"][:, 1::3] = 0
        batch["row"] = torch.arange(len(batch["tool_mask"]))
        return batch

    def with_a_gap(self, *args):
        scored["rewards"] = reward(self, *args)
        scored["rewards"][5] = torch.nan
        return scored["rewards"]

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", with_tool)
    monkeypatch.setattr(GRPOTrainer, "_calculate_rewards", with_a_gap)
    inputs = rollout(trainer, 16)
    lengths = inputs["completion_mask"].sum(1)
    assert 1 <= lengths.min() < lengths.max() == 8
    mask = inputs["completion_mask"] * inputs["tool_mask"]
    values = naive_values(trainer, inputs).detach()
    for i, row in enumerate(inputs["row"].tolist()):
        steps = [] if row == 5 else mask[i].nonzero().flatten().tolist()
        expected = naive_gae(scored["rewards"][row, 0].item(), values[i], steps, 0.9, 0.8)
        for t in range(8):
            assert inputs["advantages"][i, t].item() == pytest.approx(expected.get(t, 0.0), abs=1e-5)
            assert inputs[LEARNED][i, t] == (t in steps)
            if t in steps:
                assert inputs[OLD_VALUES][i, t].item() == pytest.approx(values[i, t].item(), abs=1e-5)
                total = values[i, t].item() + expected[t]
                assert inputs[RETURNS][i, t].item() == pytest.approx(total, abs=1e-5)


def test_advantages_are_whitened_over_tokens(ppo):
    trainer = ppo(ends=True)
    inputs = rollout(trainer, 16)
    counted = inputs["advantages"][inputs["completion_mask"].bool()]
    assert counted.mean().item() == pytest.approx(0, abs=1e-5)
    assert counted.std().item() == pytest.approx(1, abs=1e-4)
    assert inputs["advantages"][~inputs["completion_mask"].bool()].abs().max() == 0


def test_the_policys_gradient_is_trls_for_the_same_advantages(ppo):
    """TRL's GRPO loss takes (batch, tokens); a critic of its own adds nothing to the policy's gradient."""
    trainer = ppo(num_iterations=2, beta=0.0, ends=True)
    inputs = rollout(trainer, 16)
    trainer._compute_loss(trainer.model, inputs).backward()
    ours = gradients(trainer.model)
    trainer.model.zero_grad()
    GRPOTrainer._compute_loss(trainer, trainer.model, inputs).backward()
    assert ours.abs().max() > 1e-4
    assert torch.equal(ours, gradients(trainer.model))


@BOTH
def test_resuming_gives_the_same_run(critic, ppo, options, tmp_path):
    changes = {"critic": critic, "max_steps": 10, "save_strategy": "steps", "save_steps": 5}
    whole = ppo(**changes)
    whole.train()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(Path(options["output_dir"]) / "checkpoint-5", elsewhere / "checkpoint-5")
    resumed = ppo(**changes, output_dir=str(elsewhere))
    resumed.train(resume_from_checkpoint=str(elsewhere / "checkpoint-5"))
    for key in ("loss", "ppo/value_loss", "ppo/value_mean"):
        assert len(set(logged(whole, key))) > 5
        assert logged(resumed, key) == logged(whole, key)
    assert torch.equal(weights(resumed.critic), weights(whole.critic))
    assert torch.equal(weights(resumed.model), weights(whole.model))


def test_a_checkpoint_that_does_not_fit_is_refused(ppo, build, options):
    saving = {"max_steps": 1, "save_strategy": "steps", "save_steps": 1}
    ppo(**saving).train()
    with pytest.raises(InputError, match="does not fit critic='shared'"):
        ppo(**saving, critic="shared").train(resume_from_checkpoint=True)
    shutil.rmtree(options["output_dir"])
    build(GRPOTrainer, GRPOConfig, options | saving).train()
    with pytest.raises(InputError, match="it was not written by PPO"):
        ppo(**saving).train(resume_from_checkpoint=True)


def test_one_completion_per_prompt(ppo):
    trainer = ppo(num_generations=1, per_device_train_batch_size=5)
    inputs = rollout(trainer, 5)
    prompts = {tuple(ids) for ids in inputs["prompt_ids"].tolist()}
    assert len(prompts) == 5
    assert inputs["advantages"].abs().max() > 0
    start = weights(trainer.model).clone()
    trainer.train()
    assert not torch.equal(weights(trainer.model), start)
    assert all(row["reward"] == row["reward"] for row in trainer.state.log_history if "reward" in row)


def test_truncated_completions_are_left_out(ppo):
    """Nothing may end, so that no token counts at all: no advantage, no value, no step of the policy."""
    trainer = ppo(mask_truncated_completions=True, generation_kwargs={"suppress_tokens": [1]})
    start = weights(trainer.model).clone(), weights(trainer.critic).clone()
    trainer.train()
    assert logged(trainer, "completions/clipped_ratio") == [1.0] * 3
    assert torch.equal(weights(trainer.model), start[0])
    assert torch.equal(weights(trainer.critic), start[1])
    assert logged(trainer, "ppo/value_loss") == []


def test_evaluation_measures_the_critic_and_leaves_it_alone(ppo, prompts):
    trainer = ppo(per_device_eval_batch_size=16, host={"eval_dataset": prompts.select(range(4))})
    trainer.train()
    before = weights(trainer.critic).clone()
    metrics = trainer.evaluate()
    assert torch.equal(weights(trainer.critic), before)
    assert metrics["eval_ppo/value_loss"] > 0
    assert metrics["eval_ppo/explained_variance"] <= 1


def test_the_table_of_completions_holds_the_critics_advantages(ppo, prompts):
    """The table has room for 16 completions, 8 are evaluated at a time. A critic that says 0 makes rewards
    the advantages."""
    changes = {"per_device_eval_batch_size": 8, "log_completions": True, "whiten": False, "lam": 1.0}
    trainer = ppo(**changes, host={"eval_dataset": prompts.select(range(3))})
    for evaluated in (1, 3):
        trainer.evaluate(prompts.select(range(evaluated)))
        rewards = list(trainer._logs["rewards"]["low_tokens"])
        assert len(set(rewards)) > 1
        assert list(trainer._logs["advantages"]) == pytest.approx(rewards)


def test_a_critic_of_its_own_checkpoints_its_activations(ppo, make_model, tmp_path):
    """A loaded policy, unlike one made from a configuration, is in evaluation mode, where no layer does."""
    make_model(attention_dropout=0.5).save_pretrained(tmp_path / "policy")
    trainer = ppo(model=str(tmp_path / "policy"), gradient_checkpointing=True)
    randomise_head(trainer)
    inputs = rollout(trainer, 16)
    assert torch.equal(trainer._read(inputs), trainer._read(inputs))
    calls = []
    trainer.critic.body.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    trainer._read(inputs).sum().backward()
    assert len(calls) == 2  # in the forward pass, and again in the backward pass


def test_a_methods_rewards_come_before_the_critic(ppo):
    """Rewards doubled by the method give doubled returns."""
    seen = []

    def doubled(rollouts):
        seen.append(rollouts.mean_logp())
        return 2 * rollouts.rewards

    plain = ppo(whiten=False, lam=1.0, method=Method(name="same", rewards=lambda rollouts: rollouts.rewards))
    twice = ppo(whiten=False, lam=1.0, method=Method(name="double", rewards=doubled))
    both = []
    for trainer in (plain, twice):
        torch.manual_seed(7)
        both.append(rollout(trainer, 16)[RETURNS])
    assert both[0].max() > 0
    torch.testing.assert_close(both[1], 2 * both[0], rtol=0, atol=1e-6)
    assert seen[0].shape == (2, 8)


def test_a_method_shapes_the_critics_advantages(ppo):
    """Advantages of single tokens pass through a method as they do in GRPO: times 0 is no step."""
    method = Method(name="zero", token_advantages=lambda tokens: tokens.advantages * 0)
    trainer = ppo(method=method, max_steps=2)
    start = weights(trainer.model).clone()
    trainer.train()
    assert torch.equal(weights(trainer.model), start)


@pytest.mark.parametrize("changes", [
    {"num_iterations": 2, "steps_per_generation": 2},
    {"loss_type": "bnpo", "top_entropy_quantile": 0.2},
    {"loss_type": "dr_grpo", "epsilon_high": 0.28},
    {"bf16": True},
    {"gradient_checkpointing": True},
    {"max_grad_norm": 0.0, "critic": "shared"},
], ids=str)  # fmt: skip
def test_options_of_the_host_train(changes, ppo):
    trainer = ppo(**changes, method={"name": "entropy-bonus", "coef": 0.01})
    start = weights(trainer.critic).clone()
    trainer.train()
    assert weights(trainer.critic).isfinite().all()
    assert not torch.equal(weights(trainer.critic), start)
    assert len(logged(trainer, "ppo/value_loss")) == 3


def test_the_kl_is_the_hosts(ppo, make_model, tmp_path):
    """The reference policy is loaded by name, so the model must lie in a folder."""
    make_model().save_pretrained(tmp_path / "model")
    trainer = ppo(model=str(tmp_path / "model"), beta=0.1)
    trainer.train()
    kl = logged(trainer, "kl")
    assert kl[0] == pytest.approx(0, abs=1e-6)
    assert kl[-1] > 1e-6


def test_peft_with_a_shared_critic(ppo):
    from peft import LoraConfig

    lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    with pytest.raises(InputError, match="choose critic='shared'"):
        ppo(host={"peft_config": lora})
    trainer = ppo(critic="shared", host={"peft_config": lora})
    trainer.train()
    assert all(p.abs().max() > 0 for n, p in trainer.model.named_parameters() if "lora_B" in n)
    assert trainer.critic.head.weight.abs().max() > 0


def test_methods_that_make_advantages_are_refused(ppo, build, options):
    with pytest.raises(InputError, match="would replace the critic"):
        ppo(method=Method(name="group", group_advantages=lambda rollouts: rollouts.rewards))
    with pytest.raises(InputError, match="needs an AEntPPOConfig"):
        build(AEntPPOTrainer, GRPOConfig, options, method="none")
