"""Coefficients that move: by schedule, or towards an entropy that is aimed at."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from aent.controllers import PI, Cosine, Dual, Lagrangian, Linear, Share, SignStep
from aent.errors import InputError
from aent.methods.base import Method, Paper, Tokens

SAC = Paper(
    title="Soft Actor-Critic Algorithms and Applications",
    arxiv="1812.05905",
    citation="""\
@article{haarnoja2018applications,
    title  = {{Soft Actor-Critic Algorithms and Applications}},
    author = {Tuomas Haarnoja and Aurick Zhou and Kristian Hartikainen and George Tucker and Sehoon Ha
              and Jie Tan and Vikash Kumar and Henry Zhu and Abhishek Gupta and Pieter Abbeel and
              Sergey Levine},
    year   = 2018,
    eprint = {arXiv:1812.05905}
}""",
)
SKYWORK = Paper(
    title="Skywork Open Reasoner 1 Technical Report",
    arxiv="2505.22312",
    citation="""\
@article{he2025skywork,
    title  = {{Skywork Open Reasoner 1 Technical Report}},
    author = {Jujie He and Jiacai Liu and Chris Yuhao Liu and Rui Yan and Chaojie Wang and Peng Cheng and
              Xiaoyu Zhang and Fuxiang Zhang and Jiacheng Xu and Wei Shen and Siyuan Li and Liang Zeng and
              Tianwen Wei and Cheng Cheng and Bo An and Yang Liu and Yahui Zhou},
    year   = 2025,
    eprint = {arXiv:2505.22312}
}""",
)
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
ENTROPIC = Paper(
    title="EntroPIC: Towards Stable Long-Term Training of LLMs via Entropy Stabilization with "
    "Proportional-Integral Control",
    arxiv="2511.15248",
    citation="""\
@article{yang2025entropic,
    title  = {{EntroPIC: Towards Stable Long-Term Training of LLMs via Entropy Stabilization with
               Proportional-Integral Control}},
    author = {Kai Yang and Xin Xu and Yangkun Chen and Weijie Liu and Jiafei Lyu and Zichuan Lin and
              Deheng Ye and Saiyong Yang},
    year   = 2025,
    eprint = {arXiv:2511.15248}
}""",
)


def linear_bonus(*, start: float = 0.01, end: float = 0.0, steps: int) -> Method:
    """The classic bonus with a coefficient that falls in a straight line.

    ``loss = policy_loss - coef * H(pi); coef = start + (end - start) * min(1, updates / steps)`` in nats.

    Source: general practice. It starts at the customary coefficient of A3C (arXiv 1602.01783) and ends
    without a bonus; `steps` updates later is for you to say.
    """
    return Method(name="linear-bonus", controller=Linear(start=start, end=end, steps=steps))


def cosine_bonus(*, start: float = 0.01, end: float = 0.0, steps: int) -> Method:
    """The classic bonus with a coefficient that falls along half a cosine.

    ``loss = policy_loss - coef * H(pi); coef = end + (start - end) * (1 + cos(pi * min(1, updates / steps)))
    / 2`` in nats.

    Source: general practice. It starts at the customary coefficient of A3C (arXiv 1602.01783) and ends
    without a bonus; `steps` updates later is for you to say.
    """
    return Method(name="cosine-bonus", controller=Cosine(start=start, end=end, steps=steps))


def sac(*, target: float, coef: float, lr: float) -> Method:
    """SAC's automatic temperature: a dual step on the log coefficient towards a target entropy.

    ``loss = policy_loss - coef * H(pi); log coef <- log coef + lr * (target - H(pi))`` in nats.

    Of the two losses in use it is the one over log coef, ``log(coef) * (H - target)``; the paper's
    ``J(coef) = coef * (H - target)`` would make the step smaller by the factor coef. It is a plain step,
    where code for SAC takes one of Adam's.

    Source: arXiv 1812.05905, section 5, from general knowledge, not read again. Its targets (minus the
    dimension of the action; in discrete SAC often 0.98 log n of n actions) say nothing about a
    vocabulary, and no setting for language models is published, so all arguments are yours to give.
    """
    return Method(name="sac", controller=Dual(coef=coef, target=target, lr=lr), paper=SAC)


def lagrangian(*, target: float, coef: float, lr: float) -> Method:
    """Maximise the reward subject to an entropy of at least `target`, by projected dual ascent.

    ``loss = policy_loss - coef * H(pi); coef <- max(0, coef + lr * (target - H(pi)))`` in nats.

    The exact multiplier step of a constant target: no dead zone, no ceiling, and the coefficient rests
    at 0 while the constraint holds with room to spare.

    Source: general; no published setting, so all arguments are yours to give.
    """
    return Method(name="lagrangian", controller=Lagrangian(coef=coef, target=target, lr=lr))


def skywork(
    *,
    target: float = 0.2,
    delta: float = 1e-4,
    coef: float = 0.0,
    coef_min: float = 0.0,
    coef_max: float = 5e-3,
) -> Method:
    """A bonus that is switched off above a target entropy, with a coefficient that moves in equal steps.

    ``loss = policy_loss - (coef if H <= target else 0) * H(pi); coef <- clip(coef + (delta if H <= target
    else -delta), coef_min, coef_max)`` in nats, H the last measured entropy.

    TRL's own ``use_adaptive_entropy`` is this rule with other defaults (delta 0.005, box [0, 1]) and a
    mean per micro-batch, divided by their number, where this is the mean over all tokens of the
    optimiser step: the two are the same where all micro-batches have as many tokens. Until
    something was measured neither gives a bonus.

    Source: arXiv 2505.22312 (MAGIC); rule and defaults from the authors' code and training scripts. At H =
    target it steps up, as TRL does; the authors' code steps down.
    """
    return Method(
        name="skywork",
        controller=SignStep(level=coef, target=target, delta=delta, coef_min=coef_min, coef_max=coef_max),
        paper=SKYWORK,
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


def entropic(*, target: float = 0.1, kp: float = 1.0, ki: float = 0.01, probability: float = 0.95) -> Method:
    """EntroPIC: PI control of a term that makes probable tokens less probable, or more.

    ``loss = policy_loss + a * mean(-r * abs(A)) over tokens with pi > probability; a = clip(kp * (H -
    target) + ki * sum(H - target), -1, 1)`` in nats, r the unclipped ratio, A the advantage.

    Below the target a is negative: probable tokens of rewarded completions count less, those of
    unrewarded ones more. The mean is over the probable tokens of a micro-batch; it is handed to the host
    spread over all tokens, so that a host that weighs completions by their length weighs it too.

    Source: arXiv 2511.15248; loss, threshold and defaults from the authors' code and script. There the
    proportional part sees the entropy of the very tokens it acts on, here that of the last window.
    """
    if not 0 <= probability < 1:
        raise InputError(f"probability={probability} must be at least 0 and below 1: pi must exceed it")
    return Method(
        name="entropic",
        penalty=partial(pull_of_probable, probability=probability),
        bonus=None,
        controller=PI(target=target, kp=kp, ki=ki),
        paper=ENTROPIC,
    )


def pull_of_probable(tokens: Tokens, *, probability: float) -> Float[Tensor, "batch tokens"]:
    """Return ``-coef * r * abs(A)`` at tokens with pi > probability, 0 elsewhere, scaled.

    The scale is the number of tokens over that of probable ones, so that the mean over all tokens is the
    mean over the probable ones.
    """
    probable = (tokens.logp.detach().exp() > probability) * tokens.mask
    scale = tokens.mask.sum() / torch.clamp(probable.sum(), min=1)
    return -tokens.coef * scale * probable * tokens.ratio * tokens.advantages.abs()
