"""AEnt: a bonus on the clamped entropy, with a coefficient that holds it in a band."""

from aent.controllers import Band
from aent.method import Method, Paper
from aent.subsets import Fraction

AENT = Paper(
    title="On Entropy Control in LLM-RL Algorithms",
    arxiv="2509.03493",
    citation="""\
@article{shen2025entropy,
    title  = {{On Entropy Control in LLM-RL Algorithms}},
    author = {Han Shen},
    year   = 2025,
    eprint = {arXiv:2509.03493}
}""",
)


def aent(
    *,
    drop: float = 0.33,
    coef: float = 0.002,
    low: float = 0.15,
    high: float = 0.24,
    lr: float = 0.002,
    coef_min: float = 6e-4,
    coef_max: float = 9e-3,
    warmup: int = 30,
) -> Method:
    """Reward clamped entropy, with a coefficient that adapts to hold it in a band.

    ``loss = policy_loss - coef * H(pi~); coef <- clip(coef - lr * (min(0, H(pi~) - low) + max(0, H(pi~) -
    high)), coef_min, coef_max)`` in nats. pi~ is the policy renormalized on its most likely tokens: the
    ``int(drop * V)`` least likely ones are left out. Update number `warmup` is the first that moves coef, as
    in the authors' verl loop (their port to AReaL: the one after it).

    Source: arXiv 2509.03493. The defaults are the published setting for Qwen2.5-Math-1.5B on MATH. The
    other published setting (DeepSeek-R1-Distill-Qwen-1.5B on OpenR1-Math) is ``aent(drop=0.25,
    coef=3e-4, low=0.35, high=0.62, lr=1e-4, coef_min=4e-5, coef_max=1e-3, warmup=156)``.
    """
    return Method(
        name="aent",
        subset=Fraction(drop=drop),
        controller=Band(
            coef=coef,
            low=low,
            high=high,
            lr=lr,
            coef_min=coef_min,
            coef_max=coef_max,
            warmup=warmup,
        ),
        paper=AENT,
    )
