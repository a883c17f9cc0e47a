import pytest

from aent.planning import timing
from aent.planning.constants import BANDWIDTH_UTILIZATION, GPUS, MODEL_FLOPS_UTILIZATION


def test_times_by_hand(planned):
    """(a) on four A100: 8 passes of the blocks' weights over padded tokens, and the cheaper output layer."""
    it, a100 = planned(mean=1000), GPUS["a100-80g"]
    sizes, work = it.sizes, it.work
    weights = 28 * (2 * 1536 * 1536 + 2 * 1536 * 256 + 3 * 1536 * 8960)
    padded, scored = 8192 * (512 + 3072), 8192 * 1000
    attention = 28 * 4 * 1536 * (512 + 3072) / 2
    body, head = padded * (2 * weights + attention), scored * 2 * 1536 * 151_936
    seconds = (4 * body + 4 * head) / (4 * 312e12 * MODEL_FLOPS_UTILIZATION)
    assert it.times(a100).update == pytest.approx(seconds)
    assert it.times(a100).scoring == pytest.approx(seconds / 4)
    unpadded = timing.update_flops(sizes, work, padded=False) / timing.update_flops(sizes, work)
    assert 1150 / 3584 < unpadded < 0.5
    assert it.gpu_hours(a100) == pytest.approx(420 * it.times(a100).total * 4 / 3600)


def test_rollouts_are_bound_by_what_is_read(planned):
    """At 880 sequences at once each step reads the weights and their caches; fewer at once take longer."""
    it, a100 = planned(mean=1000), GPUS["a100-80g"]
    seconds = it.times(a100).rollout
    read = 2048 * 1000 * it.sizes.kv_bytes * (150 + 500) / (2.039e12 * BANDWIDTH_UTILIZATION)
    assert read < seconds < 3 * read
    assert planned("--vllm_gpu_memory_utilization", "0.2", mean=1000).times(a100).rollout > seconds
    served = planned("--vllm_mode", "server", mean=1000, server_gpus=8)
    assert served.times(a100).rollout < seconds
    assert "vLLM" not in served.memory(a100)
    assert served.gpu_hours(a100) == pytest.approx(420 * served.times(a100).total * 12 / 3600)
