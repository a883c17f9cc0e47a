"""Log-probability and entropy out of verl's own engines, on two processes."""

from pathlib import Path

import pytest
import torch

from aent import InputError
from aent.ops import entropy_slopes, logit_slopes
from aent.ops.slopes import MOST
from aent.subsets import Fraction
from aent.verl.engine import real_columns, slopes_of_logits

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def forms(launch, tmp_path_factory):
    """What each rank saw in each form: ``forms["head"][0]["gradients"]``."""
    from verl_on_cpu import toy

    folder = tmp_path_factory.mktemp("forms")
    toy.policy().save_pretrained(folder)
    launch(HERE / "engine_ranks.py", folder)
    names = {path.name.rpartition("-")[0] for path in folder.glob("*-0.pt")}
    return {name: [torch.load(folder / f"{name}-{rank}.pt") for rank in (0, 1)] for name in names}


def assert_same(forms, one, other):
    a, b = forms[one][0], forms[other][0]
    assert a["gradients"].keys() == b["gradients"].keys()
    for name, gradient in a["gradients"].items():
        torch.testing.assert_close(b["gradients"][name], gradient, atol=1e-5, rtol=1e-5)
    for name in ("loss", "grad_norm"):
        assert b["metrics"][name] == pytest.approx(a["metrics"][name], abs=1e-5)


@pytest.mark.parametrize("form", ["logits", "head"])
def test_with_the_full_entropy_and_one_coefficient_it_is_verl(form, forms):
    assert_same(forms, "verl", form)
    metrics, verls = forms[form][0]["metrics"], forms["verl"][0]["metrics"]
    entropy = metrics["aent/entropy"] / metrics["aent/weight"]
    assert entropy == pytest.approx(verls["actor/entropy_loss"], abs=1e-5)
    assert metrics["actor/entropy_loss"] == pytest.approx(verls["actor/entropy_loss"], abs=1e-5)
    assert metrics["aent/full_entropy"] == pytest.approx(metrics["aent/entropy"], rel=1e-6)
    assert metrics["aent/tokens"] == 31  # 33 per rank, less two of a tool


@pytest.mark.parametrize("kind", ["cut", "auto"])
def test_with_and_without_logits_agree(kind, forms):
    assert_same(forms, f"logits-{kind}", f"head-{kind}")
    ours, theirs = (forms[f"{form}-{kind}"][0]["metrics"] for form in ("logits", "head"))
    for name in ("entropy", "full_entropy", "weight", "pull", "push"):
        assert theirs[f"aent/{name}"] == pytest.approx(ours[f"aent/{name}"], abs=1e-5, rel=1e-5)


def test_the_clamped_entropy_is_another_one(forms):
    cut, full = (forms[name][0]["metrics"] for name in ("logits-cut", "logits"))
    assert cut["aent/entropy"] < 0.95 * full["aent/entropy"]
    assert cut["aent/full_entropy"] == pytest.approx(full["aent/full_entropy"], rel=1e-6)
    assert forms["logits-auto"][0]["metrics"]["aent/push"] > 0


@pytest.mark.parametrize(
    ("form", "verls"),
    [("logits", "verl"), ("head", "verl"), ("head-cut", "logits-cut"), ("head-auto", "logits-auto")],
)
def test_passes_without_gradient_give_verls_numbers(form, verls, forms):
    """With logits they are verl's own. After an update, so compared with a form that makes the same one."""
    for name, values in forms[verls][0]["scored"].items():
        torch.testing.assert_close(forms[form][0]["scored"][name], values, atol=1e-4, rtol=1e-4)


def test_there_are_no_logits_in_any_pass(forms):
    """A vocabulary of 32; three columns per token, and three slopes more where the method needs them."""
    widths = {name: forms[name][0]["widths"] for name in ("verl", "logits", "head", "head-cut", "head-auto")}
    assert widths == {"verl": {32}, "logits": {32}, "head": {3}, "head-cut": {3}, "head-auto": {3, 6}}


def test_values_of_all_ranks_are_gathered_also_from_a_rank_without_any(forms):
    assert [rank["gathered"].tolist() for rank in forms["other"]] == [[0.0, 1.0, 2.0]] * 2


def test_engines_and_models_that_do_not_fit_are_refused(forms):
    other = forms["other"][0]
    assert "no forward pass for verl's object; set actor_rollout_ref.actor.strategy to" in other["engine"]
    assert "changes its logits after the output layer" in other["scaled"]


def test_two_tensor_parallel_ranks_agree_with_the_dense_answer(launch, tmp_path):
    """A vocabulary of 1,001 padded to 1,024, of which the second rank holds 489 tokens and the padding."""
    launch(HERE / "megatron_ranks.py", tmp_path)
    for rank in (0, 1):
        results = torch.load(tmp_path / f"megatron-{rank}.pt")
        assert results.pop("forward") == {"log_probs": 0.0, "entropy": 0.0}
        for subset, gaps in results.items():
            assert gaps.pop("requires_grad") is False
            assert max(gaps.values()) < 1e-5, (rank, subset, gaps)


def test_columns_that_only_pad_the_vocabulary_are_cut():
    logits = torch.arange(8.0)[None]
    assert real_columns(logits, 0, 13).shape == (1, 8)
    assert real_columns(logits, 1, 13).tolist() == [[0, 1, 2, 3, 4]]
    with pytest.raises(InputError, match="rank 2 holds nothing but padding of a vocabulary of 13"):
        real_columns(logits, 2, 13)


def test_slopes_of_logits_are_those_of_hidden_states():
    """On a third of the rows where there are more than `MOST`: evenly spaced, 0 elsewhere."""
    torch.manual_seed(0)
    logits, targets = torch.randn(3 * MOST, 11), torch.randint(0, 11, (3 * MOST,))
    subset = Fraction(drop=0.3)
    ours = slopes_of_logits(logits, targets, subset)
    theirs = entropy_slopes(logits, torch.eye(11), targets, subset=subset)
    every = logit_slopes(logits[::3], targets[::3], subset=subset)
    for a, b, c in zip(ours, theirs, every, strict=True):
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(a[::3], c)
        assert (a[1::3] == 0).all()
