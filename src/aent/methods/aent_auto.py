"""aent-auto: AEnt's clamped entropy without settings."""

from jaxtyping import Float
from torch import Tensor

from aent.controllers import Track
from aent.method import Method, Tokens, scaled_entropy
from aent.methods.aent import AENT
from aent.subsets import TopP


def aent_auto(*, strength: float = 1.0) -> Method:
    """Once entropy is lost, weight unsolved prompts more and undo the collapse. Nothing has to be set.

    ``A <- u * A; loss = policy_loss - mean(coef * u * H(pi~)); u = 1 - g * r * s``, where s is the share of
    the prompt's completions that is right (`Tokens.solved`), r is the share of the training that is left, and
    H is in nats over the nucleus: the most likely tokens that hold nine tenths of the probability. A share
    of the tokens, as in AEnt, would leave out next to nothing of a vocabulary of 50,000.

    g says how much entropy is lost, ``clip(2 (1 - H / H_start), 0, 1)``: 0 at the start, 1 once half is gone.
    H is the last entropy that was measured, H_start the upper end of the controller's band. So as long as
    the policy explores by itself, it is trained as it would be without a method.

    coef comes from `Track`. It is 0 until half of the entropy is gone. After that, the less entropy is left,
    the more of the policy gradient's effect on it the bonus cancels. What is held falls to 0 with r, so that
    the policy can settle at the end. Once the entropy has grown by a twentieth, coef is negative. Without
    groups (PPO, A2C), u is 1.

    `strength` multiplies a positive coef. At 0 the weights act alone, and only a rise of the entropy is
    undone.

    With g r = 1, a prompt with pass@1 s gets the policy gradient of pass@2, since d(1 - (1-s)^2) =
    2 (1 - s) ds: prompts that are already solved are not sharpened at the expense of the others. At the
    end it gets the policy gradient of pass@1, the quantity that the final policy is judged by. A completion
    is right if it earns the best reward of its batch of rollouts, so a near miss that earns a part of the
    reward leaves its prompt unsolved. Where hardly two rewards are equal, s is near 0 and u near 1.

    Source: ours. The clamped entropy and its bonus are from arXiv 2509.03493; training on pass@k is from
    arXiv 2503.19595 and 2508.10751.

    Raises:
        InputError: for a strength that is negative or not finite.
    """
    return Method(
        name="aent-auto",
        subset=TopP(mass=0.9),
        token_advantages=unsolved_advantages,
        bonus=unsolved_bonus,
        controller=Track(strength=strength),
        needs_group_reward=True,
        paper=AENT,
    )


def unsolved_advantages(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """Return ``(1 - g * r * s) * A``."""
    return unsolved(tokens) * tokens.advantages


def unsolved_bonus(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """Return ``(1 - g * r * s) * coef * H``, nats."""
    return unsolved(tokens) * scaled_entropy(tokens)


def unsolved(tokens: Tokens) -> Float[Tensor, "batch 1"] | float:
    """Return ``1 - g * r * s``, the weight of a completion; 1 without groups."""
    if tokens.solved is None:
        return 1.0
    return 1 - lost(tokens) * tokens.remaining * tokens.solved[:, None]


def lost(tokens: Tokens) -> float:
    """Return g: 0 while all of the entropy is left, 1 once half of it is gone; 0 before it is measured."""
    if tokens.last_entropy is None or tokens.band is None:
        return 0.0
    _, start = tokens.band
    return min(max(2 * (1 - tokens.last_entropy / start), 0.0), 1.0) if start > 0 else 0.0
