"""aent-auto: AEnt's clamped entropy with nothing to set."""

from jaxtyping import Float
from torch import Tensor

from aent.controllers import Track
from aent.method import Method, Tokens, scaled_entropy
from aent.methods.aent import AENT
from aent.subsets import Fraction


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
    return unsolved(tokens) * scaled_entropy(tokens)


def unsolved(tokens: Tokens) -> Float[Tensor, "batch 1"] | float:
    """``1 - r * s``: how much a completion counts; 1 without groups."""
    return 1.0 if tokens.solved is None else 1 - tokens.remaining * tokens.solved[:, None]
