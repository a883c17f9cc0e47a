"""verl's own loss with a method around it: every part of a method, by numbers worked out by hand."""

import math
from functools import partial

import pytest
import torch
from verl.workers.utils.losses import ppo_loss

from aent import InputError, Method, load_method
from aent.controllers import Fixed
from aent.verl.loss import MethodLoss

BATCH = {
    "logp": [[-1.0, -2.0], [-3.0]],
    "old_logp": [[-1.5, -2.0], [-2.5]],
    "entropy": [[0.5, 1.0], [2.0]],
    "full_entropy": [[0.75, 1.25], [2.5]],
    "advantages": [[1.0, 1.0], [-2.0]],
}
LENGTHS = (2, 1)
MODES = ("token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm")


def own(**parts):
    return Method(name="own", **parts)


def run(method, config, batch):
    """Our loss, verl's on the same batch, our metrics, and the leaves with their gradients."""
    output, data, leaves = batch
    host = partial(ppo_loss, config=config)
    theirs = host(model_output={name: output[name].detach() for name in ("log_probs", "entropy")}, data=data)[
        0
    ]
    loss, metrics = MethodLoss(method, host)(output, data, None)
    loss.backward()
    values = {name: metric.aggregate() for name, metric in metrics.items() if name.startswith("aent/")}
    return loss.item(), theirs.item(), values, leaves


@pytest.mark.parametrize("mode", MODES)
def test_the_bonus_is_a_mean_per_token_however_verl_averages(mode, actor, micro_batch):
    """4 tokens per rank: 8 on two ranks. 0.1 * (0.5 + 1 + 2) / 4 = 0.0875."""
    batch = micro_batch(**BATCH, step={"coef": 0.1}, tokens=8, ranks=2, rollouts=4)
    config = actor(loss_agg_mode=mode, loss_scale_factor=5)
    loss, theirs, _, leaves = run(load_method("entropy-bonus"), config, batch)
    assert loss - theirs == pytest.approx(-0.0875, abs=1e-6)
    assert leaves["entropy"].grad.tolist() == pytest.approx([-0.025] * 3)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("token-mean", (1 + 2 + 4) / 8 * 2),
        ("token-sum", (1 + 2 + 4) * 2),
        ("seq-mean-token-sum", (1 + 2 + 4) / 4 * 2),
        ("seq-mean-token-mean", (1.5 + 4) / 4 * 2),
        ("seq-mean-token-sum-norm", (1 + 2 + 4) / 4 * 2 / 5),
    ],
)
def test_the_penalty_is_averaged_as_verl_averages_its_own_loss(mode, expected, actor, micro_batch):
    """Penalties 1, 2 and 4; 8 tokens and 4 rollouts on two ranks, whose gradients verl averages."""
    values = torch.tensor([[1.0, 2.0], [4.0, 99.0]])
    method = own(penalty=lambda tokens: values + 0 * tokens.logp)
    batch = micro_batch(**BATCH, tokens=8, ranks=2, rollouts=4)
    loss, theirs, _, _ = run(method, actor(loss_agg_mode=mode, loss_scale_factor=5), batch)
    assert loss - theirs == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_penalty_that_is_verls_own_loss_doubles_it(mode, actor, micro_batch):
    """The unclipped loss -A exp(logp - old) as a penalty, with edges and dual clip out of reach."""
    method = own(penalty=lambda tokens: -tokens.advantages * tokens.ratio)
    config = actor(loss_agg_mode=mode, clip_ratio_low=0.9, clip_ratio_high=9.0, clip_ratio_c=10.0)
    loss, theirs, _, _ = run(method, config, micro_batch(**BATCH, tokens=8, ranks=2, rollouts=4))
    assert loss == pytest.approx(2 * theirs, rel=1e-6)


def test_token_advantages_reach_verls_loss_and_leave_the_batch_alone(actor, micro_batch):
    """Ratios e^.5 (clipped at 1.2), 1, e^-.5 (kept at .8); advantages 2, 2 and 0: -(2.4 + 2 + 0) / 3."""
    method = own(token_advantages=lambda tokens: 2 * tokens.advantages.clamp(min=0))
    batch = micro_batch(**BATCH)
    loss, theirs, _, leaves = run(method, actor(), batch)
    assert loss == pytest.approx(-4.4 / 3)
    assert theirs == pytest.approx((-1.2 - 1 + 2 * 0.8) / 3)
    assert batch[1]["advantages"].values().tolist() == [1.0, 1.0, -2.0]
    assert leaves["log_probs"].grad.tolist() == pytest.approx([0.0, -2 / 3, 0.0])  # clipped, open, weight 0


def test_clip_edges_of_single_tokens(actor, micro_batch):
    """A ratio of e^.5 = 1.6487 is open under an upper edge of .7, e^-.5 = .6065 under a lower one of .4."""
    edge = torch.tensor([[0.7, 0.1], [0.4, 0.0]])
    config = actor()
    loss, _, _, leaves = run(own(clip=lambda tokens: (edge, edge)), config, micro_batch(**BATCH))
    up, down = math.exp(0.5), math.exp(-0.5)
    assert loss == pytest.approx((-up - 1 + 2 * down) / 3)
    assert leaves["log_probs"].grad.tolist() == pytest.approx([-up / 3, -1 / 3, 2 * down / 3])
    assert (config.clip_ratio_low, config.clip_ratio_high) == (0.2, 0.2)


def test_what_the_driver_gets(actor, micro_batch):
    batch = micro_batch(**BATCH, mask=[[1, 0], [1]], slopes=[[[1.0, 0.5, 2.0]] * 2, [[0.0, 1.0, 4.0]]])
    _, _, sums, _ = run(own(controller=Fixed(coef=0.0)), actor(), batch)
    assert sums == pytest.approx(
        {
            "aent/entropy": 2.5,
            "aent/full_entropy": 3.25,
            "aent/weight": 2.0,
            "aent/tokens": 2.0,
            "aent/pull": (1 * (1 - 0.5) - 2 * (0 - 1)) / 2,
            "aent/push": (2.0 + 4.0) / 2,
        }
    )


def test_a_measure_of_the_methods_own(actor, micro_batch):
    def measure(tokens):
        return (tokens.entropy**2 * tokens.mask).sum(), tokens.mask.sum() / 2

    _, _, sums, _ = run(own(controller=Fixed(coef=0.0), measure=measure), actor(), micro_batch(**BATCH))
    assert (sums["aent/entropy"], sums["aent/weight"]) == pytest.approx((0.25 + 1 + 4, 1.5))


def test_the_method_sees_what_verl_knows(actor, micro_batch):
    seen = []

    def penalty(tokens):
        seen.append(tokens)
        return 0 * tokens.logp

    step = {"coef": 0.3, "band": (1.0, 2.0), "last_entropy": 1.5, "remaining": 0.25}
    columns = {"aent_solved": [[0.5], [1.0]], "aent_group_reward": [[-1.0], [1.0]]}
    per_token = {"ref_log_prob": [[-1.1, -2.2], [-3.3]], "rollout_is_weights": [[0.5, 2.0], [1.0]]}
    per_token["entropy_of_old"] = [[0.25, 0.5], [0.75]]
    config = actor(clip_ratio_low=0.1, clip_ratio_high=0.3)
    run(own(penalty=penalty), config, micro_batch(**BATCH, **columns, **per_token, step=step))
    (tokens,) = seen
    assert tokens.logp.tolist() == [[-1.0, -2.0], [-3.0, 0.0]]
    assert tokens.old_logp.tolist() == [[-1.5, -2.0], [-2.5, 0.0]]
    assert tokens.mask.tolist() == [[1.0, 1.0], [1.0, 0.0]]
    assert tokens.entropy.tolist() == [[0.5, 1.0], [2.0, 0.0]]
    torch.testing.assert_close(tokens.ref_logp, torch.tensor([[-1.1, -2.2], [-3.3, 0.0]]))
    assert tokens.weight.tolist() == [[0.5, 2.0], [1.0, 0.0]]
    assert tokens.old_entropy.tolist() == [[0.25, 0.5], [0.75, 0.0]]
    assert (tokens.solved.tolist(), tokens.group_reward.tolist()) == ([0.5, 1.0], [-1.0, 1.0])
    assert (tokens.coef, tokens.band, tokens.last_entropy, tokens.remaining) == (0.3, (1.0, 2.0), 1.5, 0.25)
    assert tokens.clip == (0.1, 0.3)
    assert tokens.everywhere(tokens.entropy).tolist() == [0.5, 1.0, 2.0]


def test_what_verl_does_not_keep_is_none(actor, micro_batch):
    output, data, _ = micro_batch(**BATCH)
    tokens = MethodLoss(load_method("aent"), partial(ppo_loss, config=actor())).see(output, data, None)
    assert (tokens.ref_logp, tokens.solved, tokens.group_reward, tokens.slopes) == (None,) * 4
    assert tokens.old_entropy is None
    assert tokens.weight == 1.0


def test_importance_weights_multiply_verls_loss_and_the_pull(actor, micro_batch):
    """On policy: losses -A w = -1 * .5, -1 * 2 and 2 * 1; with slopes of 1 the pull is (.5 + 2 - 2) / 3."""
    on_policy = {**BATCH, "old_logp": BATCH["logp"]}
    slopes = [[[1.0, 0.0, 1.0]] * 2, [[1.0, 0.0, 1.0]]]
    batch = micro_batch(**on_policy, rollout_is_weights=[[0.5, 2.0], [1.0]], slopes=slopes)
    loss, _, sums, _ = run(own(controller=Fixed(coef=0.0)), actor(), batch)
    assert loss == pytest.approx(-0.5 / 3)
    assert sums["aent/pull"] == pytest.approx(0.5 / 3)


def test_verl_logs_the_full_entropy_and_its_own_bonus_keeps_its_gradient(actor, micro_batch):
    method = own(token_advantages=lambda tokens: tokens.advantages)
    batch = micro_batch(**{**BATCH, "full_entropy": None})
    loss, theirs, _, leaves = run(method, actor(entropy_coeff=0.3), batch)
    assert loss == pytest.approx(theirs)
    assert leaves["entropy"].grad.tolist() == pytest.approx([-0.1] * 3)
    output, data, _ = micro_batch(**BATCH)
    _, metrics = MethodLoss(method, partial(ppo_loss, config=actor()))(output, data)
    assert metrics["actor/entropy_loss"].aggregate() == pytest.approx((0.75 + 1.25 + 2.5) / 3)


def test_an_old_entropy_that_does_not_arrive_is_refused(actor, micro_batch):
    output, data, _ = micro_batch(**BATCH)
    with pytest.raises(InputError, match="'erc' needs the old policy's entropy; verl sent none"):
        MethodLoss(load_method("erc"), partial(ppo_loss, config=actor()))(output, data)


def test_a_batch_of_another_trainer_is_refused(actor, micro_batch):
    output, data, _ = micro_batch(**BATCH)
    loss = MethodLoss(load_method("aent"), partial(ppo_loss, config=actor()))
    with pytest.raises(InputError, match="trainer_mode=aent_sync"):
        loss({name: output[name] for name in ("log_probs", "entropy")}, data)


def test_kl_cov_is_verls_own(actor, micro_batch):
    """verl copied the authors' loss: the same tokens, the same penalty, the same value and gradient."""
    torch.manual_seed(0)
    rows = {name: torch.randn(4, 6).tolist() for name in ("logp", "old_logp", "entropy", "advantages")}
    settings = {"kl_cov_ratio": 0.25, "ppo_kl_coef": 0.7, "loss_mode": "kl_cov"}
    output, data, leaves = micro_batch(**rows)
    config = actor()
    config.policy_loss.__dict__.update(settings)
    theirs, _ = ppo_loss(config, {"log_probs": output["log_probs"]}, data)
    (expected,) = torch.autograd.grad(theirs, leaves["log_probs"])
    method = load_method({"name": "kl-cov", "fraction": 0.25, "coef": 0.7})
    wide = actor(clip_ratio_low=1e9, clip_ratio_high=1e9, clip_ratio_c=1e9)
    loss, _, _, leaves = run(method, wide, micro_batch(**rows))
    assert loss == pytest.approx(theirs.item(), rel=1e-5)
    torch.testing.assert_close(leaves["log_probs"].grad, expected)
