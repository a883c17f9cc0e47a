from dataclasses import replace

import pytest
import torch

from aent import Tokens
from aent.methods import extremes
from aent.methods.extremes import at_least, at_most, largest, largest_share, quantile

SCORES = torch.tensor([[3.0, 1.0, 2.0, 9.0], [2.0, 0.0, -1.0, 2.0]])
AMONG = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]).bool()
TOKENS = Tokens(
    logp=SCORES, old_logp=SCORES, entropy=SCORES, full_entropy=SCORES, advantages=SCORES, mask=AMONG.float()
)


def places(where):
    return [tuple(place) for place in where.nonzero().tolist()]


def test_counts_by_hand():
    """0.28 * 25 is 7.000000000000001 in doubles."""
    assert [at_most(share, 25) for share in (0.0, 0.001, 0.28, 0.5, 1.0)] == [0, 1, 7, 12, 25]
    assert [at_least(share, 25) for share in (0.001, 0.28, 0.29, 0.5, 1.0)] == [1, 7, 8, 13, 25]


def test_the_largest_without_and_with_ties():
    """Of 3 1 2 2 0 -1 2 the largest is 3; three 2s tie behind it, so of two or three only 3 is sure."""
    for count in (1, 2, 3):
        assert places(largest(TOKENS, SCORES, AMONG, count)) == [(0, 0)]
    assert places(largest(TOKENS, SCORES, AMONG, 4)) == [(0, 0), (0, 2), (1, 0), (1, 3)]
    assert places(largest_share(TOKENS, SCORES, AMONG, 1 / 7)) == [(0, 0)]
    for count in (2, 3, 4):
        assert places(largest_share(TOKENS, SCORES, AMONG, count / 7)) == [(0, 0), (0, 2), (1, 0), (1, 3)]


def test_no_more_than_there_are():
    assert torch.equal(largest(TOKENS, SCORES, AMONG, 7), AMONG)
    assert torch.equal(largest(TOKENS, SCORES, AMONG, 99), AMONG)
    assert not largest(TOKENS, SCORES, AMONG, 0).any()
    nobody = torch.zeros_like(AMONG)
    assert not largest_share(TOKENS, SCORES, nobody, 1.0).any()


def test_the_largest_of_all_ranks():
    """Another rank holds 2.5 and 4: of two, one is here; of one, none."""
    beside = replace(TOKENS, gather=lambda values: torch.cat([values, torch.tensor([2.5, 4.0])]))
    assert places(largest(beside, SCORES, AMONG, 2)) == [(0, 0)]
    assert places(largest_share(beside, SCORES, AMONG, 2 / 9)) == [(0, 0)]
    assert not largest(beside, SCORES, AMONG, 1).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_scores_are_compared_in_their_own_precision(dtype):
    """In float32, 1 + 1e-9 and 1 + 2e-9 are 1: neither would be above the other."""
    fine = torch.tensor([[1 + 1e-9, 1 + 2e-9, 1.0, 0.0]], dtype=torch.float64).to(dtype)
    among = torch.ones(1, 4).bool()
    chosen = places(largest(TOKENS, fine, among, 1))
    assert chosen == ([(0, 1)] if dtype == torch.float64 else [])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_a_quantile_of_more_values_than_torch_accepts_keeps_the_same_ones(share, monkeypatch):
    """Beyond the limit it is one of the values and not between two; no value is between."""
    for values in (torch.linspace(0, 1, 11), torch.rand(12).round(decimals=1)):
        kept = values >= quantile(values, share)
        monkeypatch.setattr(extremes, "QUANTILE_LIMIT", 10)
        assert torch.equal(values >= quantile(values, share), kept)
        monkeypatch.undo()


def test_the_limit_is_torchs():
    values = torch.zeros(extremes.QUANTILE_LIMIT + 1)
    with pytest.raises(RuntimeError, match="too large"):
        values.quantile(0.5)
    assert quantile(values, 0.5) == 0
