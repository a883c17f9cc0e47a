"""The paper's synthetic experiment: sampled policy gradients with an entropy bonus, many actions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from aent.study.lumped import LumpedPolicy
from aent.study.settings import Bonus, World

CURVE_POINTS = 200
_CHUNK = 100  # steps whose random numbers are drawn at once


@dataclass(frozen=True)
class Job:
    """Independent runs, one per seed, computed together; the states of a run share its coefficient."""

    world: World
    bonus: Bonus
    seeds: tuple[int, ...]


class Draws(NamedTuple):
    """The random numbers of one step. The numbers of a seed do not depend on the other seeds."""

    action: Float[np.ndarray, "rows batch"]
    member: Float[np.ndarray, "rows batch"]
    noise: Float[np.ndarray, "rows batch"]


def simulate(job: Job) -> dict[str, Any]:
    """Train; return the curves and the final reward of each state.

    In each step and state, `batch` actions a_i are sampled and get the reward r_i = [a_i optimal] + noise:

    ``logits += lr * (sum_i A_i grad log pi(a_i) / batch + coef * grad H~)``,
    ``A_i = (r_i - mean of the other r_j) / noise``.

    The advantages sum to zero, so only sampled actions move. Then the controller of each seed receives the
    mean clamped entropy (nats) over its states.

    Returns:
        step: the steps of the curves. reward (probability of the optimal actions), entropy (clamped, nats)
        and coef: for each of these steps one value per seed, a mean over the states. final: for each seed,
        the reward of each state at the end.
    """
    world, bonus, seeds = job.world, job.bonus, len(job.seeds)
    controllers = [bonus.controller(world.actions) for _ in job.seeds]
    idle = bonus == Bonus()
    policy = LumpedPolicy(
        rows=seeds * world.states,
        actions=world.actions,
        optimal=world.optimal,
        prior=world.prior,
        samples=world.steps * world.batch,
    )
    interval = max(1, world.steps // CURVE_POINTS)
    curve: dict[str, list[Any]] = {"step": [], "reward": [], "entropy": [], "coef": []}
    for step, draws in enumerate(_draws(job)):
        recorded = step % interval == 0
        if recorded:
            curve["step"].append(step)
            curve["reward"].append(_per_seed(policy.expected_reward(), seeds))
        slots = policy.sample(draws.action)
        if recorded or not idle:
            kept = bonus.kept(world.actions)
            weights = policy.subset(kept) if kept < world.actions else None
            entropy, gradient = policy.entropy(weights)
            entropies = _per_seed(entropy, seeds)
            coefs = [controller.coef for controller in controllers]
            if recorded:
                curve["entropy"].append(entropies)
                curve["coef"].append(coefs)
            if not idle:
                gradient *= world.lr * np.repeat(coefs, world.states)[:, None]
                policy.logits += gradient
                for controller, value in zip(controllers, entropies, strict=True):
                    controller.update(value)
        won = (slots >= 1) & (slots <= world.optimal)
        pushes = world.lr * advantages(won / world.noise + draws.noise) / world.batch
        policy.push(policy.open(slots, draws.member), pushes)
        policy.refresh()
    return {**curve, "final": policy.expected_reward().reshape(seeds, -1).tolist()}


def advantages(rewards: Float[np.ndarray, "rows batch"]) -> Float[np.ndarray, "rows batch"]:
    """Return each reward minus the mean of the others of its row: ``A_i = r_i - mean_{j != i} r_j``.

    Source: the leave-one-out baseline of RLOO, arXiv 2402.14740.
    """
    size = rewards.shape[1]
    return (rewards - rewards.mean(1, keepdims=True)) * (size / (size - 1))


def _draws(job: Job) -> Iterator[Draws]:
    world = job.world
    generators = [np.random.default_rng([seed, world.optimal]) for seed in job.seeds]
    for start in range(0, world.steps, _CHUNK):
        shape = (min(_CHUNK, world.steps - start), world.states, world.batch)
        chunk = [(g.random(shape), g.random(shape), g.standard_normal(shape)) for g in generators]
        streams = [np.concatenate(stream, axis=1) for stream in zip(*chunk, strict=True)]
        yield from map(Draws._make, zip(*streams, strict=True))


def _per_seed(values: Float[np.ndarray, " rows"], seeds: int) -> list[float]:
    return values.reshape(seeds, -1).mean(1).tolist()
