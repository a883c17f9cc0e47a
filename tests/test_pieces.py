"""Pieces of a user's own: what they lack or return wrongly is said by name, before it reaches the weights."""

import math
import re

import pytest
import torch

from aent import Cut, Fixed, InputError, Method, load_method
from aent.method import Rollouts, Tokens
from aent.objective import clip_edges, entropy_sum, rollout_advantages, token_advantages, with_terms
from aent.ops import token_stats
from aent.pieces import finite_coefficient, require_state

NAN = float("nan")


def tokens(**changes):
    zeros = torch.zeros(16, 3)
    return Tokens(
        logp=zeros,
        old_logp=zeros,
        entropy=zeros,
        full_entropy=zeros,
        advantages=zeros,
        mask=zeros + 1,
        coef=0.1,
        **changes,
    )


def rollouts():
    return Rollouts(rewards=torch.zeros(4, 2), mean_logp=lambda: torch.zeros(4, 2))


def added(method):
    return with_terms(torch.zeros(()), method, tokens(), host_mean=lambda values: values.mean(), count=48.0)


PLACES = {
    "rewards": lambda method: rollout_advantages(method, rollouts(), lambda rewards: rewards),
    "group_advantages": lambda method: rollout_advantages(method, rollouts(), lambda rewards: rewards),
    "token_advantages": lambda method: token_advantages(method, tokens()),
    "clip": lambda method: clip_edges(method, tokens()),
    "penalty": added,
    "bonus": added,
    "measure": lambda method: entropy_sum(method, tokens()),
}
RIGHT = {
    "rewards": torch.ones(4, 2),
    "group_advantages": torch.ones(4, 2),
    "token_advantages": torch.ones(16, 3),
    "clip": (0.2, torch.full((16, 3), 0.28)),
    "penalty": torch.ones(16, 3),
    "bonus": torch.ones(16, 3),
    "measure": (torch.tensor(3.0), torch.tensor(2.0)),
}
WRONG = [
    ("rewards", torch.ones(4, 1), r"shape \(4, 1\); it must be \(groups, size\), here \(4, 2\)"),
    ("rewards", [1.0] * 8, "a list; return a tensor"),
    ("rewards", torch.tensor([[NAN, 1.0]] * 4), "NaN or infinity for 4 of 8 values"),
    ("group_advantages", torch.ones(8), r"shape \(8,\); it must be \(groups, size\)"),
    ("group_advantages", torch.full((4, 2), math.inf), "NaN or infinity for 8 of 8 values"),
    ("token_advantages", torch.ones(1, 3), r"shape \(1, 3\); it must be \(batch, tokens\), here \(16, 3\)"),
    ("token_advantages", torch.ones(16, 1), r"shape \(16, 1\)"),
    ("token_advantages", torch.tensor(1.0), r"shape \(\)"),
    ("token_advantages", 1.0, "a float; return a tensor"),
    ("token_advantages", torch.full((16, 3), NAN), "NaN or infinity for 48 of 48 values"),
    ("clip", 0.2, r"a float; return a pair \(low, high\)"),
    ("clip", (0.2, torch.ones(1, 3)), r"'high' of shape \(1, 3\)"),
    ("clip", (NAN, 0.2), "NaN for 'low'"),
    ("clip", ("0.2", 0.2), "'0.2' for 'low'"),
    ("clip", (0.2, torch.full((16, 3), NAN)), "NaN for 'high'"),
    ("penalty", torch.ones(3), r"shape \(3,\)"),
    ("penalty", torch.full((16, 3), NAN), "NaN or infinity"),
    ("bonus", torch.ones(16, 1), r"shape \(16, 1\)"),
    ("bonus", torch.full((16, 3), math.inf), "NaN or infinity"),
    ("measure", torch.ones(16, 3), "a Tensor; return a pair"),
    ("measure", (torch.ones(16), torch.tensor(1.0)), r"shape \(16,\); it must be a single number"),
    ("measure", (torch.tensor(NAN), torch.tensor(1.0)), "NaN or infinity for 1 of 1"),
]


def returning(part, value):
    return Method(name="mine", controller=Fixed(coef=0.1), **{part: lambda _: value})


@pytest.mark.parametrize("part", PLACES)
def test_what_has_the_right_shape_passes(part):
    PLACES[part](returning(part, RIGHT[part]))


@pytest.mark.parametrize(("part", "value", "message"), WRONG)
def test_a_wrong_shape_or_number_is_said_with_part_and_method(part, value, message):
    with pytest.raises(InputError, match=f"^{part} of method 'mine' returned .*{message}"):
        PLACES[part](returning(part, value))


def test_an_edge_may_be_infinite():
    """As in kl-cov, which does not clip above."""
    assert clip_edges(returning("clip", (1.0, math.inf)), tokens()) == (1.0, math.inf)


class NoState:
    coef, band = 0.1, None

    def update(self, entropy):
        return self.coef


def test_a_controller_without_its_members_is_refused_at_construction():
    with pytest.raises(
        InputError, match=r"controller of method 'mine' .* no state_dict, load_state_dict; give"
    ):
        Method(name="mine", controller=NoState())
    with pytest.raises(InputError, match=r"controller of method 'none' .*no coef, band, update"):
        load_method({"name": "none", "controller": object()})


def test_a_subset_without_cut_is_refused_at_construction():
    with pytest.raises(InputError, match=r"subset of method 'mine' is 0\.9, which has no cut"):
        Method(name="mine", subset=0.9)


@pytest.mark.parametrize("state", [[0.1], {"coef": torch.tensor(0.1)}], ids=str)
def test_a_state_that_no_checkpoint_can_store_is_refused(state):
    class Odd(Fixed):
        def state_dict(self):
            return state

    with pytest.raises(InputError, match=r"state_dict\(\) of it returned .*cannot store.*Return a dict"):
        require_state("it", Odd(coef=0.1))


@pytest.mark.parametrize("coef", [NAN, math.inf, -math.inf, "0.1", None, True, torch.tensor(0.1)])
def test_a_coefficient_that_is_no_finite_number_stops(coef):
    with pytest.raises(InputError, match=f"coefficient of method 'mine' is {re.escape(repr(coef))}"):
        finite_coefficient("method 'mine'", coef)


class BareThreshold:
    def cut(self, logits):
        return logits.amax(-1, keepdim=True) - 1


class FlatThreshold:
    def cut(self, logits):
        threshold = logits.amax(-1) - 1
        return Cut(threshold, torch.ones_like(threshold))


class NumberForShare:
    def cut(self, logits):
        return Cut(logits.amax(-1, keepdim=True) - 1, 1.0)


@pytest.mark.parametrize("backend", ["reference", "chunked", "auto"])
@pytest.mark.parametrize(
    ("subset", "message"),
    [
        (BareThreshold(), r"cut\(logits\) of BareThreshold returned a Tensor; return aent.subsets.Cut"),
        (FlatThreshold(), r"FlatThreshold returned a threshold of \(5,\); it must be .* \(5, 1\)"),
        (NumberForShare(), r"NumberForShare returned a share of float"),
    ],
)
def test_what_cut_returns_is_checked(subset, message, backend):
    logits = torch.randn(5, 7)
    with pytest.raises(InputError, match=message):
        token_stats(logits, torch.zeros(5, dtype=torch.long), subset=subset, backend=backend)
