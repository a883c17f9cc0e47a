"""Methods on the advantages of tokens, by hand."""

from dataclasses import replace

import pytest
import torch

from aent import InputError, load_method
from aent.controllers import Gate, Sides
from aent.method import Tokens

NAN = float("nan")


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


def test_entropy_advantage_by_hand():
    """A + min(alpha * H, |A| / kappa), arXiv 2506.14758 with 0.4 and 2.

    H = 0.5: 0.2 for A = 1, where 1/2 would allow more. H = 3: 1.2 is cut to 0.5, for A = -1 as well, which
    becomes -0.5. A = 0 stays.
    """
    seen = tokens([[1.0, 1.0], [-1.0, 0.0]], entropy=torch.tensor([[0.5, 3.0], [3.0, 3.0]]))
    made = load_method("entropy-advantage").token_advantages(seen)
    assert made.flatten().tolist() == pytest.approx([1.2, 1.5, -0.5, 0.0])


def test_entropy_advantage_keeps_every_sign():
    torch.manual_seed(0)
    seen = tokens(torch.randn(8, 8).tolist(), entropy=100 * torch.rand(8, 8))
    made = load_method({"name": "entropy-advantage", "kappa": 1.5}).token_advantages(seen)
    assert torch.equal(made.sign(), seen.advantages.sign())


SEEN = tokens(
    [[2.0] * 4, [-1.0] * 4],
    logp=-torch.tensor([[0.1, 3.0, 2.0, 9.0], [0.2, 0.3, 5.0, 4.0]]),
    mask=torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]),
    coef=1.0,
)


def test_stare_by_hand():
    """arXiv 2606.19236: weight W on the top share of surprisal among A > 0, M among A < 0, here half each.

    Three good tokens count (the last is padding), of which ceil(1.5) = 2: surprisals 3 and 2. Of the four
    bad ones, 5 and 4.
    """
    method = load_method({"name": "stare", "top": 0.5, "negative_weight": 0.5, "weight": 1.5})
    made = method.token_advantages(SEEN)
    assert made.tolist() == [[2.0, 3.0, 3.0, 2.0], [-1.0, -1.0, -0.5, -0.5]]


def test_stare_seeks_the_largest_over_all_ranks():
    """The other rank holds a more surprising token than any here, so none of these is the top quarter."""
    seen = replace(SEEN, gather=lambda values: torch.cat([values, torch.tensor([7.0, 8.0])]))
    method = load_method({"name": "stare", "top": 0.25, "negative_weight": 0.5, "weight": 1.5})
    assert torch.equal(method.token_advantages(seen), seen.advantages)


def test_stare_takes_part_in_gathering_without_a_token_of_its_own():
    called = []

    def gather(values):
        called.append(values.numel())
        return values

    method = load_method("stare")
    seen = replace(SEEN, advantages=torch.zeros(2, 4), gather=gather)
    assert torch.equal(method.token_advantages(seen), torch.zeros(2, 4))
    assert called == [0, 0]


def test_stare_is_closed_at_or_above_its_target():
    method = load_method("stare")
    assert method.token_advantages(replace(SEEN, coef=0.0)) is SEEN.advantages


def test_stare_counts_the_share_exactly():
    """0.28 * 25 is 7.000000000000001 in doubles; seven tokens, not eight."""
    seen = tokens([[1.0] * 25], logp=-torch.arange(25.0)[None], coef=1.0)
    made = load_method({"name": "stare", "weight": 2.0, "top": 0.28}).token_advantages(seen)
    assert made[0].tolist() == [1.0] * 18 + [2.0] * 7


@pytest.mark.parametrize(
    ("side", "kept"), [(1.0, [[2.0, 0.0, 0.0]]), (-1.0, [[0.0, -1.0, 0.0]]), (0.0, [[2.0, -1.0, 0.0]])]
)
def test_entrocraft_by_hand(side, kept):
    """arXiv 2604.26326: positives only above the band, negatives only below it, all inside."""
    method = load_method({"name": "entrocraft", "steps": 10})
    assert method.token_advantages(tokens([[2.0, -1.0, 0.0]], coef=side)).tolist() == kept


def test_published_defaults():
    """stare: W 1.1, M in O1 without effect, top 10%, H* 0.3 (authors' code and script); entrocraft:
    0.6 to 0.4 and 0.7 to 0.5 (authors' script); entropy-advantage's are checked by hand above.
    """
    stare, entrocraft = load_method("stare"), load_method({"name": "entrocraft", "steps": 4})
    assert stare.controller == Gate(target=0.3)
    seen = tokens([[1.0] * 10, [-1.0] * 10], logp=-torch.arange(20.0).view(2, 10), coef=1.0)
    expected = seen.advantages.clone()
    expected[0, 9] = 1.1
    torch.testing.assert_close(stare.token_advantages(seen), expected)
    assert entrocraft.controller == Sides(low=0.6, high=0.7, low_end=0.4, high_end=0.5, steps=4)
    for method in (stare, entrocraft):
        assert method.parts == ("token_advantages", "controller")  # no bonus beside
    with pytest.raises(InputError, match="needs steps"):
        load_method("entrocraft")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "entropy-advantage", "kappa": 0.5}, r"kappa=0\.5.*kappa at least 1"),
        ({"name": "entropy-advantage", "alpha": -1.0}, r"alpha=-1\.0.*alpha must be at least 0"),
        ({"name": "stare", "top": 10.0}, r"top=10\.0 above 0 and at most 1 \(0\.1 for a tenth\)"),
        ({"name": "stare", "weight": -1.0}, r"weight=-1\.0 .*must be at least 0"),
        ({"name": "stare", "target": NAN}, "target=nan"),
        ({"name": "entrocraft", "steps": 0}, "steps=0 must be at least 1"),
        ({"name": "entrocraft", "steps": 1, "low": 0.9}, r"low=0\.9 above high=0\.7"),
    ],
)
def test_bad_arguments_say_what_is_allowed(spec, message):
    with pytest.raises(InputError, match=message):
        load_method(spec)
