"""Skywork (MAGIC): a bonus that is off above a target entropy."""

from aent.controllers import SignStep
from aent.method import Method, Paper

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


def skywork(
    *,
    target: float = 0.2,
    delta: float = 1e-4,
    coef: float = 0.0,
    coef_min: float = 0.0,
    coef_max: float = 5e-3,
) -> Method:
    """Reward entropy only up to a target, with a coefficient that moves in steps of one size.

    ``loss = policy_loss - (coef if H <= target else 0) * H(pi); coef <- clip(coef + (delta if H <= target
    else -delta), coef_min, coef_max)`` in nats, with H the last measured entropy.

    TRL's own ``use_adaptive_entropy`` is this rule with other defaults (delta 0.005, box [0, 1]). It
    averages the means of the micro-batches, where aent takes the mean over all tokens of the optimizer
    step; the two agree if all micro-batches have the same number of tokens. Until the first measurement,
    neither gives a bonus.

    Source: arXiv 2505.22312 (MAGIC); rule and defaults are from the authors' code and training scripts. At
    H = target it steps up, as TRL does; the authors' code steps down.
    """
    return Method(
        name="skywork",
        controller=SignStep(level=coef, target=target, delta=delta, coef_min=coef_min, coef_max=coef_max),
        paper=SKYWORK,
    )
