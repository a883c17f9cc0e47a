"""Clip-Higher (DAPO): ratios may grow more than they may shrink."""

from aent.method import Method, Paper
from aent.methods.clipping import clip_options

DAPO = Paper(
    title="DAPO: An Open-Source LLM Reinforcement Learning System at Scale",
    arxiv="2503.14476",
    citation="""\
@article{yu2025dapo,
    title  = {{DAPO: An Open-Source LLM Reinforcement Learning System at Scale}},
    author = {Qiying Yu and others},
    year   = 2025,
    eprint = {arXiv:2503.14476}
}""",
)


def clip_higher(*, epsilon: float = 0.2, epsilon_high: float = 0.28) -> Method:
    """Let ratios grow more than they may shrink, so that unlikely tokens can become likely.

    ``loss_t = -min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A)`` with r the ratio of a token and A its
    advantage. The method only sets these two options of the host.

    Source: DAPO (arXiv 2503.14476), which calls it Clip-Higher; both defaults are from its scripts.
    """
    return Method(
        name="clip-higher",
        options=clip_options(epsilon, epsilon_high),
        needs_clip=True,
        paper=DAPO,
    )
