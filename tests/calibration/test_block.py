import pytest

from aent import Fraction, Full, InputError
from aent.calibration.block import aent_block
from aent.calibration.reading import SUBSETS, Reading
from aent.methods.load import load_method
from aent.statistics import Figure


def measured(hold=0.1, error=0.01, pull=-0.004):
    zero = Figure(0.0, 0.0)
    return Reading(
        entropy=Figure(0.6, 0.01),
        dropped=zero,
        pull=Figure(pull, abs(pull) / 10),
        push=Figure(0.04, 0.001),
        hold=Figure(hold, error),
        size=0.5,
        prompts=10,
    )


def test_the_block():
    """h = .1, H = .6: box .01 to .055, .035 at the start, band .39 to .6, lr .045 / .6."""
    block = aent_block(measured(), Fraction(drop=0.33))
    assert block == {
        "name": "aent", "drop": 0.33, "coef": 0.035, "low": 0.39, "high": 0.6, "lr": 0.075,
        "coef_min": 0.01, "coef_max": 0.055, "warmup": 0,
    }  # fmt: skip


@pytest.mark.parametrize("subset", SUBSETS.values(), ids=SUBSETS)
def test_the_block_loads(subset):
    method = load_method(aent_block(measured(), subset))
    assert method.subset == subset
    assert method.controller is not None
    assert method.controller.band == (0.39, 0.6)


def test_no_block_without_a_pull():
    with pytest.raises(InputError, match="all rewards are equal"):
        aent_block(measured(pull=0.0, hold=0.0, error=0.0), Full())
    # 10 prompts and 2 * .06 / .1 = 1.2 times too large an error: 10 * 1.44, and a tenth more.
    with pytest.raises(InputError, match=r"not clearly above 0.*--prompts 16 would settle it"):
        aent_block(measured(hold=0.1, error=0.06), Full())
    with pytest.raises(InputError, match=r"hold = -0.1"):
        aent_block(measured(hold=-0.1), Full())
