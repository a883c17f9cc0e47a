import pytest

from aent.errors import InputError
from aent.evaluation import EvalConfig


@pytest.mark.parametrize(
    ("settings", "due"),
    [
        ({"samples": 16}, (1, 4, 16)),
        ({"samples": 6}, (1, 4, 6)),
        ({"samples": 1, "temperature": 0.0}, (1,)),
        ({"samples": 8, "k": (8, 2)}, (1, 2, 8)),
        ({"samples": 8, "k": ()}, (1,)),
    ],
)
def test_which_k_are_reported(settings, due):
    assert EvalConfig(**settings).ks == due


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "valid"}, "split must be"),
        ({"problems": 0}, "problems must be at least 1"),
        ({"samples": 4, "k": (1, 8)}, r"k must lie in 1\.\.4.*\[8\]"),
        ({"k": (0,)}, "k must lie in"),
        ({"temperature": 0.0}, "16 samples would all be the same"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        EvalConfig(**settings)
