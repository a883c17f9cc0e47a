import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aent.errors import InputError
from aent.subsets import Cut, Fraction, Full, Rule, Subset, TopK, TopP, ascending, rule_of

# p = 1/2, 1/4, 1/8, 1/8
LOGITS = torch.tensor([[4.0, 2.0, 1.0, 1.0]]).log()


def weights(subset: Subset, logits: torch.Tensor) -> torch.Tensor:
    cut = subset.cut(logits)
    return torch.ones_like(logits) if cut is None else cut.weights(logits)


@pytest.mark.parametrize(
    ("subset", "expected"),
    [
        (Full(), [1, 1, 1, 1]),
        (Fraction(drop=0), [1, 1, 1, 1]),
        (Fraction(drop=0.24), [1, 1, 1, 1]),  # int(.24 * 4) = 0 dropped
        (Fraction(drop=0.25), [1, 1, 0.5, 0.5]),  # 3 kept: one place for two tied tokens
        (Fraction(drop=0.5), [1, 1, 0, 0]),
        (Fraction(drop=0.999), [1, 0, 0, 0]),  # int(3.996) = 3 dropped
        (TopK(k=1), [1, 0, 0, 0]),
        (TopK(k=3), [1, 1, 0.5, 0.5]),
        (TopK(k=4), [1, 1, 1, 1]),
        (TopK(k=9), [1, 1, 1, 1]),
        (TopP(mass=0.4), [1, 0, 0, 0]),
        (TopP(mass=0.6), [1, 1, 0, 0]),  # 1/2 is short of it, 3/4 is not
        (TopP(mass=0.8), [1, 1, 0.5, 0.5]),  # .05 is missing at .75: one token of 1/8
        (TopP(mass=0.9), [1, 1, 1, 1]),  # .15 is missing: two tokens of 1/8
        (TopP(mass=1), [1, 1, 1, 1]),
    ],
)
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 0, 2, 1]])
def test_weights_by_hand(subset, expected, order):
    assert weights(subset, LOGITS[:, order])[0].tolist() == [expected[i] for i in order]


@pytest.mark.parametrize("kept", [1, 2, 3, 4, 5, 64, 128, 255, 256])
def test_threshold_is_the_kth_largest(kept):
    torch.manual_seed(0)
    logits = torch.randn(5, 257)
    cut = TopK(k=kept).cut(logits)
    assert cut is not None
    assert torch.equal(cut.threshold[:, 0], logits.sort(descending=True).values[:, kept - 1])


@pytest.mark.parametrize("kept", [400, 6_000, 14_000, 19_999])
def test_threshold_of_long_rows_that_are_looked_up_in_a_sample(kept):
    torch.manual_seed(0)
    rows = torch.randn(5, 20_000)
    rows[1, ::64] += 50  # what is sampled misleads, upwards and downwards
    rows[2, ::64] -= 50
    rows[3] = rows[3].round()
    rows[4, :12_000] = -math.inf
    cut = Fraction(drop=1 - kept / 20_000 + 1e-9).cut(rows)
    assert cut is not None
    assert torch.equal(cut.threshold[:, 0], rows.sort(descending=True).values[:, kept - 1])
    assert Fraction(drop=0.3).cut(rows[:0]).threshold.shape == (0, 1)


def test_share_of_many_tied_tokens():
    # 3 places, 1 above: 2 places for the 5 tied tokens
    logits = torch.tensor([[0.0, 7, 1, 1, 1, 1, 1, -3]])
    cut = TopK(k=3).cut(logits)
    assert cut is not None
    assert cut.threshold.item() == 1
    assert cut.share.item() == pytest.approx(2 / 5)


def test_cut_among_impossible_tokens():
    logits = torch.tensor([[0.0, -math.inf, -math.inf, -math.inf]])
    cut = TopK(k=2).cut(logits)
    assert cut is not None
    assert cut.threshold.item() == -math.inf
    assert cut.share.item() == pytest.approx(1 / 3)


def test_rows_are_cut_by_themselves():
    logits = torch.tensor([[9.0, 0, 0, 0], [0.0, 0, 0, 0]])
    # the first row reaches .9 with one token, the second with all four (.25 each)
    assert weights(TopP(mass=0.9), logits).tolist() == [[1, 0, 0, 0], [1, 1, 1, 1]]


@settings(deadline=None, max_examples=50)
@given(
    values=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    k=st.integers(1, 12),
    drop=st.floats(0, 0.999),
)
def test_exactly_as_many_tokens_as_asked_for(values, k, drop):
    logits = torch.tensor([values], dtype=torch.float64)
    vocab = len(values)
    assert weights(TopK(k=k), logits).sum().item() == pytest.approx(min(k, vocab))
    kept = weights(Fraction(drop=drop), logits).sum().item()
    assert kept == pytest.approx(vocab - int(drop * vocab))


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.integers(-3, 3), min_size=1, max_size=12), mass=st.floats(0.01, 0.99))
def test_smallest_set_that_reaches_the_mass(values, mass):
    logits = torch.tensor([values], dtype=torch.float64)
    p = logits.softmax(-1)[0]
    w = weights(TopP(mass=mass), logits)[0]
    kept = round(w.sum().item())
    best = p.sort(descending=True).values
    assert best[:kept].sum() >= mass - 1e-12
    assert kept == 1 or best[: kept - 1].sum() < mass + 1e-12
    assert (w * p).sum().item() == pytest.approx(best[:kept].sum().item())


def test_a_subset_of_your_own_is_one():
    class MinP:
        def cut(self, logits):
            threshold = logits.amax(-1, keepdim=True) + math.log(0.3)
            return Cut(threshold, torch.ones_like(threshold))

    assert isinstance(MinP(), Subset)
    assert weights(MinP(), LOGITS).tolist() == [[1, 1, 0, 0]]  # at least .3 * 1/2


@pytest.mark.parametrize("drop", [-0.1, 1, 1.5, math.nan])
def test_fraction_refuses(drop):
    with pytest.raises(InputError, match=r"at least 0 and below 1.*TopK"):
        Fraction(drop=drop)


@pytest.mark.parametrize("k", [0, -3, 2.5])
def test_topk_refuses(k):
    with pytest.raises(InputError, match="at least 1"):
        TopK(k=k)


@pytest.mark.parametrize("mass", [0, -1, 1.01, math.nan])
def test_topp_refuses(mass):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        TopP(mass=mass)


def test_weights_are_written_where_asked_and_in_the_dtype_of_the_logits():
    cut = Cut(torch.tensor([[1.0]]), torch.tensor([[0.25]]))
    logits = torch.tensor([[0.0, 1.0, 2.0, 1.0]], dtype=torch.float64)
    out = torch.full_like(logits, math.nan)
    assert cut.weights(logits, out) is out
    assert out.tolist() == [[0, 0.25, 1, 0.25]]
    assert torch.equal(cut.weights(logits), out)


class Third(TopK):
    """A subclass that cuts in a way of its own."""

    def cut(self, logits):
        return TopK(k=self.k // 3).cut(logits)


@pytest.mark.parametrize(
    ("subset", "rule"),
    [
        (Full(), Rule("all")),
        (Fraction(drop=0), Rule("all")),
        (Fraction(drop=0.09), Rule("all")),  # int(.09 * 10) = 0 dropped
        (Fraction(drop=0.35), Rule("count", 7)),  # int(3.5) = 3 dropped
        (TopK(k=9), Rule("count", 9)),
        (TopK(k=10), Rule("all")),
        (TopK(k=11), Rule("all")),
        (TopP(mass=0.9), Rule("mass", mass=0.9)),
        (TopP(mass=1), Rule("all")),
        (Third(k=6), Rule("own")),
    ],
    ids=str,
)
def test_the_rule_of_a_subset(subset, rule):
    assert rule_of(subset, vocab=10) == rule


@settings(deadline=None, max_examples=50)
@given(
    values=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    subset=st.one_of(
        st.builds(TopK, k=st.integers(1, 12)), st.builds(Fraction, drop=st.floats(0, 0.999)), st.just(Full())
    ),
)
def test_a_rule_says_what_the_cut_does(values, subset):
    """Kernels go by the rule, other backends by the cut: both keep as many tokens."""
    logits, vocab = torch.tensor([values], dtype=torch.float64), len(values)
    rule = rule_of(subset, vocab)
    kept = vocab if rule.kind == "all" else rule.kept
    assert weights(subset, logits).sum().item() == pytest.approx(kept)


def test_rows_in_order():
    rows = torch.tensor([[3.0, -math.inf, 1.0, 1.0], [0.0, 2.0, -2.0, 5.0]])
    assert ascending(rows).tolist() == [[-math.inf, 1, 1, 3], [-2, 0, 2, 5]]


@pytest.mark.parametrize("subset", [TopK(k=7), TopK(k=9), TopP(mass=1), Fraction(drop=0)], ids=repr)
def test_what_keeps_every_token_does_not_cut(subset):
    assert subset.cut(torch.arange(7.0)[None]) is None


def test_thresholds_near_the_end_of_what_is_sampled():
    """Of 256 samples, four standard deviations above rank 239 (k = 1,088) is exactly the end."""
    row = torch.randn(1, 1 << 14, generator=torch.Generator().manual_seed(2))
    ordered = row.sort(descending=True).values[0]
    for kept in range(1024, 1216, 4):
        cut = TopK(k=kept).cut(row)
        assert cut is not None
        assert cut.threshold.item() == ordered[kept - 1]
