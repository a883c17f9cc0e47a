"""The gradient of a policy through verl equals that of formulas written out, and TRL's loss of them, to 1e-5.

Each method is written here in plain torch, from its page, on dense logits. The policy-gradient loss is TRL's
GRPO with ``loss_type`` dapo: per token -min(r A, clip(r) A), over the number of tokens; TRL's side of it is
in tests/trl. verl's dual clip, which TRL lacks, is put out of reach.
"""

import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from verl.utils import tensordict_utils as tu
from verl.workers.utils.losses import ppo_loss
from verl_on_cpu import toy

from aent import load_method
from aent.controllers import Foresighted
from aent.verl.engine import FromLogits, Wanted
from aent.verl.loss import MethodLoss
from aent.verl.rollouts import RolloutScores, Rows

LENGTHS, PROMPT = (7, 4, 6, 5), 3
SOLVED = torch.tensor([0.5, 0.5, 1.0, 1.0])
STEP = {"coef": 0.07, "band": (0.5, 2.0), "last_entropy": 1.0, "remaining": 0.75}
"""Half of the entropy is gone, so the weights of aent-auto act in full."""
TOKENS = sum(LENGTHS)


class Engine:
    """What stays of verl's engine once logits are there."""

    def _gather_and_unpad_packed(self, packed, pad):
        return packed


class Ours(FromLogits, Engine):
    """Our forward pass over it."""


def jagged(rows):
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def per_token(values):
    return [torch.full((n,), float(value)) for n, value in zip(LENGTHS, values, strict=True)]


@pytest.fixture
def rollouts():
    """Ids, old log-probabilities and advantages of four rollouts, two for each of two prompts."""
    draw = torch.Generator().manual_seed(5)
    ids = [torch.randint(3, 31, (PROMPT + n,), generator=draw) for n in LENGTHS]
    model = toy.policy()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.1)  # far from uniform
        new = [dense(model, row)[0] for row in ids]
    old = [logp + 0.3 * torch.randn(len(logp), generator=draw) for logp in new]
    rewards = torch.tensor([1.0, 0.0, 1.0, 1.0])
    advantages = torch.tensor([1.2, -0.8, 0.5, -0.6])
    return SimpleNamespace(model=model, ids=ids, old=old, rewards=rewards, advantages=advantages)


def dense(model, ids):
    """Log-probabilities and logits of a rollout's response, at temperature 0.8."""
    logits = model(ids[None]).logits[0, PROMPT - 1 : -1] / 0.8
    return logits.log_softmax(-1).gather(-1, ids[PROMPT:, None])[:, 0], logits


def through_verl(spec, rollouts, step, actor, epsilon=0.2):
    """Gradients by aent's forward pass, verl's own ``ppo_loss`` and the method around it."""
    method = load_method(spec)
    advantages = rollouts.advantages
    if method.group_advantages:
        advantages = driver_advantages(method, rollouts)
    data = tu.get_tensordict(
        {
            "input_ids": jagged(rollouts.ids),
            "prompts": jagged([row[:PROMPT] for row in rollouts.ids]),
            "responses": jagged([row[PROMPT:] for row in rollouts.ids]),
            "response_mask": jagged([torch.ones(n, dtype=torch.long) for n in LENGTHS]),
            "old_log_probs": jagged(rollouts.old),
            "advantages": jagged(per_token(advantages)),
            "aent_solved": SOLVED[:, None],
        }
    )
    tu.assign_non_tensor(data, aent=step, dp_size=1, batch_num_tokens=TOKENS, global_batch_size=4)
    engine = Ours()
    engine.aent = Wanted(method.subset, slopes=isinstance(method.controller, Foresighted))
    packed = torch.cat([rollouts.model(row[None]).logits for row in rollouts.ids], 1)
    targets = torch.cat(rollouts.ids).roll(-1)
    args = {
        "input_ids_rmpad_rolled": targets,
        "temperature_rmpad": torch.full((len(targets),), 0.8),
        "pad_size": 0,
    }
    output = engine.prepare_model_outputs(SimpleNamespace(logits=packed), args, data, None)
    config = actor(clip_ratio_low=epsilon, clip_ratio_high=epsilon, clip_ratio_c=1e9)
    loss, _ = MethodLoss(method, partial(ppo_loss, config=config))(output, data)
    return torch.autograd.grad(loss, list(rollouts.model.parameters()))


def driver_advantages(method, rollouts):
    ones = [torch.ones(n) for n in LENGTHS]
    scores = [torch.zeros(n) for n in LENGTHS]
    for row, reward in zip(scores, rollouts.rewards, strict=True):
        row[-1] = reward
    fields = {name: jagged(rows) for name, rows in
              (("rm_scores", scores), ("response_mask", ones), ("old_log_probs", rollouts.old))}  # fmt: skip
    rows = Rows.of(["a_0_0", "a_1_0", "b_0_0", "b_1_0"], [{}] * 4)
    return [row[0] for row in RolloutScores(method, rows, fields, 2).advantages().unbind()]


def clamped(logits, kept):
    """Entropy of the policy on its `kept` most probable tokens, renormalized."""
    q = logits.topk(kept, -1).values.log_softmax(-1)
    return -(q.exp() * q).sum(-1)


def nucleus(logits, mass):
    """Entropy on the fewest tokens whose probability reaches `mass`."""
    p, order = logits.softmax(-1).sort(-1, descending=True)
    before = p.cumsum(-1) - p
    z = logits.gather(-1, order)
    kept = z.masked_fill(before >= mass, -torch.inf)
    return kept.logsumexp(-1) - (kept.softmax(-1) * z).sum(-1)


def policy_loss(rollouts, logp, advantages, epsilon=0.2):
    """TRL's, over all tokens."""
    total = 0.0
    for new, old, a in zip(logp, rollouts.old, advantages, strict=True):
        ratio = (new - old).exp()
        total = total - torch.minimum(ratio * a, ratio.clamp(1 - epsilon, 1 + epsilon) * a).sum()
    return total / TOKENS


def written_out(name, rollouts):
    """The loss of each method, in plain torch."""
    scored = [dense(rollouts.model, ids) for ids in rollouts.ids]
    logp, logits = [row[0] for row in scored], [row[1] for row in scored]
    a = list(rollouts.advantages)
    vocab = logits[0].shape[-1]
    if name == "aent":
        bonus = sum(clamped(z, vocab - int(0.25 * vocab)).sum() for z in logits)
        return policy_loss(rollouts, logp, a) - 0.07 * bonus / TOKENS
    if name == "aent-auto":
        u = 1 - 0.75 * SOLVED
        bonus = sum(w * nucleus(z, 0.9).sum() for w, z in zip(u, logits, strict=True))
        return policy_loss(rollouts, logp, list(u * rollouts.advantages)) - 0.07 * bonus / TOKENS
    if name == "siren":
        entropies = [nucleus(z, 0.8) for z in logits]
        peaks = [h[h.detach() > h.detach().quantile(0.8)].mean() for h in entropies]
        return policy_loss(rollouts, logp, a) + 0.07 * (sum(peaks) / 4 - 1.5) ** 2
    if name == "entropy-advantage":
        entropies = [clamped(z, vocab).detach() for z in logits]
        shaped = [x + (0.4 * h).clamp(max=abs(float(x)) / 2) for x, h in zip(a, entropies, strict=True)]
        return policy_loss(rollouts, logp, shaped)
    if name == "pass-at-k":
        # k = 1: a right completion gets sqrt((1-R)/R), a wrong one -sqrt(R/(1-R)); a: R = 1/2, b: all right
        return policy_loss(rollouts, logp, [1.0, -1.0, 0.0, 0.0])
    assert name == "clip-cov"
    flat_a = torch.cat(per_token(a))
    flat_logp, old = torch.cat(logp).detach(), torch.cat(rollouts.old)
    cov = (flat_a - flat_a.mean()) * (flat_logp - flat_logp.mean())
    torch.manual_seed(11)
    lots = torch.rand(4, max(LENGTHS))
    lots = torch.cat([row[:n] for row, n in zip(lots, LENGTHS, strict=True)])
    ratio = (flat_logp - old).exp()
    open_ = ~(((flat_a < 0) & (ratio < 0.0)) | ((flat_a > 0) & (ratio > 2.0)))
    eligible = (cov > 0.05) & (cov < 5.0) & open_
    drawn = lots.masked_fill(~eligible, -1.0).topk(int(0.2 * TOKENS)).indices
    assert eligible.sum() > len(drawn)  # so that something is drawn, and something left
    kept = flat_a.clone()
    kept[drawn] = 0.0
    return policy_loss(rollouts, logp, list(kept.split(LENGTHS)), epsilon=1.0)


SPECS = {
    "aent": ({"name": "aent", "drop": 0.25, "low": 0.1, "high": 0.2}, {}),
    "aent-auto": ("aent-auto", {}),
    "siren": ("siren", {"band": (1.5, 1.5)}),
    "clip-cov": ({"name": "clip-cov", "fraction": 0.2, "low": 0.05, "high": 5.0}, {}),
    "entropy-advantage": ("entropy-advantage", {}),
    "pass-at-k": ({"name": "pass-at-k", "k": 1}, {}),
}


@pytest.mark.parametrize("name", SPECS)
def test_the_gradient_is_the_one_written_out(name, rollouts, actor):
    spec, step = SPECS[name]
    torch.manual_seed(11)
    epsilon = 1.0 if name == "clip-cov" else 0.2
    ours = through_verl(spec, rollouts, {**STEP, **step}, actor, epsilon)
    expected = torch.autograd.grad(written_out(name, rollouts), list(rollouts.model.parameters()))
    assert max(float(gradient.abs().max()) for gradient in expected) > 1e-3
    for gradient, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-5, rtol=1e-5)


def test_verls_dual_clip_is_the_difference_to_trl(actor):
    """A = -1 and a ratio of 5: TRL's loss is 5, verl's is 3 by default; the table in docs/verl.md says so."""
    from verl.trainer.ppo.core_algos import compute_policy_loss_vanilla

    mask = torch.ones(1, 1)
    arguments = {"old_log_prob": torch.zeros(1, 1), "log_prob": torch.full((1, 1), math.log(5.0))}
    arguments |= {"advantages": -mask, "response_mask": mask.bool()}
    assert compute_policy_loss_vanilla(**arguments, config=actor())[0].item() == pytest.approx(3.0)
    wide = actor(clip_ratio_c=1e9)
    assert compute_policy_loss_vanilla(**arguments, config=wide)[0].item() == pytest.approx(5.0)
