import pytest

from aent import InputError, load_method
from aent.methods.clip_higher import clip_higher


def test_published_defaults():
    """DAPO's scripts: 0.2 and 0.28."""
    method = load_method("clip-higher")
    assert clip_higher.__kwdefaults__ == method.options == {"epsilon": 0.2, "epsilon_high": 0.28}
    assert method.parts == ("options",)
    assert method.needs_clip


def test_bad_arguments_say_what_is_allowed():
    with pytest.raises(InputError, match=r"epsilon=-0.1: give a number from 0 to inf"):
        clip_higher(epsilon=-0.1)
    with pytest.raises(InputError, match=r"epsilon_high=-0.1: give a number from 0 to inf"):
        clip_higher(epsilon_high=-0.1)
