"""The entropy of the policy that made the rollouts, for methods that compare with it."""

from dataclasses import replace

import pytest
import torch

from aent import Method
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntRLOOConfig, AEntRLOOTrainer


def seen_in(trainer):
    """Train; return the tokens that the method saw in every step."""
    seen = []

    def watch(tokens):
        seen.append(replace(tokens, logp=tokens.logp.clone(), entropy=tokens.entropy.clone()))
        return tokens.advantages

    trainer(Method(name="watch", token_advantages=watch, needs_old_entropy=True)).train()
    return seen


@pytest.mark.parametrize(
    ("kind", "config"), [(AEntGRPOTrainer, AEntGRPOConfig), (AEntRLOOTrainer, AEntRLOOConfig)]
)
def test_it_is_that_of_the_first_step_on_a_batch_of_rollouts(kind, config, build, options):
    """Two steps on the same completions: the policy has moved in the second, the old entropy has not."""
    more = options | {"num_iterations": 2, "max_steps": 2}
    first, second = seen_in(lambda method: build(kind, config, more, method=method))
    mask = first.mask.bool()
    torch.testing.assert_close(first.old_entropy[mask], first.entropy[mask])
    torch.testing.assert_close(second.old_entropy, first.old_entropy)
    assert (second.entropy - second.old_entropy)[mask].abs().max() > 1e-4


def test_on_policy_there_is_none(build, options):
    (seen,) = seen_in(
        lambda method: build(AEntGRPOTrainer, AEntGRPOConfig, options | {"max_steps": 1}, method=method)
    )
    assert seen.old_entropy is None


def test_with_a_reference_policy_it_is_not_the_references(grpo):
    """The reference policy is scored as well, in a pass of its own."""
    seen = seen_in(lambda method: grpo(method, num_iterations=2, max_steps=2, beta=0.1, learning_rate=1e-2))
    mask = seen[0].mask.bool()
    torch.testing.assert_close(seen[1].old_entropy[mask], seen[0].entropy[mask])
    (on_policy,) = seen_in(lambda method: grpo(method, max_steps=1, beta=0.1))
    assert on_policy.old_entropy is None
