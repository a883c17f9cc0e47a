import pytest
import torch

from aent import InputError, Sides, Tokens, load_method


def tokens(advantages, **values):
    advantages = torch.tensor(advantages)
    return Tokens(
        **{
            "logp": -torch.ones_like(advantages),
            "old_logp": -torch.ones_like(advantages),
            "entropy": torch.ones_like(advantages),
            "mask": torch.ones_like(advantages),
        }
        | values,
        advantages=advantages,
    )


@pytest.mark.parametrize(
    ("side", "kept"), [(1.0, [[2.0, 0.0, 0.0]]), (-1.0, [[0.0, -1.0, 0.0]]), (0.0, [[2.0, -1.0, 0.0]])]
)
def test_by_hand(side, kept):
    """arXiv 2604.26326: positives only above the band, negatives only below it, all inside."""
    method = load_method({"name": "entrocraft", "steps": 10})
    assert method.token_advantages(tokens([[2.0, -1.0, 0.0]], coef=side)).tolist() == kept


def test_published_defaults():
    """0.6 to 0.4 and 0.7 to 0.5 (authors' script)."""
    method = load_method({"name": "entrocraft", "steps": 4})
    assert method.controller == Sides(low=0.6, high=0.7, low_end=0.4, high_end=0.5, steps=4)
    assert method.parts == ("token_advantages", "controller")  # no bonus
    with pytest.raises(InputError, match="needs steps"):
        load_method("entrocraft")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"steps": 1, "low": 0.9}, r"low=0\.9 above high=0\.7"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(InputError, match=message):
        load_method({"name": "entrocraft", **arguments})
