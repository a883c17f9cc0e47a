from dataclasses import replace

import pytest
import torch

from aent import Fixed, Full, InputError, Method, TopP, entropy_sum, load_method, stacked


def test_a_stack_does_what_all_of_its_methods_do():
    both = stacked([load_method("clip-higher"), load_method("aent")])
    assert both.parts == ("options", "bonus", "controller")
    assert both.options == {"epsilon": 0.2, "epsilon_high": 0.28}
    assert (both.subset, both.needs_clip) == (load_method("aent").subset, True)
    assert both.name == "clip-higher+aent"


def test_it_keeps_subset_bonus_and_measure_of_the_one_with_a_controller(tokens):
    both = stacked([load_method("none"), load_method("siren")])
    assert both.subset == TopP(mass=0.8)
    assert both.measure is not None
    assert [x.item() for x in entropy_sum(both, tokens)] == pytest.approx(
        [0.9 + 0.6, 2]
    )  # peaks of two responses
    no_bonus = stacked([Method(name="a", controller=Fixed(coef=0.1), bonus=None), Method(name="b")])
    assert no_bonus.bonus is None
    assert stacked([Method(name="a"), Method(name="b")]).subset == Full()


def test_a_subset_is_kept_wherever_it_stands():
    nucleus = {"name": "forking-tokens", "subset": {"name": "top-p", "mass": 0.9}}
    for pair in (["clip-higher", nucleus], [nucleus, "clip-higher"]):
        assert load_method(pair).subset == TopP(mass=0.9)
    with pytest.raises(
        InputError, match=r"'siren' and 'forking-tokens' .*TopP\(mass=0.8\) and TopP\(mass=0.9\)"
    ):
        load_method([nucleus, "siren"])


def test_what_cannot_be_stacked_is_named():
    with pytest.raises(InputError, match=r"'aent' and 'skywork' cannot be stacked: both fill 'bonus'"):
        load_method(["aent", "skywork"])
    with pytest.raises(InputError, match=r"'clip-cov' and 'steer' cannot be stacked"):
        load_method(["clip-cov", "steer"])
    with pytest.raises(InputError, match=r"two methods or more, not \['aent'\]"):
        load_method(["aent"])


def test_an_option_may_be_set_twice_only_to_the_same_value():
    one, same = Method(name="one", options={"epsilon": 0.2}), Method(name="same", options={"epsilon": 0.2})
    assert stacked([one, same]).options == {"epsilon": 0.2}
    other = Method(name="other", options={"epsilon": 0.3, "beta": 0.0})
    with pytest.raises(InputError, match=r"'one' and 'other' .* they set epsilon to 0.2 and 0.3"):
        stacked([one, other])


def test_the_parts_of_a_stack_are_the_functions_of_its_methods(tokens):
    shaped = Method(name="shaped", token_advantages=lambda t: 2 * t.advantages)
    both = stacked([shaped, load_method("entropy-bonus")])
    assert torch.equal(both.token_advantages(tokens), 2 * tokens.advantages)


def test_a_method_on_the_whole_vocabulary_stays_on_it(tokens):
    """Over a small nucleus the entropy of most tokens is 0, so forking-tokens would keep all of them."""
    tokens = replace(tokens, entropy=torch.zeros(2, 4))
    for other in ("siren", "aent"):
        for name in ("forking-tokens", "entropy-advantage"):
            alone = load_method(name).token_advantages(replace(tokens, entropy=tokens.full_entropy))
            assert torch.equal(load_method([name, other]).token_advantages(tokens), alone)
    uncertain, _ = load_method(["archer", "aent"]).clip(tokens)
    assert uncertain.max() == 0.5
    nucleus = {"name": "forking-tokens", "subset": {"name": "top-p", "mass": 0.8}}
    kept = load_method([nucleus, "siren"]).token_advantages(tokens)
    assert torch.equal(kept, tokens.advantages)  # all entropies of the nucleus are 0, none is above another
