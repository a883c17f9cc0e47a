"""sac: a dual step on the log coefficient towards a target entropy."""

from aent.controllers import Dual
from aent.method import Method, Paper

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
