"""AER: more bonus on harder prompts."""

from functools import partial

from jaxtyping import Float
from torch import Tensor

from aent.controllers import Share
from aent.errors import InputError
from aent.method import Method, Paper, Tokens

AER = Paper(
    title="Revisiting Entropy Regularization: Adaptive Coefficient Unlocks Its Potential for LLM "
    "Reinforcement Learning",
    arxiv="2510.10959",
    citation="""\
@article{zhang2025adaptive,
    title  = {{Revisiting Entropy Regularization: Adaptive Coefficient Unlocks Its Potential for LLM
               Reinforcement Learning}},
    author = {Xiaoyun Zhang and Xiaojian Yuan and Di Huang and Wang You and Chen Hu and Jingqing Ruan and
              Ai Jian and Kejiang Chen and Xing Hu},
    year   = 2025,
    eprint = {arXiv:2510.10959}
}""",
)


def aer(*, coef: float, lr: float, easy: float, hard: float, share: float = 0.4) -> Method:
    """AER, as far as published: more bonus on harder prompts, and a target below the entropy at the start.

    ``loss = policy_loss - mean(coef * w * H(pi)), w = hard + (easy - hard) * group_reward; coef <- max(0,
    coef + lr * (share * H_first - H(pi)))`` in nats, H_first the first measured entropy.

    Published: that the coefficient of a prompt grows with its difficulty, that the target is a share of
    the entropy at the start, and that a global coefficient is moved towards the target. Ours, as the
    formulas could not be found: the straight line from `hard` (no completion of the group rewarded) to
    `easy` (all rewarded), and the projected dual step. Rewards are taken to lie between 0 and 1; a mean
    outside counts as 0 or 1.

    Source: arXiv 2510.10959, abstract only; that a share (tau in the paper) of about 0.4 is best says a
    digest of it. No code was found.
    """
    if not 0 <= easy <= hard:
        raise InputError(
            f"easy={easy} and hard={hard} must satisfy 0 <= easy <= hard: "
            "they are the factors of the bonus at the easiest and hardest prompts"
        )
    return Method(
        name="aer",
        bonus=partial(bonus_by_difficulty, easy=easy, hard=hard),
        controller=Share(coef=coef, share=share, lr=lr),
        paper=AER,
    )


def bonus_by_difficulty(tokens: Tokens, *, easy: float, hard: float) -> Float[Tensor, "batch tokens"]:
    """Return ``coef * (hard + (easy - hard) * group_reward) * H``, nats."""
    if tokens.group_reward is None:
        raise InputError(
            "method 'aer' reads a prompt's difficulty off its group's mean reward, and these completions "
            "come in no groups; set num_generations to 2 or more"
        )
    solved = tokens.group_reward.clamp(0, 1)[:, None]
    return tokens.coef * (hard + (easy - hard) * solved) * tokens.entropy
