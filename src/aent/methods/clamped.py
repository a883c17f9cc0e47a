"""AEnt: clamped entropy with a coefficient that holds it in a band, and the same with nothing to set."""

from jaxtyping import Float
from torch import Tensor

from aent.controllers import Band, Track
from aent.methods.base import Method, Paper, Tokens
from aent.objective import entropy_bonus
from aent.subsets import Fraction

AENT = Paper(
    title="On Entropy Control in LLM-RL Algorithms",
    arxiv="2509.03493",
    citation="""\
@article{shen2025entropy,
    title  = {{On Entropy Control in LLM-RL Algorithms}},
    author = {Han Shen},
    year   = 2025,
    eprint = {arXiv:2509.03493}
}""",
)


def aent(
    *,
    drop: float = 0.33,
    coef: float = 0.002,
    low: float = 0.15,
    high: float = 0.24,
    lr: float = 0.002,
    coef_min: float = 6e-4,
    coef_max: float = 9e-3,
    warmup: int = 30,
) -> Method:
    """Clamped entropy with an adaptive coefficient.

    ``loss = policy_loss - coef * H(pi~); coef <- clip(coef - lr * (min(0, H(pi~) - low) + max(0, H(pi~) -
    high)), coef_min, coef_max)`` in nats, where pi~ is the policy renormalised on its most likely tokens,
    ``int(drop * V)`` least likely ones left out.

    Source: arXiv 2509.03493. The defaults are the published setting for Qwen2.5-Math-1.5B on MATH. The
    other published setting (DeepSeek-R1-Distill-Qwen-1.5B on OpenR1-Math) is ``aent(drop=0.25,
    coef=3e-4, low=0.35, high=0.62, lr=1e-4, coef_min=4e-5, coef_max=1e-3, warmup=156)``.
    """
    return Method(
        name="aent",
        subset=Fraction(drop=drop),
        controller=Band(
            coef=coef,
            low=low,
            high=high,
            lr=lr,
            coef_min=coef_min,
            coef_max=coef_max,
            warmup=warmup,
        ),
        paper=AENT,
    )


def aent_auto() -> Method:
    """Unsolved prompts count more, and a collapse or a rise of the entropy is undone; nothing to set.

    ``A <- u * A; loss = policy_loss - mean(coef * u * H(pi~)); u = 1 - r * s``, s the share of the prompt's
    completions that is right (`Tokens.solved`), r the share of the training still to come, H in nats over
    the most likely two thirds of the vocabulary, coef from `Track`: 0 until half of the entropy is gone,
    then the more of what the policy gradient does to it, the less is left; negative where it has grown by a
    twentieth. Without groups (PPO, A2C) u is 1.

    At the start a prompt with pass@1 s gets the policy gradient of pass@2, since d(1 - (1-s)^2) =
    2 (1 - s) ds: what is solved already is not sharpened at the cost of what is not. At the end it gets that
    of pass@1, which is what is asked of the policy then.

    Source: ours. The clamped entropy and its bonus are arXiv 2509.03493's; training on pass@k is arXiv
    2503.19595 and 2508.10751.
    """
    return Method(
        name="aent-auto",
        subset=Fraction(drop=0.33),
        token_advantages=unsolved_advantages,
        bonus=unsolved_bonus,
        controller=Track(),
        paper=AENT,
    )


def unsolved_advantages(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """``(1 - r * s) * A``."""
    return unsolved(tokens) * tokens.advantages


def unsolved_bonus(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """``(1 - r * s) * coef * H``, nats."""
    return unsolved(tokens) * entropy_bonus(tokens)


def unsolved(tokens: Tokens) -> Float[Tensor, "batch 1"] | float:
    """``1 - r * s``: how much a completion counts; 1 without groups."""
    return 1.0 if tokens.solved is None else 1 - tokens.remaining * tokens.solved[:, None]
