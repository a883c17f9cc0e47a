"""SAC: a dual step on the log coefficient towards a target entropy."""

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
    """Tune the coefficient towards a target entropy as SAC tunes its temperature.

    ``loss = policy_loss - coef * H(pi); log coef <- log coef + lr * (target - H(pi))`` in nats.

    Two losses for the coefficient are in use. This one is ``log(coef) * (H - target)``; the paper's
    ``J(coef) = coef * (H - target)`` would make the step smaller by the factor coef. The step is a plain
    gradient step, where code for SAC uses Adam.

    Source: arXiv 1812.05905, section 5, from general knowledge; we did not read it again. Its targets (minus
    the dimension of the action; in discrete SAC often 0.98 log n for n actions) say nothing about a
    vocabulary, and no setting for language models was published, so you must give all arguments.
    """
    return Method(name="sac", controller=Dual(coef=coef, target=target, lr=lr), paper=SAC)
