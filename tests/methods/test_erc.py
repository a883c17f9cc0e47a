from dataclasses import replace

import pytest
import torch

from aent import InputError, load_method, stacked, token_advantages
from aent.methods.erc import erc


def test_published_defaults():
    """The authors' script for DAPO: 0.95 to 1.05, clipping 0.2 and 0.28."""
    assert erc.__kwdefaults__ == {"low": 0.95, "high": 1.05, "epsilon": 0.2, "epsilon_high": 0.28}
    method = erc()
    assert method.options == {"epsilon": 0.2, "epsilon_high": 0.28}
    assert method.needs_old_entropy
    assert stacked([load_method("none"), method]).needs_old_entropy


def test_by_hand(tokens):
    """Ratios 1.04, 1.06, 0.96, 0.94 of the first completion, each edge itself is outside (2 / 2.1 and 2.1 / 2
    are well inside and outside), 1 and, from 0 to 0, 1.
    """
    old = torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 3.0, 0.0]])
    new = torch.tensor([[1.04, 1.06, 0.96, 0.94], [1.9, 2.1, 3.0, 0.0]])
    seen = replace(tokens, full_entropy=new, old_entropy=old)
    kept = torch.tensor([[1, 0, 1, 0], [0, 0, 1, 1]])
    method = erc(low=0.95000005, high=1.04999995)  # 1.9 / 2 and 2.1 / 2 are edges; float32 rounds both inside
    assert torch.equal(token_advantages(method, seen), seen.advantages * kept)


def test_an_entropy_that_vanished_or_appeared_is_outside(tokens):
    old, new = torch.tensor([[1.0, 0.0, 1.0, 1.0]] * 2), torch.tensor([[0.0, 1.0, 1.0, 1.0]] * 2)
    shaped = token_advantages(erc(), replace(tokens, full_entropy=new, old_entropy=old))
    assert shaped[0].tolist() == [0.0, 0.0, 2.0, 2.0]


def test_on_policy_nothing_is_left_out(tokens):
    assert token_advantages(erc(), tokens) is tokens.advantages
    same = replace(tokens, entropy=tokens.entropy / 2, old_entropy=tokens.full_entropy)
    assert torch.equal(token_advantages(erc(), same), tokens.advantages)


@pytest.mark.parametrize("arguments", [{"low": 1.0}, {"high": 1.0}, {"low": -0.1}])
def test_bad_arguments_say_what_is_allowed(arguments):
    with pytest.raises(InputError, match="must satisfy 0 <= low < 1 < high"):
        erc(**arguments)


def test_a_token_exactly_at_an_edge_is_left_out(tokens):
    """Entropies of 0.5, 1 and 1.5 after 1: ratios that float32 holds exactly, up to the small summand."""
    entropy = torch.tensor([[0.5, 1.5, 1.0, 1.0]] * 2)
    seen = replace(tokens, full_entropy=entropy, old_entropy=torch.ones(2, 4))
    for low, high in ((0.5, 2.0), (0.25, 1.5)):
        inside = (entropy > low) & (entropy < high)
        assert torch.equal(token_advantages(erc(low=low, high=high), seen), seen.advantages * inside)


def test_it_compares_entropies_over_the_whole_vocabulary(tokens):
    """Stacked with a method that measures over a subset, an entropy of its half is no change."""
    both = load_method(["erc", {"name": "aent", "drop": 0.9}])
    seen = replace(tokens, entropy=tokens.full_entropy / 2, old_entropy=tokens.full_entropy)
    assert torch.equal(token_advantages(both, seen), tokens.advantages)
