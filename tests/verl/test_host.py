"""What aent relies on in verl is there. If verl moves, these tests say what."""

import re
from inspect import getsource, signature
from pathlib import Path

import pytest

from aent import InputError
from aent.verl import host
from aent.verl.host import RELIED_ON, check_verl, missing

PAGE = Path(__file__).parents[2] / "docs" / "verl.md"


def test_the_installed_verl_has_all_of_it():
    assert missing() == []
    check_verl()


def test_what_moved_is_named(monkeypatch):
    relied_on = {"verl.utils.metric": ("Metric.aggregate", "Metric.gone"), "verl.gone": ("Gone",)}
    assert missing(relied_on) == ["verl.utils.metric.Metric.gone", "verl.gone.Gone"]
    monkeypatch.setattr(host, "missing", lambda: ["verl.gone.Gone"])
    with pytest.raises(InputError, match=r"this verl has no verl\.gone\.Gone, which aent builds on"):
        check_verl()
    monkeypatch.setattr(host, "unsupported", lambda: "aent needs verl>=0.9.1,<0.10; this is verl 0.8")
    with pytest.raises(InputError, match=r"this is verl 0\.8: pip install"):
        check_verl()


def test_the_page_lists_it():
    page = PAGE.read_text()
    names = [name for names in RELIED_ON.values() for name in names]
    assert [name for name in names if not re.search(rf"\b{re.escape(name.split('.')[-1])}\b", page)] == []


def parameters(function):
    return set(signature(function).parameters)


def test_the_signatures_that_aent_calls_or_overrides():
    from verl.trainer.ppo.core_algos import agg_loss
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer
    from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
    from verl.workers.engine.megatron.transformer_impl import MegatronEngineWithLMHead
    from verl.workers.utils.losses import ppo_loss

    assert parameters(ppo_loss) == {"config", "model_output", "data", "dp_group"}
    averages = {"dp_size", "batch_num_tokens", "global_batch_size", "loss_scale_factor"}
    assert parameters(agg_loss) == {"loss_mat", "loss_mask", "loss_agg_mode", *averages}
    outputs = {"self", "output", "output_args", "micro_batch", "logits_processor_func"}
    assert parameters(FSDPEngineWithLMHead.prepare_model_outputs) == outputs
    assert parameters(FSDPEngineWithLMHead.prepare_model_inputs) == {"self", "micro_batch"}
    hook = parameters(MegatronEngineWithLMHead._lm_head_logits_processor)
    assert {"self", "logits", "label", "temperature", "calculate_entropy"} <= hook
    for name in ("_compute_advantage", "_update_actor"):
        assert parameters(getattr(PPOTrainer, name)) == {"self", "batch", "metrics"}
    assert parameters(PPOTrainer.step) == {"self", "metrics", "timing_raw"}


@pytest.mark.parametrize(
    ("owner", "lines"),
    [
        # the packed forward pass hands our engine classes these
        (
            "verl.workers.engine.fsdp.transformer_impl:FSDPEngineWithLMHead.prepare_model_inputs",
            (
                'output_args["input_ids_rmpad_rolled"] =',
                'output_args["temperature_rmpad"] =',
                'output_args["pad_size"] =',
            ),
        ),
        # the loss is called with keywords, and its counts are those of the whole mini-batch
        (
            "verl.workers.engine.fsdp.transformer_impl:FSDPEngineWithLMHead.forward_step",
            ("model_output=model_output, data=micro_batch, dp_group=self.get_data_parallel_group()",),
        ),
        # the worker keeps its loss as a partial that the engine calls
        (
            "verl.workers.engine_workers:ActorRolloutRefWorker.init_model",
            ("self.loss_fn = partial(ppo_loss, config=actor_config)", "self.actor.set_loss_fn(self.loss_fn)"),
        ),
        # rewards are read from this field, and our own state travels with the batch
        (
            "verl.trainer.ppo.v1.trainer_base:PPOTrainer._compute_advantage",
            ('data.batch["token_level_scores"] = data.batch["rm_scores"]',),
        ),
        (
            "verl.trainer.ppo.v1.trainer_base:PPOTrainer._update_actor",
            ("batch.extra_info.update(extra_info)", 'rename_dict(output["metrics"], "actor/")'),
        ),
        # a checkpoint is marked as the latest last, inside of this method
        (
            "verl.trainer.ppo.v1.trainer_base:PPOTrainer._save_checkpoint",
            ('f"global_step_{self.global_steps}"', '"latest_checkpointed_iteration.txt"'),
        ),
        # edges may be tensors: they go into clamp
        (
            "verl.trainer.ppo.core_algos:compute_policy_loss_vanilla",
            ("1 - cliprange_low, 1 + cliprange_high",),
        ),
    ],
    ids=lambda value: value.rpartition(":")[2] if isinstance(value, str) else "",
)
def test_lines_of_verl_that_aent_counts_on(owner, lines):
    from importlib import import_module

    module, _, path = owner.partition(":")
    value = import_module(module)
    for part in path.split("."):
        value = getattr(value, part)
    source = getsource(getattr(value, "__wrapped__", value))
    assert [line for line in lines if line not in source] == []
