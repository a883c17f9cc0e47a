"""The formulas against what torch and transformers say of the same model, and the whole plan by hand."""

from dataclasses import replace
from pathlib import Path
from runpy import run_path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, Qwen2Config, Qwen2ForCausalLM, Qwen2MoeConfig

from aent.errors import InputError
from aent.planning import memory, timing
from aent.planning.constants import BANDWIDTH_UTILIZATION, CONFIGS, GPUS, MODEL_FLOPS_UTILIZATION
from aent.planning.estimate import plan
from aent.planning.model import count, load_config
from aent.training.prepare import read_request

ROOT = Path(__file__).parents[2]
BATCH, LENGTH = 7, 32
TOKENS = BATCH * LENGTH
TINY = {
    "vocab_size": 500, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip


def tiny(**changes):
    torch.manual_seed(0)
    config = Qwen2Config(**{**TINY, "tie_word_embeddings": False, **changes})
    return Qwen2ForCausalLM(config), count(config)


@pytest.fixture
def ids():
    return torch.randint(0, 500, (BATCH, LENGTH))


def made(*argv, name="paper-math", **keywords):
    recipe = read_request([name, *argv]).recipe
    return plan(name, recipe, **keywords)


@pytest.mark.parametrize(
    ("name", "published"),  # on the models' cards, in billions
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", 0.49),
        ("Qwen/Qwen2.5-Math-1.5B", 1.54),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 1.78),
        ("Qwen/Qwen2.5-Math-7B", 7.62),
    ],
)
def test_parameters_of_the_recipes_models(name, published):
    """By hand: a block has q, k, v with biases, o, three of the MLP and two norms; one norm at the end."""
    sizes = count(load_config(name))
    given = CONFIGS[name]
    d, i, layers = given["hidden_size"], given["intermediate_size"], given["num_hidden_layers"]
    kv = given["num_key_value_heads"] * d // given["num_attention_heads"]
    linear = 2 * d * d + 2 * d * kv + 3 * d * i
    tables = (1 if given["tie_word_embeddings"] else 2) * given["vocab_size"] * d
    assert sizes.layer == linear
    assert sizes.embeddings == tables
    assert sizes.parameters == layers * (linear + d + 2 * kv + 2 * d) + d + tables
    assert round(sizes.parameters / 1e9, 2) == published


def test_flops_are_those_that_torch_counts(ids):
    """Backward costs twice forward: 6 N D in all. In its eager form, attention counts the masked half too."""
    model, sizes = tiny(attn_implementation="eager")
    with FlopCounterMode(display=False) as forward:
        loss = model(ids).logits.logsumexp(-1).sum()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    every_pair = sizes.body_flops(LENGTH)
    assert forward.get_total_flops() == TOKENS * (every_pair + sizes.head_flops)
    assert backward.get_total_flops() == 2 * forward.get_total_flops()
    weights = sizes.layers * sizes.layer + sizes.head
    assert sizes.body_flops(0) + sizes.head_flops == 2 * weights


def saved_numbers(model, run):
    """How many float32 numbers, weights left out, wait for backward."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tensor.is_floating_point():
            kept[storage.data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) // 4


def test_activations_are_those_that_autograd_keeps(ids):
    model, sizes = tiny()
    whole = saved_numbers(model, lambda: model.model(ids))
    rotary = (
        2 * LENGTH * TINY["hidden_size"] // TINY["num_attention_heads"]
    )  # once for the batch, not per token
    assert whole == TOKENS * memory.saved_per_token(sizes, checkpointing=False) + rotary


def test_checkpointing_keeps_the_inputs_of_blocks(ids):
    """What is kept while none is recomputed; in backward one block's numbers come on top."""
    model, sizes = tiny()
    model.train().gradient_checkpointing_enable()
    kept = saved_numbers(model, lambda: model.model(ids))
    assert kept + TOKENS * sizes.saved_per_layer == TOKENS * memory.saved_per_token(sizes, checkpointing=True)


def test_states_and_gradients_of_a_step_in_float32(ids):
    model, sizes = tiny()
    optimizer = torch.optim.AdamW(model.parameters())
    model(ids).logits.sum().backward()
    optimizer.step()
    work = replace(made(gpus=4).work, gpus=1)
    moments = [t for state in optimizer.state.values() for key, t in state.items() if key != "step"]
    assert sum(t.nbytes for t in moments) == memory.states(sizes, work)["optimizer"]
    assert sum(p.nbytes for p in model.parameters()) == memory.states(sizes, work)["weights"]
    gradients = sum(p.grad.nbytes for p in model.parameters())
    assert gradients == memory.step(sizes, work)["gradients"]


def test_the_adapter_is_the_one_that_peft_makes():
    peft = pytest.importorskip("peft")
    targets = ("q_proj", "down_proj")
    model, _ = tiny()
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=3, target_modules=list(targets)))
    trained = sum(p.numel() for p in wrapped.parameters() if p.requires_grad)
    assert count(Qwen2Config(**TINY), 3, targets).adapter == trained


def test_cache_of_a_token_is_keys_and_values_in_bfloat16():
    from transformers import DynamicCache

    model, sizes = tiny()
    cache = model.to(torch.bfloat16)(
        torch.randint(0, 500, (1, 5)), past_key_values=DynamicCache()
    ).past_key_values
    stored = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert stored == 5 * sizes.kv_bytes


def test_a_models_folder_is_read(tmp_path):
    model, sizes = tiny()
    model.config.save_pretrained(tmp_path)
    assert count(load_config(str(tmp_path))) == sizes
    llama = count(LlamaConfig(**TINY))
    assert llama.layer == sizes.layer
    assert llama.parameters == sizes.parameters - 3 * (64 + 2 * 32)  # without biases


@pytest.mark.parametrize(
    ("config", "said"),
    [(lambda: load_config("no/such-model"), "'no/such-model'"), (lambda: count(Qwen2MoeConfig()), "experts")],
)
def test_what_it_does_not_know_is_refused(config, said):
    with pytest.raises(InputError, match=said):
        config()


def test_batches_stay_on_another_number_of_gpus():
    usual, more = made(), made(gpus=16)
    assert usual.flags == ""
    assert more.flags == "--gradient_accumulation_steps 16 --steps_per_generation 64"
    assert more.work.completions == usual.work.completions == 8192
    assert more.work.batches == usual.work.batches == 420
    given = more.flags.split()
    again = made(*given).work  # the flags, on the GPUs the recipe is written for: a quarter of the batch
    assert (again.completions, again.batches) == (2048, 420)
    with pytest.raises(InputError, match="cannot be spread evenly over 3"):
        made(gpus=3)


def test_states_are_sharded_and_fit_where_the_sum_fits():
    four, eight = (made(name="paper-deepmath", gpus=gpus) for gpus in (4, 8))
    h200, card = GPUS["h200"], GPUS["rtx4090"]
    n = four.sizes.parameters
    assert four.memory(h200)["optimizer"] == 2 * 4 * n / 4 == 2 * eight.memory(h200)["optimizer"]
    assert eight.fits(h200)
    assert not eight.fits(card)  # vLLM's share holds not even the weights
    awake = made("--vllm_enable_sleep_mode", "false")
    a100 = GPUS["a100-80g"]
    difference = awake.memory(a100)["at most at a time"] - made().memory(a100)["at most at a time"]
    assert difference == pytest.approx(sum(memory.step(awake.sizes, awake.work).values()))


def test_times_by_hand():
    """(a) on four A100: 8 passes of the blocks' weights over padded tokens, and the cheaper output layer."""
    it, a100 = made(mean=1000), GPUS["a100-80g"]
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


def test_rollouts_are_bound_by_what_is_read():
    """At 880 sequences at once each step reads the weights and their caches; fewer at once take longer."""
    it, a100 = made(mean=1000), GPUS["a100-80g"]
    seconds = it.times(a100).rollout
    read = 2048 * 1000 * it.sizes.kv_bytes * (150 + 500) / (2.039e12 * BANDWIDTH_UTILIZATION)
    assert read < seconds < 3 * read
    assert made("--vllm_gpu_memory_utilization", "0.2", mean=1000).times(a100).rollout > seconds
    served = made("--vllm_mode", "server", mean=1000, server_gpus=8)
    assert served.times(a100).rollout < seconds
    assert "vLLM" not in served.memory(a100)
    assert served.gpu_hours(a100) == pytest.approx(420 * served.times(a100).total * 12 / 3600)


def test_what_a_recipe_may_ask_that_the_estimate_does_not_know():
    for argv, name, said in (
        (["--algorithm", "ppo", "--num_generations", "1"], "gsm8k", "critic"),
        ([], "countdown", "makes its own policy"),
        (["--max_steps", "-1"], "gsm8k", "max_steps"),
    ):
        with pytest.raises(InputError, match=said):
            made(*argv, name=name)
    with pytest.raises(InputError, match="mean length 4000"):
        made(mean=4000)


def test_the_figures_of_the_documentation_are_those_of_the_benchmark():
    measured = run_path(str(ROOT / "benchmarks/speed/plan.py"))
    page = (ROOT / "docs/recipes.md").read_text()
    for name, formula, counted in (*measured["parameters"](), *measured["step"]()):
        if name != "FLOPs, forward":
            assert f"| {formula:,.0f} | {counted:,.0f} | {formula / counted:.3f}".replace("0.", ".") in page
