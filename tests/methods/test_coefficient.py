"""Methods of `coefficient` and `nucleus` by hand: defaults, what they add, its gradient, a bandit."""

import math
from dataclasses import replace

import pytest
import torch

from aent import InputError, TopP, load_method, with_terms
from aent.controllers import PI, Anchor, Cosine, Dual, Lagrangian, Linear, Share, SignStep
from aent.method import Tokens
from aent.methods.stack import stacked
from aent.objective import measure_weights

NEEDED = {
    "linear-bonus": {"steps": 100},
    "cosine-bonus": {"steps": 100},
    "sac": {"target": 0.5, "coef": 0.01, "lr": 0.1},
    "lagrangian": {"target": 0.5, "coef": 0.01, "lr": 0.1},
    "aer": {"coef": 0.01, "lr": 0.1, "easy": 0.5, "hard": 2.0},
}
ENTROPY = torch.tensor([[0.1, 0.9, 0.5, 7.0], [0.2, 0.4, 0.3, 0.6]])
TOKENS = Tokens(
    logp=torch.tensor([[0.97, 0.9, 0.99, 0.98], [0.96, 0.5, 0.1, 0.999]]).log(),
    old_logp=torch.tensor([[0.97, 0.9, 0.90, 0.98], [0.80, 0.5, 0.1, 0.999]]).log(),
    entropy=ENTROPY,
    advantages=torch.tensor([[2.0], [-1.0]]).expand(2, 4),
    mask=torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]),
    group_reward=torch.tensor([0.25, 1.0]),
)


def added(method, tokens, count=7.0):
    """What the method adds to a loss of 0, the host averaging over all tokens that count."""
    zero = torch.zeros((), dtype=tokens.entropy.dtype)
    mean = lambda values: (values * tokens.mask).sum() / count  # noqa: E731
    return with_terms(zero, method, tokens, host_mean=mean, count=count)


def named(name, **changes):
    return load_method({"name": name} | NEEDED.get(name, {}) | changes)


@pytest.mark.parametrize(
    ("name", "controller"),
    [
        ("linear-bonus", Linear(start=0.01, end=0.0, steps=100)),  # A3C's customary 0.01 to none
        ("cosine-bonus", Cosine(start=0.01, end=0.0, steps=100)),
        ("sac", Dual(coef=0.01, target=0.5, lr=0.1)),
        ("lagrangian", Lagrangian(coef=0.01, target=0.5, lr=0.1)),
        # arXiv 2505.22312, training scripts: H* 0.2, delta 1e-4, alpha_0 0, box [0, 0.005]
        ("skywork", SignStep(level=0.0, target=0.2, delta=1e-4, coef_min=0.0, coef_max=0.005)),
        ("aer", Share(coef=0.01, lr=0.1, share=0.4)),  # 0.4: a digest of arXiv 2510.10959
        ("entropic", PI(target=0.1, kp=1.0, ki=0.01, coef_min=-1.0, coef_max=1.0)),  # arXiv 2511.15248
        ("siren", Anchor(level=0.005)),  # arXiv 2509.25133
    ],
)
def test_published_defaults(name, controller):
    assert named(name).controller == controller


def test_published_defaults_beside_the_controller():
    assert named("siren").subset == TopP(mass=0.8)
    assert named("siren").measure.keywords == {"quantile": 0.8}
    assert named("siren").bonus.keywords == {"quantile": 0.8}
    assert named("entropic").penalty.keywords == {"probability": 0.95}


@pytest.mark.parametrize("name", NEEDED)
def test_what_was_not_published_must_be_given(name):
    with pytest.raises(
        InputError, match=f"{name}.* needs .*{list(NEEDED[name])[-1]}.*no value was published"
    ):
        load_method(name)


@pytest.mark.parametrize("name", ["linear-bonus", "cosine-bonus", "sac", "lagrangian", "skywork"])
def test_the_classic_bonus_by_hand(name):
    """coef 0.2 and entropies 0.1 + 0.9 + 0.5 + 0.2 + 0.4 + 0.3 + 0.6 = 3 over 7 tokens: -0.2 * 3 / 7."""
    loss = added(named(name), replace(TOKENS, coef=0.2))
    assert loss.item() == pytest.approx(-0.6 / 7)


def test_aer_by_hand():
    """Factor hard + (easy - hard) * reward = 2 - 1.5 * reward: 1.625 at 0.25, 0.5 at 1.

    Entropies 1.5 and 1.5 per row, coef 0.2: -(1.625 * 1.5 + 0.5 * 1.5) * 0.2 / 7 = -0.6375 / 7.
    """
    entropy = ENTROPY.clone().requires_grad_()
    loss = added(named("aer"), replace(TOKENS, coef=0.2, entropy=entropy))
    assert loss.item() == pytest.approx(-0.6375 / 7)
    loss.backward()
    factors = torch.tensor([[1.625], [0.5]])
    torch.testing.assert_close(entropy.grad, -0.2 * factors * TOKENS.mask / 7)


def test_aer_counts_rewards_outside_0_and_1_as_the_ends():
    tokens = replace(TOKENS, coef=1.0, group_reward=torch.tensor([-3.0, 5.0]))
    assert added(named("aer"), tokens).item() == pytest.approx(-(2 * 1.5 + 0.5 * 1.5) / 7)


def test_aer_needs_groups_and_an_order():
    with pytest.raises(InputError, match="come in no groups"):
        added(named("aer"), replace(TOKENS, coef=0.2, group_reward=None))
    with pytest.raises(InputError, match=r"easy=3.0 and hard=2.0 must satisfy 0 <= easy <= hard"):
        named("aer", easy=3.0)


def test_entropic_by_hand():
    """a * mean(-r |A|) over the tokens above 0.95: three of them in two rows, the fourth is padding.

    pi     r              |A|   r |A|
    0.97   1              2     2
    0.99   0.99 / 0.90    2     2.2
    0.96   0.96 / 0.80    1     1.2
    0.999  1              1     1
    mean -6.4 / 4 = -1.6; at a = -0.5 (entropy too low) the loss grows by 0.8.
    """
    logp = TOKENS.logp.clone().requires_grad_()
    loss = added(named("entropic"), replace(TOKENS, coef=-0.5, logp=logp))
    assert loss.item() == pytest.approx(0.8)
    loss.backward()
    # d/d logp of a * (-r |A|) / 4 is the term itself, as r = exp(logp - old_logp)
    expected = torch.tensor([[2.0, 0, 2.2, 0], [1.2, 0, 0, 1.0]]) * 0.5 / 4
    torch.testing.assert_close(logp.grad, expected)


def test_entropic_without_probable_tokens_adds_nothing():
    rare = TOKENS.logp - 3
    loss = added(named("entropic"), replace(TOKENS, coef=-0.5, logp=rare, old_logp=rare))
    assert loss.item() == 0


@pytest.mark.parametrize("probability", [-0.1, 1.0])
def test_entropic_names_a_bad_threshold(probability):
    with pytest.raises(InputError, match=f"probability={probability} must be at least 0 and below 1"):
        named("entropic", probability=probability)


def test_siren_measures_the_peaks_of_each_response():
    """Quantile 0.5 of 0.1 0.9 0.5 is 0.5, strictly above it 0.9; of 0.2 0.4 0.3 0.6 it is 0.35: 0.4, 0.6.

    Mean over responses of means: (0.9 + (0.4 + 0.6) / 2) / 2 = 0.7. Padding's 7.0 counts nowhere.
    """
    weights = measure_weights(named("siren", quantile=0.5), TOKENS)
    torch.testing.assert_close(weights, torch.tensor([[0, 1.0, 0, 0], [0, 0.5, 0, 0.5]]))
    assert ((weights * ENTROPY).sum() / weights.sum()).item() == pytest.approx(0.7)


def test_siren_at_the_published_quantile():
    """0.8 of 0.1 0.9 0.5: at place 1.6 of 0 1 2, 0.5 + 0.6 * 0.4 = 0.74; of the second row, at 2.4 of
    0 to 3, 0.4 + 0.4 * 0.2 = 0.48: one token above in each.
    """
    expected = torch.tensor([[0, 1.0, 0, 0], [0, 0, 0, 1.0]])
    torch.testing.assert_close(measure_weights(named("siren"), TOKENS), expected)


def test_siren_by_hand():
    """P = 0.7 as above, anchor 0.4, coef 0.2, a micro-batch that is all of the step: 0.2 * 0.3^2 = 0.018.

    Gradient 2 * 0.2 * 0.3 * weight / 2 responses: 0.06 at 0.9, 0.03 at 0.4 and 0.6.
    """
    entropy = ENTROPY.clone().requires_grad_()
    tokens = replace(TOKENS, coef=0.2, band=(0.4, 0.4), entropy=entropy)
    loss = added(named("siren", quantile=0.5), tokens)
    assert loss.item() == pytest.approx(0.018)
    loss.backward()
    torch.testing.assert_close(entropy.grad, torch.tensor([[0, 0.06, 0, 0], [0, 0.03, 0, 0.03]]))


def test_siren_pulls_from_both_sides():
    below = replace(TOKENS, coef=0.2, band=(1.0, 1.0), entropy=ENTROPY.clone().requires_grad_())
    added(named("siren", quantile=0.5), below).backward()
    assert below.entropy.grad.min() < 0  # descent raises the entropy


def test_siren_without_a_token_above_adds_nothing_and_measures_nothing():
    flat = replace(TOKENS, coef=0.2, band=(0.4, 0.4), entropy=torch.ones(2, 4, requires_grad=True))
    empty = replace(flat, mask=torch.zeros(2, 4))
    for tokens in (flat, empty):
        assert measure_weights(named("siren"), tokens).sum() == 0
        added(named("siren"), tokens).backward()
    assert flat.entropy.grad.abs().max() == 0


def test_siren_names_what_it_needs():
    with pytest.raises(InputError, match="needs a controller that aims at an entropy"):
        added(named("siren", controller={"name": "Fixed", "coef": 0.1}), replace(TOKENS, coef=0.1))
    with pytest.raises(InputError, match=r"quantile=1.0 must be at least 0 and below 1"):
        named("siren", quantile=1.0)


def test_a_stack_keeps_what_the_controller_is_shown():
    both = stacked([load_method("none"), named("siren")])
    assert both.measure is not None
    assert measure_weights(both, TOKENS).sum() == 2
    assert measure_weights(load_method("entropy-bonus"), TOKENS) is TOKENS.mask


@pytest.mark.parametrize("name", [*NEEDED, "skywork", "siren", "entropic"])
def test_gradients_in_float64(name):
    """Autograd of what is added, with respect to logits, against finite differences."""
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
    tokens = replace(
        TOKENS,
        coef=0.3,
        band=(0.4, 0.4),
        mask=TOKENS.mask.double(),
        advantages=TOKENS.advantages.double(),
        old_logp=logits.detach().log_softmax(-1)[..., 0] - 0.1,
    )
    method = named(name, **({"probability": 0.1} if name == "entropic" else {}))

    def loss(logits):
        logp = logits.log_softmax(-1)
        entropy = -(logp.exp() * logp).sum(-1)
        return added(method, replace(tokens, logp=logp[..., 0], entropy=entropy))

    assert torch.autograd.grad(loss(logits), logits)[0].abs().max() > 1e-3
    assert torch.autograd.gradcheck(loss, logits)


def test_sac_brings_a_bandit_to_its_target_entropy():
    """Ten arms, one better; exact gradients. Without a bonus the entropy goes to 0, with it to 1 nat."""
    torch.manual_seed(0)
    reward = torch.tensor([1.0] + [0.0] * 9)

    def played(controller, steps=1500):
        logits = torch.randn(10, requires_grad=True)
        for _ in range(steps):
            logp = logits.log_softmax(0)
            entropy = -(logp.exp() * logp).sum()
            loss = -(logp.exp() @ reward) - controller.coef * entropy
            (gradient,) = torch.autograd.grad(loss, logits)
            with torch.no_grad():
                logits -= gradient
            controller.update(entropy.item())
        return entropy.item()

    rule = Dual(coef=0.01, target=1.0, lr=0.05)
    assert played(rule) == pytest.approx(1.0, abs=0.01)
    # at the optimum pi ~ exp(reward / coef), and this coef gives 1 nat
    best = 1 / (1 + 9 * math.exp(-1 / rule.coef))
    rest = (1 - best) / 9
    assert -best * math.log(best) - 9 * rest * math.log(rest) == pytest.approx(1.0, abs=0.02)
    assert played(Dual(coef=0.0, target=1.0, lr=0.05)) < 0.05
