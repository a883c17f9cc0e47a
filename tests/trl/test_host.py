"""What aent.trl.host says of TRL, held to TRL's own results."""

import inspect

import pytest
import torch
from transformers import Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from aent import Method
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntPPOConfig, AEntRLOOConfig, AEntRLOOTrainer
from aent.trl.host import Host, Kind, host_mean

GRPO = (AEntGRPOTrainer, AEntGRPOConfig, GRPOTrainer, GRPOConfig)
RLOO = (AEntRLOOTrainer, AEntRLOOConfig, RLOOTrainer, RLOOConfig)

KINDS = {
    "grpo": (AEntGRPOConfig, {}, Kind(loss_type="dapo", token_ratio=True, critic=False)),
    "gspo": (
        AEntGRPOConfig,
        {"loss_type": "grpo", "importance_sampling_level": "sequence"},
        Kind(loss_type="grpo", token_ratio=False, critic=False),
    ),
    "ppo": (AEntPPOConfig, {}, Kind(loss_type="dapo", token_ratio=True, critic=True)),
    "rloo": (AEntRLOOConfig, {}, Kind(loss_type=None, token_ratio=False, critic=False)),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_kind_is_read_from_the_options(name, options):
    config, more, kind = KINDS[name]
    assert Kind.of(config(**options | more)) == kind
    assert kind.kl_in_loss == (name != "rloo")


@pytest.mark.parametrize(("kind", "config"), [(GRPOTrainer, GRPOConfig), (RLOOTrainer, RLOOConfig)])
def test_trl_has_every_member_that_is_relied_on(kind, config, build, options):
    trainer = build(kind, config, options)
    trainer.current_gradient_accumulation_steps = 1  # the training loop sets it before the first step
    members = {*Host.__annotations__, *(name for name in vars(Host) if inspect.isfunction(vars(Host)[name]))}
    members -= {"__init__", "__subclasshook__", "_no_init_or_replace_init"}
    assert {"args", "_step", "_compute_loss", "add_callback"} < members
    assert not [name for name in members if not hasattr(trainer, name)]


# How a loss per token gets into the host: at ratio 1 the clipped losses are -A, SAPO's is -A at both
# temperatures 2, and CISPO's and VESPO's are -A * logp, with their weight 1.
LOSS_TYPES = {
    "grpo": ({}, -1.0),
    "bnpo": ({}, -1.0),
    "dr_grpo": ({}, -1.0),
    "dapo": ({}, -1.0),
    "luspo": ({"importance_sampling_level": "sequence"}, -1.0),
    "sapo": ({"sapo_temperature_pos": 2.0, "sapo_temperature_neg": 2.0}, -1.0),
    "cispo": ({"epsilon_high": 5.0}, 1.0),
    "vespo": ({}, 1.0),
}


def four_completions(**more):
    """Lengths 5, 3, 0 (truncated and left out) and 1, in a generation batch of 40 tokens."""
    lengths = torch.tensor([5, 3, 0, 1])
    return {
        "prompt_ids": torch.ones(4, 2, dtype=torch.long),
        "prompt_mask": torch.ones(4, 2, dtype=torch.long),
        "completion_ids": torch.ones(4, 5, dtype=torch.long),
        "completion_mask": (torch.arange(5) < lengths[:, None]).long(),
        "num_items_in_batch": torch.tensor(40),
        **more,
    }


def scored_with(trainer, logp):
    """Let the host read these log-probabilities instead of making a forward pass."""
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (logp, torch.zeros_like(logp), None)
    trainer.model.train()


@pytest.mark.parametrize("tools", [False, True], ids=["", "tools"])
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_host_mean_is_what_grpo_makes_of_a_loss_per_token(loss_type, tools, build, options):
    more, sign = LOSS_TYPES[loss_type]
    trainer = build(GRPOTrainer, GRPOConfig, options | {"loss_type": loss_type} | more)
    values = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    scored_with(trainer, torch.full((4, 5), -1.0))
    inputs = four_completions(advantages=sign * values)
    if tools:
        inputs["tool_mask"] = torch.tensor([1, 0, 1, 1, 1]).expand(4, 5)
    seen = set()
    for accumulation, per_generation in ((1, 1), (2, 2), (2, 4), (1, 2)):
        trainer.current_gradient_accumulation_steps = accumulation
        trainer.args.steps_per_generation = per_generation
        theirs = trainer._compute_loss(trainer.model, inputs)
        ours = host_mean(trainer, Kind.of(trainer.args), inputs, values)
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
        seen.add(round(theirs.item(), 6))
    assert len(seen) >= 2  # accumulation matters in every one of them


def test_host_mean_weighs_tokens_as_rloo_does(build, options):
    """RLOO's loss at ratio 1 and advantages -1 has the gradient of its mean over log-probabilities."""
    trainer = build(RLOOTrainer, RLOOConfig, options)
    logp = torch.zeros(4, 5, requires_grad=True)
    scored_with(trainer, logp)
    inputs = four_completions(advantages=-torch.ones(4), old_logps=torch.zeros(4))
    (theirs,) = torch.autograd.grad(trainer._compute_loss(trainer.model, inputs), logp)
    (ours,) = torch.autograd.grad(host_mean(trainer, Kind.of(trainer.args), inputs, logp), logp)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(ours, inputs["completion_mask"] / 4)


# Groups of four: all scored; one not; only one; none. The second function scores fewer still.
REWARDS = [1.0, 0.0, 0.5, 0.25, 1.0, None, 0.0, 3.0, None, 1.0, None, None, None, None, None, None]
MORE = [None, 2.0, 0.0, 1.0, 0.5, None, 1.0, 1.0, None, 0.0, None, None, None, None, None, None]
BASELINES = {
    "grpo, scaled by group": (GRPO, {"scale_rewards": "group"}),
    "grpo, scaled by batch": (GRPO, {"scale_rewards": "batch"}),
    "grpo, not scaled": (GRPO, {"scale_rewards": "none"}),
    "grpo with KL": (GRPO, {"beta": 0.1}),
    "rloo": (RLOO, {}),
    "rloo, normalised": (RLOO, {"normalize_advantages": True}),
    "rloo, clipped": (RLOO, {"reward_clip_range": (-0.5, 0.8)}),
    "rloo with KL": (RLOO, {"beta": 0.5}),
    "rloo, all of it": (
        RLOO,
        {"beta": 0.5, "normalize_advantages": True, "reward_clip_range": (-0.5, 0.8)},
    ),
}


@pytest.mark.parametrize("case", BASELINES)
def test_group_baseline_gives_the_hosts_advantages(case, build, options, make_model, tmp_path):
    (ours, our_config, theirs, their_config), more = BASELINES[case]
    options |= {"num_generations": 4, "reward_weights": [1.0, 0.5], **more}
    same_rewards = Method(name="same", rewards=lambda rollouts: rollouts.rewards)
    make_model().save_pretrained(tmp_path / "reference")  # with KL, the host loads it from there
    made = []
    for trainer_class, config, keywords in (
        (ours, our_config, {"method": same_rewards}),
        (theirs, their_config, {}),
    ):
        functions = [lambda completions, **_: REWARDS, lambda completions, **_: MORE]
        model = Qwen2ForCausalLM.from_pretrained(tmp_path / "reference")
        trainer = build(trainer_class, config, options, model=model, reward_funcs=functions, **keywords)
        torch.manual_seed(0)
        with torch.no_grad():  # away from the reference, so that there is a divergence
            for p in trainer.model.parameters():
                p.add_(0.02 * torch.randn_like(p))
        trainer.model.train()
        rows = [trainer.train_dataset[i // 4] for i in range(16)]
        made.append(trainer._generate_and_score_completions(rows)["advantages"])
        logged = torch.tensor(list(trainer._logs["advantages"]))
        torch.testing.assert_close(logged[-16:], made[-1])
    assert made[1].abs().max() > 0.1
    assert not made[1][12:].any()
    torch.testing.assert_close(made[0], made[1], rtol=0, atol=1e-6)
