"""Entropy advantage: tokens about which the policy is unsure get more advantage."""

import torch
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Method, Paper, Tokens

REASONING = Paper(
    title="Reasoning with Exploration: An Entropy Perspective on Reinforcement Learning for LLMs",
    arxiv="2506.14758",
    citation="""\
@inproceedings{cheng2026reasoning,
    title     = {{Reasoning with Exploration: An Entropy Perspective on Reinforcement Learning for LLMs}},
    author    = {Daixuan Cheng and Shaohan Huang and Xuekai Zhu and Bo Dai and Wayne Xin Zhao
                 and Zhenliang Zhang and Furu Wei},
    year      = 2026,
    booktitle = {AAAI},
    eprint    = {arXiv:2506.14758}
}""",
)


def entropy_advantage(*, alpha: float = 0.4, kappa: float = 2.0) -> Method:
    """Add advantage where the policy is unsure: ``A_t <- A_t + min(alpha * H_t, |A_t| / kappa)``.

    No gradient flows through H_t, the entropy of the policy before token t in nats, and the sign of an
    advantage never changes. ``alpha=0`` switches the method off.

    Source: arXiv 2506.14758. The default alpha is the authors' for GRPO; for PPO they take ``alpha=0.1``.
    kappa is 2 with both.

    Raises:
        InputError: for alpha < 0 or kappa < 1.
    """
    if alpha < 0 or kappa < 1:
        raise InputError(
            f"alpha={alpha} and kappa={kappa}: alpha must be at least 0 (which switches the method off) "
            "and kappa at least 1, or negative advantages would change their sign"
        )

    def shaped(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        return with_entropy(tokens.advantages, tokens.entropy, alpha, kappa)

    return Method(name="entropy-advantage", token_advantages=shaped, paper=REASONING)


def with_entropy(
    advantages: Float[Tensor, "batch tokens"],
    entropy: Float[Tensor, "batch tokens"],
    alpha: float,
    kappa: float,
) -> Float[Tensor, "batch tokens"]:
    """Return ``A + min(alpha * H, |A| / kappa)``."""
    return advantages + torch.minimum(alpha * entropy, advantages.abs() / kappa)
