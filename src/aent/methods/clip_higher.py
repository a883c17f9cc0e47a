"""Clip-Higher (DAPO): more room for a ratio to grow than to shrink."""

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
    """More room for a ratio to grow than to shrink, so that unlikely tokens can become likely.

    ``loss_t = -min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A)`` with r the ratio of a token and A its
    advantage. Only the two options of the host are set.

    Source: DAPO (arXiv 2503.14476), which names it Clip-Higher; both defaults are those of its scripts.
    """
    return Method(
        name="clip-higher",
        options=clip_options(epsilon, epsilon_high),
        needs_clip=True,
        paper=DAPO,
    )
