"""The settings of an evaluation, and published protocols by name."""

from dataclasses import dataclass, fields

from aent.errors import InputError
from aent.policies.sampling import Sampling
from aent.tasks.task import Split


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """The settings of an evaluation; the defaults suit a small model on one machine.

    Raises:
        InputError: naming the setting that is out of range.
    """

    split: Split = "test"
    """Which problems: train or test."""
    problems: int | None = 200
    """How many problems, from the first; None takes all. A smaller split is used whole."""
    samples: int = 16
    """Answers per problem."""
    k: tuple[int, ...] | None = None
    """The k of pass@k and maj@k; None takes 1, 4, 16, ... and the number of samples."""
    temperature: float = 1.0
    """Divides the logits; 0 decodes greedily, with one sample."""
    top_p: float = 1.0
    """Keeps the likeliest tokens of this total probability; 1 keeps all."""
    top_k: int = 0
    """Keeps this many tokens; 0 keeps all."""
    max_tokens: int | None = None
    """Tokens per answer at most; None takes the task's max_length plus 1, or 512."""
    batch_size: int = 512
    """Answers generated at a time."""
    seed: int = 0
    """Seed of the random draws, which also depend on the batch size."""

    def __post_init__(self) -> None:
        if self.split not in ("train", "test"):
            raise InputError(f"split must be 'train' or 'test', got {self.split!r}.")
        if self.problems is not None and self.problems < 1:
            raise InputError(f"problems must be at least 1, or None for all, got {self.problems}.")
        self.sampling(1 if self.max_tokens is None else self.max_tokens)
        outside = [k for k in self.k or () if not 1 <= k <= self.samples]
        if outside:
            raise InputError(
                f"k must lie in 1..{self.samples}, the number of samples, got {outside}."
                f" Draw more samples or lower k."
            )

    def sampling(self, max_tokens: int) -> Sampling:
        """Return how answers are drawn, with at most `max_tokens` tokens each."""
        settings = {field.name: getattr(self, field.name) for field in fields(Sampling)}
        return Sampling(**{**settings, "max_tokens": max_tokens})

    @property
    def ks(self) -> tuple[int, ...]:
        """The k reported, in increasing order; 1 is always among them."""
        powers = (4**i for i in range(self.samples) if 4**i <= self.samples)
        return tuple(sorted({1, *(self.k if self.k is not None else (*powers, self.samples))}))


PROTOCOLS: dict[str, EvalConfig] = {
    "paper": EvalConfig(
        problems=None, samples=4, temperature=0.6, top_p=0.95, top_k=20, max_tokens=3072, batch_size=128
    ),
}
"""Evaluation settings by name.

paper: avg@4 as in On Entropy Control in LLM-RL Algorithms (arXiv 2509.03493), with the sampling settings and
the answer length of its first setting, Qwen2.5-Math-1.5B on MATH.
"""
