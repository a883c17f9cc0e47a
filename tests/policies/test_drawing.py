import pytest
import torch

from aent.errors import InputError
from aent.policies.drawing import LARGE, draw_one, fast_drawing


def test_each_token_comes_as_often_as_it_is_probable():
    p = torch.tensor([0.5, 0.0, 0.2, 0.3, 0.0]).expand(100_000, -1)
    drawn = draw_one(p, torch.Generator().manual_seed(0))[:, 0]
    shares = torch.bincount(drawn, minlength=5) / 100_000
    assert shares[[1, 4]].tolist() == [0, 0]
    # Five standard errors: 5 * sqrt(.25 / 100,000) = .008
    assert shares.tolist() == pytest.approx([0.5, 0, 0.2, 0.3, 0], abs=0.008)


def test_a_tail_of_many_tiny_probabilities_is_not_lost():
    """Half of the mass on one token, half on a million of 5e-7: float32 sums next to .5 would lose a part."""
    tail = 1_000_000
    p = torch.full((20, tail + 1), 0.5 / tail)
    p[:, 0] = 0.5
    generator = torch.Generator().manual_seed(1)
    drawn = torch.cat([draw_one(p, generator)[:, 0] for _ in range(20)])
    assert 150 < (drawn > 0).sum() < 250  # five standard errors
    assert drawn[drawn > 0].float().mean() == pytest.approx(tail / 2, rel=0.12)


def test_a_token_without_probability_is_never_drawn():
    p = torch.zeros(50_000, 300)
    p[:, [5, 130, 257]] = torch.tensor([0.1, 0.2, 0.7])
    drawn = draw_one(p, torch.Generator().manual_seed(2))[:, 0]
    assert set(drawn.tolist()) == {5, 130, 257}


@pytest.mark.parametrize("entry", [float("nan"), float("inf"), 0.0])
def test_a_row_that_is_no_distribution_is_refused(entry):
    p = torch.full((2, 300), 1 / 300)
    p[1] = entry
    with pytest.raises(InputError, match="NaN or infinity, or are all 0"):
        draw_one(p)


def test_only_one_draw_from_a_long_row_is_swapped():
    short, long = torch.rand(3, 50), torch.rand(3, LARGE + 1)
    ordinary = torch.multinomial

    def drawn(p, count):
        torch.manual_seed(0)
        return torch.multinomial(p, count)

    plain = [drawn(p, count) for p, count in ((short, 1), (short, 4), (long, 4))]
    with fast_drawing():
        swapped = [drawn(p, count) for p, count in ((short, 1), (short, 4), (long, 4))]
        fast = drawn(long, 1)
        torch.manual_seed(0)
        assert torch.equal(fast, draw_one(long))
    assert all(torch.equal(a, b) for a, b in zip(plain, swapped, strict=True))
    assert torch.multinomial is ordinary
