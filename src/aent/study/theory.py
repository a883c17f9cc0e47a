"""The paper's two propositions on random MDPs by enumeration; the effect of clamping; one exact step.

Every check compares the two sides of an inequality over at least 1,000 MDPs. It keeps every case, so that
violations can be printed and the tightness drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from aent.ops import token_stats
from aent.study.tree import (
    Levels,
    bias_bound,
    evaluate,
    gradient,
    gradient_bound,
    norm,
    soft_optimum,
    softmax,
    stationary_bound,
)
from aent.subsets import Fraction, Full, Subset

CHECKS = ("gradient", "bias", "stationary")
SHAPES = ((2, 1), (3, 1), (10, 1), (100, 1), (2, 2), (4, 2), (10, 2), (2, 4), (3, 4), (2, 8))
"""(actions, horizon) of the random MDPs."""
CHUNK = 100
ROUNDING = 1e-9
"""A difference below this, relative to 1 + the bound, is float64 rounding."""


@dataclass(frozen=True)
class Case:
    """One MDP and one inequality: ``value <= bound`` is claimed."""

    check: str
    actions: int
    horizon: int
    coef: float
    value: float
    bound: float
    entropy: float
    """H(pi) of the policy in question, nats."""
    where: tuple[int, int, int]
    """(seed, shape, index): `random_mdps(seed, shape)` draws the MDP again."""

    @property
    def violated(self) -> bool:
        """Whether the inequality fails by more than rounding."""
        return not self.value <= self.bound + ROUNDING * (1 + self.bound)


class MDPs(NamedTuple):
    """Random MDPs of one shape, each with a policy, and a coefficient for all."""

    rewards: Float[np.ndarray, "mdps responses"]
    policy: Levels
    """Softmax of normal logits with a scale between .1 and 10."""
    coef: float


def random_mdps(seed: int, shape: int) -> MDPs:
    """Draw MDPs of one of `SHAPES`: odd ones have rewards from 0 to 1, even ones right or wrong."""
    actions, horizon = SHAPES[shape]
    rng = np.random.default_rng([seed, shape])
    uniform = rng.random((CHUNK, actions**horizon))
    right = uniform < rng.random((CHUNK, 1)) ** 3  # from every response optimal to hardly any
    rewards = np.where(np.arange(CHUNK)[:, None] % 2, uniform, right)
    scale = 10 ** rng.uniform(-1, 1, (CHUNK, 1, 1))
    logits = [scale * rng.standard_normal((CHUNK, actions**t, actions)) for t in range(horizon)]
    return MDPs(rewards, softmax(logits), float(10 ** rng.uniform(-2, 0)))


def check(seed: int, shape: int) -> list[Case]:
    """Check both propositions on the MDPs of one shape and seed."""
    actions, horizon = SHAPES[shape]
    rewards, policy, coef = random_mdps(seed, shape)
    best = rewards.max(1)
    cases: list[Case] = []

    def add(name: str, coef: float, policy: Levels, value: np.ndarray, bound: np.ndarray) -> None:
        entropy = evaluate(policy, rewards).entropy
        for i in range(len(rewards)):
            numbers = float(value[i]), float(bound[i]), float(entropy[i])
            cases.append(Case(name, actions, horizon, coef, *numbers, (seed, shape, i)))

    slope = norm(gradient(policy, rewards, 0.0))
    add("gradient", 0.0, policy, slope, gradient_bound(policy, rewards))
    optimum = soft_optimum(rewards, actions, horizon, coef)
    gap = best - evaluate(optimum, rewards).reward
    add("bias", coef, optimum, gap, bias_bound(rewards, actions, horizon, coef))
    near = _near(optimum, seed, shape)
    gap = best - evaluate(near, rewards).reward
    add("stationary", coef, near, gap, stationary_bound(near, rewards, coef))
    return cases


def _near(optimum: Levels, seed: int, shape: int) -> Levels:
    """Return policies at various distances from the optimum: its logits plus noise of scale .001 to 3."""
    rng = np.random.default_rng([seed, shape, 1])
    scale = 10 ** rng.uniform(-3, 0.5, (CHUNK, 1, 1))
    tiny = np.finfo(float).tiny  # in place of a probability that underflowed
    return softmax(
        [np.log(np.maximum(level, tiny)) + scale * rng.standard_normal(level.shape) for level in optimum]
    )


def summary(name: str, cases: Sequence[Case]) -> dict[str, Any]:
    """Count the cases and violations of a check, and measure how tight it is (value / bound).

    Rewards are at most 1, so a bound of 1 or more says nothing; the bounds below 1 are counted too.
    """
    mine = [case for case in cases if case.check == name]
    tight = np.array([case.value / case.bound for case in mine if case.bound > 1e-9])
    tenth, half, most = np.quantile(tight, [0.1, 0.5, 0.9])
    return {
        "check": name,
        "MDPs": len(mine),
        "violations": sum(case.violated for case in mine),
        "bound < 1": sum(case.bound < 1 for case in mine),
        "10 %": float(tenth),
        "median": float(half),
        "90 %": float(most),
        "tightest": float(tight.max()),
    }


def describe(case: Case) -> str:
    """Write out the MDP of a case: rewards of all responses, and the policy."""
    seed, shape, index = case.where
    mdps = random_mdps(seed, shape)
    policy = [level[index].tolist() for level in mdps.policy]
    return f"rewards {mdps.rewards[index].tolist()}\npolicy {policy}\ncoef {mdps.coef}"


class Clamp(NamedTuple):
    """The bias of the clamped entropy over random one-step MDPs."""

    kept: int
    best: Float[np.ndarray, " mdps"]
    """V* - V at the best resting point."""
    worst: Float[np.ndarray, " mdps"]
    """V* - V at the worst one."""
    bound: float
    """``coef * log kept``."""


CLAMP_ACTIONS, CLAMP_COEF = 12, 0.2
CLAMP_KEPT = (12, 11, 10, 8, 6, 4, 3, 2, 1)


def clamp(seed: int) -> list[Clamp]:
    """Measure the bias of the clamped entropy for smaller and smaller subsets; rewards from 0 to 1."""
    rewards = np.random.default_rng([seed, 2]).random((CHUNK, CLAMP_ACTIONS))
    gaps = [resting_gaps(rewards, CLAMP_COEF, kept) for kept in CLAMP_KEPT]
    return [
        Clamp(kept, np.nanmin(gap, 1), np.nanmax(gap, 1), CLAMP_COEF * float(np.log(kept)))
        for kept, gap in zip(CLAMP_KEPT, gaps, strict=True)
    ]


def resting_gaps(
    rewards: Float[np.ndarray, "mdps actions"], coef: float, kept: int
) -> Float[np.ndarray, "mdps subsets"]:
    """Return V* - V at every point where ascent on ``V + coef * H~`` can rest, NaN for the other subsets.

    While the subset S of the likeliest actions stays the same, ascent ends at ``softmax(r / coef)`` on S and
    at 0 elsewhere. S stays if no action outside it earns more than V there. Otherwise that action gains
    probability until it enters S. There can be several such S: its bonus keeps a mediocre action alive that
    was likely at the start, and a better action outside S gets no bonus.

    The paper has no theorem for this bias, but one is easy to prove: a best action is always in S, so
    ``V + coef * H~ >= V*`` and ``V* - V <= coef * H~ <= coef * log kept``.
    """
    actions = rewards.shape[1]
    subsets = np.array(list(combinations(range(actions), kept)))
    inside = rewards[:, subsets]
    weight = np.exp((inside - inside.max(-1, keepdims=True)) / coef)
    value = (weight * inside).sum(-1) / weight.sum(-1)
    member = np.zeros((len(subsets), actions), dtype=bool)
    member[np.arange(len(subsets))[:, None], subsets] = True
    best_outside = np.where(member, -np.inf, rewards[:, None, :]).max(-1)
    rests = best_outside <= value
    return np.where(rests, rewards.max(1, keepdims=True) - value, np.nan)


ONE_STEP: dict[str, tuple[float, Subset]] = {
    "none": (0.0, Full()),
    "entropy": (0.3, Full()),
    "clamped": (0.3, Fraction(drop=0.9)),
}
"""Coefficient and subset of the three compared steps."""
ONE_STEP_ACTIONS, ONE_STEP_OPTIMAL, ONE_STEP_LR = 1_000, 9, 5.0


def one_step(coef: float, subset: Subset) -> tuple[Float[Tensor, " actions"], Float[Tensor, " actions"]]:
    """Return the policy before and after one exact step of ``logits += lr * grad (V + coef * H~)``.

    One state, 1,000 actions whose probabilities fall as 1 / rank, the tenth of them optimal.
    """
    ranks = torch.arange(1, ONE_STEP_ACTIONS + 1, dtype=torch.float64)
    logits = (-ranks.log()).requires_grad_()
    stats = token_stats(logits, torch.tensor(ONE_STEP_OPTIMAL), subset=subset)
    (stats.logp.exp() + coef * stats.entropy).backward()
    assert logits.grad is not None
    with torch.no_grad():
        return logits.softmax(0), (logits + ONE_STEP_LR * logits.grad).softmax(0)


def one_step_table() -> list[dict[str, Any]]:
    """Return the probabilities of the optimal action, the other likely ones and the tail around one step."""
    rows = []
    for name, (coef, subset) in ONE_STEP.items():
        before, after = one_step(coef, subset)
        for moment, policy in (("before", before), ("after", after)):
            if moment == "before" and rows:
                continue
            likely = float(policy[: ONE_STEP_ACTIONS // 10].sum())
            rows.append(
                {
                    "step": "start" if moment == "before" else name,
                    "optimal": float(policy[ONE_STEP_OPTIMAL]),
                    "other likely": likely - float(policy[ONE_STEP_OPTIMAL]),
                    "tail": 1 - likely,
                    "entropy": float(-(policy * policy.log()).sum()),
                }
            )
    return rows
