import pytest
import torch

from aent import InputError, Tokens, load_method


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


def test_by_hand():
    """A + min(alpha * H, |A| / kappa), arXiv 2506.14758 with 0.4 and 2.

    H = 0.5: 0.2 for A = 1, where 1/2 would allow more. H = 3: 1.2 is cut to 0.5, for A = -1 as well, which
    becomes -0.5. A = 0 stays.
    """
    seen = tokens([[1.0, 1.0], [-1.0, 0.0]], entropy=torch.tensor([[0.5, 3.0], [3.0, 3.0]]))
    made = load_method("entropy-advantage").token_advantages(seen)
    assert made.flatten().tolist() == pytest.approx([1.2, 1.5, -0.5, 0.0])


def test_it_keeps_every_sign():
    torch.manual_seed(0)
    seen = tokens(torch.randn(8, 8).tolist(), entropy=100 * torch.rand(8, 8))
    made = load_method({"name": "entropy-advantage", "kappa": 1.5}).token_advantages(seen)
    assert torch.equal(made.sign(), seen.advantages.sign())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kappa": 0.5}, r"kappa=0\.5.*kappa at least 1"),
        ({"alpha": -1.0}, r"alpha=-1\.0.*alpha must be at least 0"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(InputError, match=message):
        load_method({"name": "entropy-advantage", **arguments})
