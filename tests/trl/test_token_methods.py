"""Methods on single tokens in the trainers: the published losses, plain TRL where they are off, runs."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from stepping import gradient, logged, weights
from trl import GRPOTrainer, RLOOConfig, RLOOTrainer

from aent import Method, load_method
from aent.methods.stack import stacked
from aent.trl import AEntRLOOConfig, AEntRLOOTrainer

OFF_POLICY = {"num_iterations": 2, "learning_rate": 1e-2}  # so that ratios leave [0.8, 1.28]


# The published losses, token by token, from log pi, its ratio r, entropy, advantage and log pi_ref.


def clip_loss(r, a, low, high):
    return -torch.minimum(r * a, torch.clamp(r, 1 - low, 1 + high) * a)


def clip_higher(r, a, **_):
    return clip_loss(r, a, 0.2, 0.28)


def ce_gppo(r, a, **_):
    at_low, at_high = (a < 0) & (r < 0.8), (a > 0) & (r > 1.2)
    assert at_low.any() and at_high.any()  # noqa: PT018
    kept = r / r.detach()
    return torch.where(at_low, -0.5 * 0.8 * a * kept, torch.where(at_high, -1.0 * 1.2 * a * kept, -r * a))


def archer(r, a, logp, ref, entropy, mask):
    high = torch.zeros_like(mask, dtype=torch.bool)
    for row in range(len(mask)):
        n = int(mask[row].sum())
        high[row, :n] = entropy[row, :n] > torch.quantile(entropy[row, :n], 0.8)
    assert high.sum() >= len(mask)
    edge = torch.where(high, 0.5, 0.2)
    d = ref - logp
    return clip_loss(r, a, edge, edge) + torch.where(high, 0.0, 0.001 * (d.exp() - d - 1))


def cov(a, logp, mask):
    keep = mask.bool()
    return (a - a[keep].mean()) * (logp - logp[keep].mean()).detach()


def clip_cov(r, a, logp, mask, **_):
    """With all tokens between 0.5 and 2 drawn."""
    c = cov(a, logp, mask)
    drawn = (c > 0.5) & (c < 2) & (r < 2)
    assert drawn.any()
    return torch.where(drawn, 0.0, clip_loss(r, a, 1.0, 1.0))


def kl_cov(r, a, logp, mask, **_):
    c = cov(a, logp, mask).masked_fill(mask == 0, -math.inf).flatten()
    chosen = torch.zeros_like(c)
    chosen[c.topk(int(0.1 * mask.sum())).indices] = 1
    return -r * a + 2.0 * chosen.view_as(r) * r.log().abs()


def forking_tokens(r, a, entropy, mask, **_):
    keep = entropy >= torch.quantile(entropy[mask.bool()], 0.8)
    return keep * clip_loss(r, a, 0.2, 0.2)


def steer(r, a, logp, entropy, mask, **_):
    pi = logp.exp().detach()
    old = pi / r.detach()
    change = (a / old * pi * (1 - pi) * (pi.log() + entropy)).abs()
    weight = torch.exp(torch.tensor(0.8).log() * change / change[mask.bool()].max())
    return weight * clip_loss(r, a, 0.2, 0.28)


PUBLISHED = {
    "clip-higher": (clip_higher, {}),
    "ce-gppo": (ce_gppo, {}),
    "archer": (archer, {}),
    "clip-cov": (clip_cov, {"fraction": 1.0, "low": 0.5, "high": 2.0}),
    "kl-cov": (kl_cov, {"fraction": 0.1, "coef": 2.0}),
    "forking-tokens": (forking_tokens, {}),
    "steer": (steer, {}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_loss_and_gradient_are_the_published_ones(name, grpo):
    """On rollouts of an older policy, averaged over all tokens (TRL's dapo)."""
    published, arguments = PUBLISHED[name]
    trainer = grpo({"name": name, **arguments}, num_iterations=2)
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    rows = [trainer.train_dataset[i // 8] for i in range(16)]
    inputs = trainer._prepare_inputs(rows)
    inputs["completion_mask"][::2, 5:] = 0
    inputs["num_items_in_batch"] = inputs["completion_mask"].sum()
    with torch.no_grad():
        for p in trainer.model.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    loss = trainer._compute_loss(trainer.model, inputs)
    got = gradient(trainer, loss)

    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    mask, length = inputs["completion_mask"], inputs["completion_mask"].size(1)
    logits = trainer.model(input_ids=ids, attention_mask=attention).logits[:, -length - 1 : -1]
    logp = logits.log_softmax(-1).gather(-1, inputs["completion_ids"][..., None])[..., 0]
    r = torch.exp(logp - inputs["old_per_token_logps"])
    ends = r.detach()[mask.bool()]
    assert ends.min() < 0.8 and ends.max() > 1.5  # noqa: PT018  (there is something to clip)
    per_token = published(
        r=r,
        a=inputs["advantages"][:, None].expand_as(r),
        logp=logp,
        entropy=torch.distributions.Categorical(logits=logits.detach()).entropy(),
        ref=inputs.get("ref_per_token_logps"),
        mask=mask,
    )
    expected_loss = (per_token * mask).sum() / mask.sum()
    expected = gradient(trainer, expected_loss)
    torch.testing.assert_close(loss.detach(), expected_loss.detach(), rtol=0, atol=1e-6)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
    plain = gradient(trainer, GRPOTrainer._compute_loss(trainer, trainer.model, inputs))
    same = name == "clip-higher"  # nothing but an option of the host
    assert torch.allclose(got, plain, rtol=1e-4, atol=1e-6) == same


OFF = {
    "clip-higher": ({"epsilon_high": 0.2}, {}),
    "ce-gppo": ({"beta1": 0.0, "beta2": 0.0}, {}),
    "archer": ({"clip_above": 0.2, "kl": 0.0}, {}),
    "clip-cov": ({"fraction": 0.0}, {"epsilon": 1.0, "epsilon_high": 1.0}),
    "kl-cov": ({"coef": 0.0}, {"epsilon": 1.0, "epsilon_high": math.inf}),
    "forking-tokens": ({"fraction": 1.0}, {}),
    "steer": ({"weight_min": 1.0, "weight_max": 1.0}, {"epsilon_high": 0.28}),
}


@pytest.mark.parametrize("name", OFF)
def test_switched_off_it_is_trl_bit_for_bit(name, grpo):
    arguments, same_options = OFF[name]
    ours = grpo({"name": name, **arguments}, **OFF_POLICY)
    ours.train()
    theirs = grpo(**OFF_POLICY, **same_options)
    theirs.train()
    clipped = logged(theirs, "clip_ratio/region_mean")
    assert max(clipped) > 0 or math.inf in same_options.values()
    assert torch.equal(weights(ours), weights(theirs))


def test_forking_tokens_is_trls_top_entropy_quantile(grpo):
    ours = grpo("forking-tokens", max_steps=20, **OFF_POLICY)
    ours.train()
    theirs = grpo(max_steps=20, top_entropy_quantile=0.2, **OFF_POLICY)
    theirs.train()
    assert len(logged(theirs, "loss")) == 20
    assert len(set(logged(theirs, "loss"))) > 10
    assert logged(ours, "loss") == pytest.approx(logged(theirs, "loss"), abs=1e-6)
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=0, atol=1e-6)


# In runs of 16 * 8 tokens the published fractions would be one token.
RUNS = {
    "clip-higher": {},
    "ce-gppo": {},
    "archer": {},
    "clip-cov": {"fraction": 0.1, "low": 0.1, "high": 10.0},
    "kl-cov": {"fraction": 0.1},
    "forking-tokens": {},
    "steer": {},
}


@pytest.mark.parametrize("name", RUNS)
def test_twenty_steps_of_two_iterations_learn(name, grpo):
    """The reward is the share of words below 40, 0.42 on average before training."""
    more = {"per_device_train_batch_size": 64, "lr_scheduler_type": "constant", "learning_rate": 5e-3}
    trainer = grpo({"name": name, **RUNS[name]}, max_steps=20, num_iterations=2, **more)
    trainer.train()
    rewards = logged(trainer, "reward")
    assert len(rewards) == 10
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.08


WEIGHING = ("clip-cov", "kl-cov", "forking-tokens", "steer")
"""Methods that need no clipping of single tokens."""


def test_ce_gppo_adds_nothing_where_forking_tokens_leaves_out(grpo):
    """Both together: the gradient kept on clipped tokens is that of the most uncertain ones alone."""
    seen = []

    def recording(tokens):
        seen.append((tokens.advantages, ce_gppo_penalty(tokens)))
        return seen[-1][1]

    ce_gppo_penalty = load_method("ce-gppo").penalty
    spying = Method(name="spying", penalty=recording, needs_clip=True)
    trainer = grpo(stacked([load_method("forking-tokens"), spying]), **OFF_POLICY)
    trainer.train()
    left_out = torch.cat([a.flatten() == 0 for a, _ in seen])
    added = torch.cat([p.detach().flatten() for _, p in seen])
    assert 0.7 < left_out.float().mean() < 0.9
    assert added[~left_out].any()
    assert not added[left_out].any()


@pytest.mark.parametrize("name", WEIGHING)
def test_what_weighs_tokens_trains_rloo_and_gspo(name, build, options, grpo):
    spec = {"name": name, **RUNS[name]}
    options |= {"num_iterations": 2, "max_steps": 3}
    ours = build(AEntRLOOTrainer, AEntRLOOConfig, options, method=spec)
    ours.train()
    host_options = ours.method.options
    theirs = build(RLOOTrainer, RLOOConfig, options | host_options)
    theirs.train()
    assert weights(ours).isfinite().all()
    assert not torch.equal(weights(ours), weights(theirs))
    gspo = {"loss_type": "grpo", "importance_sampling_level": "sequence", "num_iterations": 2, "max_steps": 3}
    ours = grpo(spec, **gspo)
    ours.train()
    theirs = grpo(**gspo, **host_options)
    theirs.train()
    assert weights(ours).isfinite().all()
    assert not torch.equal(weights(ours), weights(theirs))


def test_resuming_draws_the_same_tokens(grpo, options, tmp_path):
    clip_cov = {"name": "clip-cov", "fraction": 0.2, "low": -10.0, "high": 10.0}
    saving = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3}
    whole = grpo(clip_cov, **saving)
    whole.train()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(Path(options["output_dir"]) / "checkpoint-3", elsewhere / "checkpoint-3")
    resumed = grpo(clip_cov, **saving, output_dir=str(elsewhere))
    resumed.train(resume_from_checkpoint=str(elsewhere / "checkpoint-3"))
    assert torch.equal(weights(resumed), weights(whole))


def test_vllms_correction_multiplies_the_kept_gradient_too(grpo):
    """TRL multiplies its loss per token by importance_sampling_ratio; with 0 there, nothing may be left."""
    trainer = grpo("ce-gppo", num_iterations=2)
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    inputs = trainer._prepare_inputs([trainer.train_dataset[i // 8] for i in range(16)])
    inputs["old_per_token_logps"] = inputs["old_per_token_logps"] + 1  # all ratios e^-1: low ones clipped
    trainer.use_vllm = True
    sizes = []
    for ratio in (1.0, 0.0):
        inputs["importance_sampling_ratio"] = torch.full_like(inputs["old_per_token_logps"], ratio)
        sizes.append(gradient(trainer, trainer._compute_loss(trainer.model, inputs)).abs().max().item())
    assert sizes[0] > 1e-3
    assert sizes[1] == 0
