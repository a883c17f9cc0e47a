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
            "full_entropy": torch.ones_like(advantages),
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


@pytest.mark.parametrize(
    ("side", "kept"),
    [(1.0, [[8.0], [2.0], [0.0], [0.0], [0.0]]), (-1.0, [[0.0], [0.0], [-2.0], [0.0], [0.0]]),
     (0.0, [[4.0], [1.0], [-0.5], [0.0], [9.0]])],
)  # fmt: skip
def test_per_kept_by_hand(side, kept):
    """Four completions count; the last is masked. Two are good, so 4 / 2; one is bad, so 4 / 1."""
    method = load_method({"name": "entrocraft", "steps": 10, "per_kept": True})
    mask = torch.tensor([[1.0], [1.0], [1.0], [1.0], [0.0]])
    seen = tokens([[4.0], [1.0], [-0.5], [0.0], [9.0]], coef=side, mask=mask)
    assert (method.token_advantages(seen) * (mask if side else 1)).tolist() == kept


def test_per_kept_counts_the_completions_of_all_ranks():
    """Beside a rank with two that are not kept: 4 / 1. With none kept, nothing is left, and no NaN."""
    method = load_method({"name": "entrocraft", "steps": 10, "per_kept": True})
    seen = tokens([[4.0], [-1.0]], coef=1.0, gather=lambda values: torch.cat([values, torch.zeros(2)]))
    assert method.token_advantages(seen).tolist() == [[16.0], [0.0]]
    none = tokens([[-4.0], [-1.0]], coef=1.0)
    assert not method.token_advantages(none).any()


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
