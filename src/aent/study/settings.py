"""Every setting of the synthetic experiment, in one place.

`PAPER` and the first fields of `World` hold what is known of the paper's experiment. The other fields are
ours. ``aent study mdp --search`` chose the first four of them before any two methods were compared; see
docs/study.md.
"""

from dataclasses import dataclass
from math import log
from typing import Any, NamedTuple

from aent.controllers import Band, Fixed, Lagrangian
from aent.errors import InputError


@dataclass(frozen=True, kw_only=True)
class World:
    """A one-step MDP per state: choose one of `actions` actions, reward 1 for an optimal one, else 0."""

    actions: int = 100_000
    """Size of the vocabulary; the paper's."""
    optimal: int = 15
    """Optimal actions in each state: 15, 10, 5 and 1 in the paper."""
    states: int = 25
    """States, each with its own softmax policy; inferred from the paper's levels, multiples of 1/25."""
    steps: int = 4_000
    """Gradient steps; the paper's."""
    prior: float
    """Probability at the start of all optimal actions together, as after pre-training; ours."""
    noise: float = 30.0
    """Standard deviation of the noise on a sampled reward; ours. A token gets the reward of its whole
    response. If 1,000 tokens matter equally, the other 999 add noise 32 times as large as its own part."""
    batch: int = 2
    """Actions sampled per state and step; ours, the smallest number that can be compared."""
    lr: float
    """Step size of gradient ascent on the logits, for advantages divided by `noise`; ours."""

    def check(self) -> None:
        """Raise unless this world can be run.

        Raises:
            InputError: naming the field.
        """
        if self.actions <= max(OPTIMAL) or not 1 <= self.optimal < self.actions:
            raise InputError(
                f"actions={self.actions} must exceed the number of optimal actions, which is up to 15, and "
                f"optimal={self.optimal} must be at least 1 and below `actions`"
            )
        if not 0 < self.prior < 1:
            raise InputError(f"prior={self.prior} is a probability: give it above 0 and below 1")
        if self.batch < 2 or self.states < 1 or self.steps < 1:
            raise InputError(
                f"batch={self.batch} must be at least 2, because each sample is compared with the others; "
                f"states={self.states} and steps={self.steps} must be at least 1"
            )
        if not (self.noise > 0 and self.lr > 0):
            raise InputError(f"noise={self.noise} and lr={self.lr} must be above 0")


@dataclass(frozen=True, kw_only=True)
class Bonus:
    """An entropy bonus: ``coef * H~``, H~ over all but the `drop` fraction of least likely actions.

    Target entropies are fractions of the largest possible entropy, log(actions kept).
    """

    coef: float = 0.0
    """Coefficient; the initial one if it moves. Advantages, its counterpart, are divided by the noise."""
    drop: float = 0.0
    """Fraction of the actions that the entropy leaves out."""
    target: float | None = None
    """Entropy towards which `aent.controllers.Lagrangian` moves the coefficient. This is SAC's rule for its
    temperature (arXiv 1812.05905, eq. 18), with H in place of -log pi, as a plain step kept at 0 or above."""
    band: tuple[float, float] | None = None
    """Band of entropy into which AEnt's rule moves the coefficient."""
    lr: float = 0.0
    """Step size of the coefficient, per nat."""

    def kept(self, actions: int) -> int:
        """Return the number of actions that the entropy is taken over, as in `aent.subsets.Fraction`."""
        return actions - int(self.drop * actions)

    def controller(self, actions: int) -> Fixed | Band | Lagrangian:
        """Build the controller of the coefficient."""
        most = log(self.kept(actions))
        if self.target is not None:
            return Lagrangian(coef=self.coef, target=self.target * most, lr=self.lr)
        if self.band is not None:
            low, high = (edge * most for edge in self.band)
            return Band(coef=self.coef, low=low, high=high, lr=self.lr, coef_min=0.0, coef_max=COEF_MAX)
        return Fixed(coef=self.coef)


class Variation(NamedTuple):
    """A field of `World` or `Bonus`, the values it takes, and the noise if it is not the chosen one."""

    field: str
    values: tuple[float, ...]
    noise: float | None = None


COEF_MAX = 1.0
"""Ceiling of the band's coefficient."""

OPTIMAL = (15, 10, 5, 1)
SEEDS = (0, 1, 2, 3, 4)
SEARCH_SEEDS = (1000, 1001)

WORLD = World(prior=0.01, lr=2.0)
"""Chosen by `--search`."""
METHODS: dict[str, Bonus] = {
    "none": Bonus(),
    "entropy": Bonus(coef=0.0005),
    "clamped": Bonus(coef=0.0005, drop=0.9),
    "band": Bonus(coef=0.0005, drop=0.9, band=(0.1, 0.4), lr=1e-6),
    "lagrangian": Bonus(coef=0.0005, target=0.05, lr=1e-5),
    "a3c": Bonus(coef=0.01),
}
"""The methods compared: chosen by `--search`, except A3C's coefficient, which is the published one
(arXiv 1602.01783)."""

PAPER: dict[str, dict[int, float]] = {
    "none": {15: 0.24, 10: 0.20, 1: 0.20},
    "entropy": {15: 0.36, 10: 0.32, 1: 0.20},
    "clamped": {15: 0.80, 10: 0.60, 1: 0.44},
}
"""Average reward at the end, read off the paper's figure 1, whose panels leave out 5 optimal actions."""
PAPER_GAIN: dict[str, dict[int, float]] = {
    "entropy": {15: 0.12, 10: 0.12, 5: 0.0, 1: 0.0},
    "clamped": {15: 0.56, 10: 0.40, 5: 0.24, 1: 0.24},
}
"""Average reward at the end minus the one without a bonus: the paper's bars."""

VOCABULARIES = (100, 1_000, 10_000, 100_000, 1_000_000)
_COEFS = (0.0005, 0.005, 0.05, 0.5)
SENSITIVITY = (
    Variation("prior", (0.003, 0.01, 0.03)),
    Variation("lr", (1.0, 2.0, 4.0)),
    Variation("drop", (0.33, 0.9, 0.999)),
    Variation("coef", _COEFS, noise=3.0),
    Variation("coef", _COEFS, noise=10.0),
    Variation("coef", _COEFS, noise=30.0),
)
"""What `--full` varies, one setting at a time; the coefficient at three levels of noise."""
SWEEP_SEEDS = 2
"""Number of seeds that the sweeps of `--full` use, to save time."""

WORLD_GRID: dict[str, tuple[float, ...]] = {"prior": (0.003, 0.01, 0.03), "lr": (1.0, 2.0, 3.0, 5.0)}
"""The worlds that `--search` tries."""
RISE = (400, 1_000)
"""Steps between which the paper's curves rise; `--search` requires it of the curve without a bonus."""

BONUS_GRID: dict[str, list[dict[str, Any]]] = {
    "entropy": [{"coef": coef} for coef in (0.0005, 0.002, 0.008, 0.032)],
    "clamped": [{"coef": coef, "drop": drop} for coef in (0.0005, 0.002, 0.008) for drop in (0.9, 0.999)],
    "lagrangian": [{"target": target, "lr": lr} for target in (0.05, 0.3) for lr in (1e-6, 1e-5)],
    "band": [{"band": band, "lr": lr} for band in ((0.02, 0.1), (0.1, 0.4)) for lr in (1e-6, 1e-5)],
}
"""The settings that `--search` tries for each method: four, and six for the clamped entropy."""
