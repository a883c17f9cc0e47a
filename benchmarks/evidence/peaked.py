"""The paper's toy once more, from a peaked start: is clamped > bonus >= none in any family of worlds?

    python benchmarks/evidence/peaked.py run      # choose on seeds 100 and 101, report on 0 to 4; resumes
    python benchmarks/evidence/peaked.py tables   # what docs/study.md shows

A state has `horizon` positions, each with its own softmax policy over `ACTIONS` actions. Its start is a Zipf
law in random order, as after pre-training: p(rank k) ~ k^-TAIL. At each position `OPTIMAL` actions are worth
1. They are drawn from ranks 10 to 200 and shifted so that the start takes one at every position with
probability `PRIOR`. The likeliest `DECOYS` actions are worth `decoy`, the others 0. The reward is the product
over the positions. The gradient is exact, or that of GRPO: `GROUP` samples per state, advantages divided by
their standard deviation. A family is a gradient, a horizon and the worth of a decoy.

Everything is chosen by final reward alone, one method at a time, on seeds that no result uses: the step size
for no bonus, then each method's coefficient and subset at that step size. The rows go to ``peaked.jsonl``.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aent.controllers import Band, Fixed
from aent.records import versions

RESULTS = Path(__file__).parent / "peaked.jsonl"
ACTIONS, OPTIMAL, RANKS, DECOYS, TAIL = 1000, 5, (10, 200), 3, 1.25
PRIOR, STATES, GROUP, STEPS = 0.01, 25, 8, 3000
SEARCH_SEEDS, SEEDS = (100, 101), (0, 1, 2, 3, 4)
STEP_SIZES = {"exact": (1.0, 10.0, 100.0, 1000.0), "sampled": (0.03, 0.1, 0.3, 1.0, 3.0)}
COEFS = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1)
DROPS = (0.5, 0.9, 0.99)
BANDS = ((0.05, 0.2), (0.2, 0.5))
"""Edges of the band, as fractions of the entropy of a uniform policy over the actions that are kept."""


@dataclass(frozen=True)
class Family:
    """A kind of world."""

    gradient: str
    horizon: int
    decoy: float


@dataclass(frozen=True)
class Bonus:
    """``coef`` times the entropy of the policy without its `drop` least likely actions."""

    name: str = "none"
    coef: float = 0.0
    drop: float = 0.0
    band: tuple[float, float] | None = None

    @property
    def kept(self) -> int:
        return ACTIONS - int(self.drop * ACTIONS)

    def controller(self) -> Fixed | Band:
        if self.band is None:
            return Fixed(coef=self.coef)
        low, high = (edge * float(np.log(self.kept)) for edge in self.band)
        return Band(coef=self.coef, low=low, high=high, lr=self.coef / 10, coef_min=0.0, coef_max=1.0)


FAMILIES = tuple(Family(g, h, d) for h, g, d in product((1, 3), ("sampled", "exact"), (0.5, 0.0)))
GRIDS = {
    "bonus": [Bonus("bonus", coef) for coef in COEFS],
    "clamped": [Bonus("clamped", coef, drop) for coef in COEFS for drop in DROPS],
    "clamped, band": [Bonus("clamped, band", coef, 0.9, band) for coef in COEFS for band in BANDS],
}


def start(family: Family, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the logits and what each action is worth, both (seeds * states, horizon, actions)."""
    logits, worth = [], []
    base = -TAIL * np.log(np.arange(1, ACTIONS + 1))
    target = PRIOR ** (1 / family.horizon)
    for seed in seeds:
        draw = np.random.default_rng(seed)
        for _ in range(STATES * family.horizon):
            z, mass = base.copy(), np.exp(base)
            value = np.where(np.arange(ACTIONS) < DECOYS, family.decoy, 0.0)
            best = draw.choice(np.arange(*RANKS), OPTIMAL, replace=False)
            value[best] = 1.0
            z[best] += np.log(target / (1 - target) * (mass.sum() / mass[best].sum() - 1))
            order = draw.permutation(ACTIONS)
            logits.append(z[order])
            worth.append(value[order])
    shape = (len(seeds) * STATES, family.horizon, ACTIONS)
    tensors = (torch.tensor(np.array(rows), dtype=torch.float32).view(shape) for rows in (logits, worth))
    return next(tensors), next(tensors)


def exact_gradient(policy: Tensor, worth: Tensor) -> Tensor:
    """Return the gradient of the expected reward by logits."""
    mean = (policy * worth).sum(-1, keepdim=True)
    others = mean.prod(1, keepdim=True) / mean
    return others * policy * (worth - mean)


def sampled_gradient(policy: Tensor, worth: Tensor, generator: torch.Generator) -> Tensor:
    """Return GRPO's estimate from `GROUP` samples per state: the mean of A grad log pi."""
    rows, horizon, actions = policy.shape
    drawn = torch.multinomial(policy.view(-1, actions), GROUP, replacement=True, generator=generator)
    drawn = drawn.view(rows, horizon, GROUP)
    reward = worth.gather(2, drawn).prod(1)
    advantage = (reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + 1e-4)
    push = torch.zeros_like(policy)
    # advantages sum to zero over a group, so the term with pi itself vanishes
    return push.scatter_add_(2, drawn, (advantage / GROUP)[:, None].expand_as(drawn).contiguous())


def clamped_entropy(logits: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """Return the entropy over the `kept` likeliest actions (nats) and its gradient by logits."""
    if kept < logits.shape[-1]:
        least = logits.topk(kept, dim=-1, sorted=False).values.amin(-1, keepdim=True)
        logits = torch.where(logits >= least, logits, -torch.inf)
    log_q = logits.log_softmax(-1)
    q = log_q.exp()
    weighted = torch.where(q > 0, q * log_q, 0.0)
    entropy = -weighted.sum(-1)
    return entropy, -weighted - q * entropy[..., None]


def simulate(family: Family, step_size: float, bonus: Bonus, seeds: Sequence[int]) -> dict[str, Any]:
    """Train; return the final reward of each state, the curve of the mean reward, and entropies."""
    logits, worth = start(family, seeds)
    generator = torch.Generator().manual_seed(seeds[0])
    controller = bonus.controller()
    curve, entropies, coefs = [], [], []
    for step in range(STEPS):
        policy = logits.softmax(-1)
        if family.gradient == "exact":
            gradient = exact_gradient(policy, worth)
        else:
            gradient = sampled_gradient(policy, worth, generator)
        if bonus.coef:
            entropy, slope = clamped_entropy(logits, bonus.kept)
            gradient += controller.coef * slope
            controller.update(float(entropy.mean()))
        if step % (STEPS // 20) == 0:
            curve.append(round(float(expected(policy, worth).mean()), 4))
            entropies.append(round(float(clamped_entropy(logits, ACTIONS)[0].mean()), 4))
            coefs.append(controller.coef)
        logits += step_size * gradient
    final = expected(logits.softmax(-1), worth).double()
    return {"final": final.numpy().round(5).tolist(), "curve": curve, "entropy": entropies, "coef": coefs}


def expected(policy: Tensor, worth: Tensor) -> Tensor:
    """Return the expected reward of each state."""
    return (policy * worth).sum(-1).prod(1)


class Rows:
    """Finished simulations, reused for the same settings; the others are run, unless `frozen`."""

    def __init__(self, path: Path, *, frozen: bool):
        self.path, self.frozen, self.rows = path, frozen, {}
        for line in path.read_text().split("\n")[:-1] if path.exists() else []:
            row = json.loads(line)
            self.rows[json.dumps(row["job"])] = row

    def get(self, family: Family, step_size: float, bonus: Bonus, seeds: Sequence[int]) -> dict[str, Any]:
        job = {"family": asdict(family), "step_size": step_size, "bonus": asdict(bonus), "seeds": list(seeds)}
        key = json.dumps(job)
        if key not in self.rows:
            if self.frozen:
                raise LookupError(f"{family} is not finished")
            row = {"job": job, **simulate(family, step_size, bonus, seeds), "versions": versions()}
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            self.rows[key] = row
            print(f"{family} {step_size:g} {bonus}: {np.mean(row['final']):.3f}", flush=True)
        return self.rows[key]


def says(bonus: Bonus) -> str:
    """Return a bonus's settings in words."""
    words = [f"coef {bonus.coef:g}"] if bonus.coef else []
    words += [f"drop {bonus.drop:g}"] if bonus.drop else []
    words += [f"band {bonus.band[0]:g} to {bonus.band[1]:g}"] if bonus.band else []
    return ", ".join(words)


def choose(rows: Rows, family: Family) -> tuple[float, list[Bonus]]:
    """Return the step size and the settings of each method, by final reward on the seeds of the search."""

    def reward(step_size: float, bonus: Bonus) -> float:
        mean = float(np.mean(rows.get(family, step_size, bonus, SEARCH_SEEDS)["final"]))
        return mean if np.isfinite(mean) else -np.inf  # a setting that diverged

    step_size = max(STEP_SIZES[family.gradient], key=lambda size: reward(size, Bonus()))
    best = [max(grid, key=lambda bonus: reward(step_size, bonus)) for grid in GRIDS.values()]
    return step_size, [Bonus(), *best]


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a mean over states, by bootstrap."""
    draw = np.random.default_rng(0).integers(0, len(values), (2000, len(values)))
    low, high = np.percentile(values[draw].mean(1), [2.5, 97.5])
    return float(low), float(high)


def outcome(rows: Rows, family: Family) -> dict[str, tuple[str, np.ndarray, float]]:
    """Return, for each method, its setting in words, the final reward of each state, and the last entropy.

    Raises:
        LookupError: if `rows` is frozen and the family is not finished.
    """
    step_size, bonuses = choose(rows, family)
    found = {}
    for bonus in bonuses:
        row = rows.get(family, step_size, bonus, SEEDS)
        words = ", ".join([f"step {step_size:g}", *([says(bonus)] if bonus.coef else [])])
        found[bonus.name] = (words, np.array(row["final"]), row["entropy"][-1])
    return found


def table(rows: Rows) -> str:
    """Return the table of docs/study.md, of the families that are finished."""
    names = (
        "gradient",
        "horizon",
        "decoy",
        "method",
        "setting",
        "reward",
        "gain over none",
        "entropy at the end",
    )
    lines, ordered, missing = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"], [], []
    for family in FAMILIES:
        about = f"{family.gradient} | {family.horizon} | {family.decoy:g}"
        try:
            found = outcome(rows, family)
        except LookupError:
            missing.append(about)
            continue
        plain = found["none"][1]
        for name, (words, final, entropy) in found.items():
            low, high = interval(final - plain)
            gain = "" if name == "none" else f"{(final - plain).mean():+.3f} [{low:+.3f}, {high:+.3f}]"
            lines.append(f"| {about} | {name} | {words} | {final.mean():.3f} | {gain} | {entropy:.2f} |")
        better, _ = interval(found["clamped"][1] - found["bonus"][1])
        if better > 0 and found["bonus"][1].mean() >= plain.mean():
            ordered.append(about)
    verdict = (
        f"Clamped > bonus (interval clear of 0) >= none in {len(ordered)} of {len(FAMILIES) - len(missing)}"
    )
    return "\n".join(
        [*lines, "", f"{verdict} families: {'; '.join(ordered) or '-'}. Not finished: {len(missing)}."]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("stage", choices=["run", "tables"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = Rows(options.results, frozen=options.stage == "tables")
    if not rows.frozen:
        for family in FAMILIES:
            outcome(rows, family)
    print(table(rows))


if __name__ == "__main__":
    main()
