import math

import pytest

from aent import InputError
from aent.methods.checks import require_at_least, require_between


def test_ends_are_allowed():
    for value in (0, 0.5, 1):
        require_between("share", value, 0, 1)
    require_between("clip", math.inf, 0, math.inf)
    require_at_least("weight", 0.0, 0)


@pytest.mark.parametrize("value", [-1e-9, 1.1, math.nan])
def test_outside_is_refused(value):
    with pytest.raises(InputError, match=f"share={value}: give a number from 0 to 1"):
        require_between("share", value, 0, 1)


@pytest.mark.parametrize("value", [0.99, math.inf, math.nan])
def test_too_little_or_not_finite_is_refused(value):
    with pytest.raises(InputError, match=f"weight={value}: give a finite number, at least 1"):
        require_at_least("weight", value, 1)
