"""entropy-bonus: the classic entropy bonus with a constant coefficient."""

from aent.controllers import Fixed
from aent.method import Method, Paper

A3C = Paper(
    title="Asynchronous Methods for Deep Reinforcement Learning",
    arxiv="1602.01783",
    citation="""\
@inproceedings{mnih2016asynchronous,
    title     = {{Asynchronous Methods for Deep Reinforcement Learning}},
    author    = {Volodymyr Mnih and Adri{\\`a} Puigdom{\\`e}nech Badia and Mehdi Mirza and Alex Graves
                 and Timothy Lillicrap and Tim Harley and David Silver and Koray Kavukcuoglu},
    year      = 2016,
    booktitle = {ICML},
    eprint    = {arXiv:1602.01783}
}""",
)


def entropy_bonus(*, coef: float = 0.01) -> Method:
    """Reward the full entropy with a constant coefficient: ``loss = policy_loss - coef * H(pi)``, in nats.

    Source: A3C (arXiv 1602.01783, section 4) and PPO (1707.06347, eq. 9). 0.01 is the customary
    coefficient of both. The AEnt paper reports its baseline with 0.002.
    """
    return Method(
        name="entropy-bonus",
        controller=Fixed(coef=coef),
        paper=A3C,
    )
