"""What the PPO trainer promises, against plain TRL, naive values and loops written out."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from trl import GRPOConfig, GRPOTrainer

from aent import InputError, Method
from aent.trl import AEntPPOConfig, AEntPPOTrainer
from aent.trl.ppo import LEARNED, OLD_VALUES, RETURNS

BOTH = pytest.mark.parametrize("critic", ["own", "shared"])


@pytest.fixture
def ppo(build, options, make_model):
    def ppo(*, method="none", model=None, host=None, ends=False, **changes):
        keywords = host or {}
        if ends:  # some completions end early, some are cut off
            model = make_model()
            model.generation_config.eos_token_id = list(range(1, 12))
        return build(AEntPPOTrainer, AEntPPOConfig, options | changes, model=model, method=method, **keywords)

    return ppo


def rollout(trainer, rows=16):
    """One batch of rollouts, scored, as the training loop would prepare it."""
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    trainer.model.train()
    group = trainer.num_generations
    return trainer._prepare_inputs([trainer.train_dataset[i // group] for i in range(rows)])


def randomise_head(trainer):
    """A critic that says something, as after some training."""
    torch.manual_seed(3)
    torch.nn.init.normal_(trainer.critic.head.weight, std=0.3)


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def gradients(module):
    return torch.cat([p.grad.flatten().clone() for p in module.parameters() if p.grad is not None])


def logged(trainer, key):
    return [row[key] for row in trainer.state.log_history if key in row]


def naive_values(trainer, inputs):
    """The head on the hidden states that transformers hands out, token by token."""
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    body = trainer.critic.body or trainer.model.model
    hidden = body(input_ids=ids, attention_mask=attention).last_hidden_state
    start = inputs["prompt_ids"].size(1)
    head = trainer.critic.head
    columns = [hidden[:, start + i - 1] @ head.weight[0] + head.bias for i in range(ids.size(1) - start)]
    return torch.stack(columns, 1)


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
    inputs = rollout(trainer)
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
    inputs = rollout(trainer)
    counted = inputs["advantages"][inputs["completion_mask"].bool()]
    assert counted.mean().item() == pytest.approx(0, abs=1e-5)
    assert counted.std().item() == pytest.approx(1, abs=1e-4)
    assert inputs["advantages"][~inputs["completion_mask"].bool()].abs().max() == 0


def test_the_policys_gradient_is_trls_for_the_same_advantages(ppo):
    """TRL's GRPO loss takes (batch, tokens); a critic of its own adds nothing to the policy's gradient."""
    trainer = ppo(num_iterations=2, beta=0.0, ends=True)
    inputs = rollout(trainer)
    trainer._compute_loss(trainer.model, inputs).backward()
    ours = gradients(trainer.model)
    trainer.model.zero_grad()
    GRPOTrainer._compute_loss(trainer, trainer.model, inputs).backward()
    assert ours.abs().max() > 1e-4
    assert torch.equal(ours, gradients(trainer.model))


@BOTH
def test_the_critics_gradient_is_that_of_its_loss(critic, ppo):
    """1/2 max of clipped and plain squared error, mean over tokens; a shared body learns from it too."""
    trainer = ppo(critic=critic, value_coef=0.7, value_clip=0.05, ends=True)
    inputs = rollout(trainer)
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
        rollout(trainer)
        randomise_head(trainer)
        for inputs in trainer._buffered_inputs:
            trainer._compute_loss(trainer.model, inputs).backward()
        found.append(gradients(trainer.critic))
    lengths = [i["completion_mask"].sum().item() for i in trainer._buffered_inputs]
    assert lengths[0] != lengths[1]  # a mean of means would differ
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-6)


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


def test_one_completion_per_prompt(ppo, options):
    args = AEntPPOConfig(**options | {"num_generations": 1, "per_device_train_batch_size": 5})
    assert type(args.num_generations) is int
    assert args.num_generations == 1
    trainer = ppo(num_generations=1, per_device_train_batch_size=5)
    inputs = rollout(trainer, rows=5)
    prompts = {tuple(ids) for ids in inputs["prompt_ids"].tolist()}
    assert len(prompts) == 5
    assert inputs["advantages"].abs().max() > 0
    start = weights(trainer.model).clone()
    trainer.train()
    assert not torch.equal(weights(trainer.model), start)
    assert all(row["reward"] == row["reward"] for row in trainer.state.log_history if "reward" in row)


def test_the_hosts_other_checks_of_a_group_remain(options):
    for group in (0, 3):
        with pytest.raises((ValueError, ZeroDivisionError)):
            AEntPPOConfig(**options | {"num_generations": group})
    with pytest.raises(ValueError, match="at least 2 generations"):
        GRPOConfig(**options | {"num_generations": 1})


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
        both.append(rollout(trainer)[RETURNS])
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"critic": "none"}, "unknown critic 'none'.*own, shared"),
        ({"gamma": 1.1}, "gamma=1.1 must be between 0 and 1"),
        ({"value_clip": 0.0}, "value_clip=0.0 must be above 0"),
        ({"loss_type": "sapo"}, "loss_type='sapo'.*grpo or bnpo or dr_grpo or dapo"),
        ({"importance_sampling_level": "sequence"}, "must be token"),
        ({"scale_rewards": "group"}, "scale_rewards='group'"),
    ],
)
def test_options_that_do_not_go_together(changes, message, options):
    with pytest.raises(InputError, match=message):
        AEntPPOConfig(**options | changes)


def test_methods_that_make_advantages_are_refused(ppo, build, options):
    with pytest.raises(InputError, match="would replace the critic"):
        ppo(method=Method(name="group", group_advantages=lambda rollouts: rollouts.rewards))
    with pytest.raises(InputError, match="needs an AEntPPOConfig"):
        build(AEntPPOTrainer, GRPOConfig, options, method="none")


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    script = Path(__file__).parent / "two_ranks_ppo.py"
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


@BOTH
def test_two_gloo_ranks_hold_the_same_weights_and_whiten_together(critic, two_ranks):
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
