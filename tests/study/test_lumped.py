"""The lumped policy against the dense one, action by action."""

import numpy as np
import pytest
import torch

from aent.ops import token_stats
from aent.study.lumped import LumpedPolicy
from aent.study.mdp import Job, simulate
from aent.study.settings import Bonus, World
from aent.subsets import Fraction

ACTIONS, OPTIMAL, ROWS, BATCH, STEPS = 60, 3, 4, 3, 150


class Dense:
    """The same policies with one logit per action: optimal ones first, as the actions have no order."""

    def __init__(self, prior):
        self.logits = np.zeros((ROWS, ACTIONS))
        self.logits[:, :OPTIMAL] = np.log(prior / (1 - prior) * (ACTIONS - OPTIMAL) / OPTIMAL)
        self.slot_of = [{a: 1 + a for a in range(OPTIMAL)} for _ in range(ROWS)]

    def actions(self, row, slots):
        """Which action each slot of the lumped policy is: an untouched one, whichever, when it is new."""
        action_of = {slot: action for action, slot in self.slot_of[row].items()}
        for slot in slots:
            if slot not in action_of:
                action = next(a for a in range(ACTIONS) if a not in self.slot_of[row])
                self.slot_of[row][action] = slot
                action_of[slot] = action
        return [action_of[slot] for slot in slots]

    def entropy_and_gradient(self, drop):
        """By `aent.token_stats`, hence by the library's own subsets and autograd."""
        logits = torch.tensor(self.logits, requires_grad=True)
        stats = token_stats(
            logits, torch.zeros(ROWS, dtype=torch.long), subset=Fraction(drop=drop), backend="reference"
        )
        stats.entropy.sum().backward()
        return stats.entropy.detach().numpy(), logits.grad.numpy()


@pytest.mark.parametrize("drop", [0.0, 0.3, 0.8, 0.95])
def test_lumped_and_dense_agree(drop):
    """150 steps of noise and bonus in both; then every logit, entropy and probability is the same."""
    rng = np.random.default_rng(0)
    lumped = LumpedPolicy(rows=ROWS, actions=ACTIONS, optimal=OPTIMAL, prior=0.1, samples=STEPS * BATCH)
    dense = Dense(prior=0.1)
    kept = ACTIONS - int(drop * ACTIONS)
    for _ in range(STEPS):
        slots = lumped.sample(rng.random((ROWS, BATCH)))
        entropy, gradient = lumped.entropy(lumped.subset(kept) if drop else None)
        dense_entropy, dense_gradient = dense.entropy_and_gradient(drop)
        np.testing.assert_allclose(entropy, dense_entropy, atol=1e-9)
        lumped.logits += 0.3 * gradient
        dense.logits += 0.3 * dense_gradient
        pushes = rng.standard_normal((ROWS, BATCH))
        opened = lumped.open(slots, rng.random((ROWS, BATCH)))
        lumped.push(opened, pushes)
        for row in range(ROWS):
            np.add.at(dense.logits[row], dense.actions(row, opened[row]), pushes[row])
        lumped.refresh()
    assert lumped.untouched.min() == 0  # the slot of the untouched actions has run empty somewhere
    for row in range(ROWS):
        for action in range(ACTIONS):
            slot = dense.slot_of[row].get(action, 0)
            assert abs(lumped.logits[row, slot] - dense.logits[row, action]) < 1e-6
    probability = torch.tensor(dense.logits).softmax(-1)[:, :OPTIMAL].sum(-1).numpy()
    np.testing.assert_allclose(lumped.expected_reward(), probability, atol=1e-9)


def test_the_start_is_the_prior():
    """2 of 100 actions share .5, the others .5 / 98 each: H = 2 * .25 log 4 + .5 log 196 = 3.3322 nats."""
    policy = LumpedPolicy(rows=1, actions=100, optimal=2, prior=0.5, samples=1)
    assert policy.expected_reward()[0] == pytest.approx(0.5)
    entropy, gradient = policy.entropy(None)
    assert entropy[0] == pytest.approx(0.5 * np.log(4) + 0.5 * np.log(196))
    # dH/dz = -p (log p + H), p = 1/4: raising what is too likely already lowers the entropy
    assert gradient[0, 1] == pytest.approx(-0.25 * (np.log(0.25) + entropy[0]))


def test_clamped_entropy_by_hand():
    """Five actions, one of them optimal at p = 1/2, four at 1/8. Keep three: the optimal one and two of the
    four tied ones, which share: q = (2/3, 1/6, 1/6), H~ = 2/3 log 3/2 + 1/3 log 6 = .8676 nats.
    The gradient of a tied one is w (-q (log q + H~)) with w = 2/4 and q = 1/6."""
    policy = LumpedPolicy(rows=1, actions=5, optimal=1, prior=0.5, samples=1)
    entropy, gradient = policy.entropy(policy.subset(3))
    by_hand = 2 / 3 * np.log(3 / 2) + 1 / 3 * np.log(6)
    assert entropy[0] == pytest.approx(by_hand)
    assert gradient[0, 0] == pytest.approx(-0.5 / 6 * (np.log(1 / 6) + by_hand))
    assert gradient[0, 1] + 4 * gradient[0, 0] == pytest.approx(0)  # logits are free up to a constant


def test_sampling_has_the_policy_s_frequencies():
    """Uniform numbers on a grid of midpoints meet each slot as often as its probability says."""
    policy = LumpedPolicy(rows=2, actions=10, optimal=2, prior=0.4, samples=1)
    grid = (np.arange(1000) + 0.5) / 1000
    slots = policy.sample(np.tile(grid, (2, 1)))
    assert [(slots[0] == slot).sum() for slot in range(3)] == [600, 200, 200]


def test_one_untouched_action_drawn_twice_is_one_action():
    policy = LumpedPolicy(rows=2, actions=3, optimal=1, prior=0.4, samples=2)
    slots = policy.open(np.zeros((2, 2), dtype=int), np.array([[0.1, 0.2], [0.1, 0.9]]))
    assert slots.tolist() == [[2, 2], [2, 3]]  # of two members, .1 and .2 are the first, .9 is the second
    assert policy.untouched.tolist() == [1, 0]


def test_a_seed_does_not_depend_on_its_company():
    world = World(actions=1000, steps=60, states=3, prior=0.1, lr=3.0)
    bonus = Bonus(coef=0.01, drop=0.9, band=(0.1, 0.3), lr=1e-3)
    alone = simulate(Job(world, bonus, (7,)))
    together = simulate(Job(world, bonus, (3, 7)))
    np.testing.assert_allclose(together["final"][1], alone["final"][0], rtol=1e-9)
    np.testing.assert_allclose([c[1] for c in together["coef"]], [c[0] for c in alone["coef"]], rtol=1e-9)
    assert alone["coef"][-1] != alone["coef"][0]  # the band moved it
