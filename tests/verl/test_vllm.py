"""The whole loop with vLLM's own server on the CPU: ``make test-verl-vllm``, in an environment of its own."""

from importlib.util import find_spec

import pytest
from whole_run import Run, aent, follows_the_rule

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed; run `make test-verl-vllm`"),
]
VLLM = "actor_rollout_ref.rollout.name=vllm"


def test_the_policy_learns_and_its_weights_reach_the_server(folder):
    with Run(folder, 12, VLLM, f"+aent.method={aent(2.9, 3.2)}") as run:
        steps = [metrics for _, metrics in sorted(run.finish().items())]
    assert len(steps) == 12
    assert steps[0]["critic/score/mean"] < 0.25
    assert steps[-1]["critic/score/mean"] > 0.5
    follows_the_rule(steps, 2.9, 3.2)
    for metrics in steps:
        assert metrics["training/rollout_probs_diff_mean"] < 1e-6


def test_without_logits_a_stack_of_methods_trains_asynchronously(folder):
    method = f"+aent.method=[{aent(3.2, 3.4)},{{name: pass-at-k, k: 2, threshold: 0.2}}]"
    settings = ("trainer.v1.trainer_mode=aent_colocate_async", "+aent.head=true")
    with Run(folder, 8, VLLM, method, *settings) as run:
        steps = [metrics for _, metrics in sorted(run.finish().items())]
    assert len(steps) == 8
    follows_the_rule(steps, 3.2, 3.4)
    assert steps[-1]["aent/coef"] > 0.01
    assert steps[-1]["critic/score/mean"] > steps[0]["critic/score/mean"]
