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
    """Give harder prompts more bonus, and aim below the starting entropy: AER, as far as published.

    ``loss = policy_loss - mean(coef * w * H(pi)), w = hard + (easy - hard) * group_reward; coef <- max(0,
    coef + lr * (share * H_first - H(pi)))`` in nats, where H_first is the first measured entropy.

    Published: the coefficient of a prompt grows with its difficulty, the target is a share of the starting
    entropy, and a global coefficient moves towards the target. We could not find the formulas, so two
    things are ours: the straight line from `hard` (no completion of the group is rewarded) to `easy` (all
    are), and the projected dual step. Rewards should lie between 0 and 1; a mean outside counts as 0 or 1.

    Source: arXiv 2510.10959, abstract only. A digest of it says that a share (tau in the paper) of about
    0.4 is best. No code was found.

    Raises:
        InputError: unless 0 <= easy <= hard, and in training for rollouts that are not grouped.
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
        needs_group_reward=True,
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
