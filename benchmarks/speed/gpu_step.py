"""Checks of gpu.py: the cost of entropy control in a training step of TRL, and what it combines with."""

import argparse
import importlib.util
import tempfile
from collections.abc import Iterator
from typing import Any

import torch
from gpu_common import Figure, NotHereError, Place, peak, speed


def _step_module() -> Any:
    if importlib.util.find_spec("trl") is None:
        raise NotHereError("trl is not installed: pip install -e '.[trl]' in a clone of aent")
    import step

    return step


def _shape(step: Any, place: Place) -> Any:
    """Return a random policy of the shape of a model with 0.5B parameters, or a toy."""
    shape = step.SHAPES["tiny" if place.dry else "0.5b"]._replace(tokens=place.small(128, 2))
    if not place.dry:
        return shape
    model = {**shape.model, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    return shape._replace(vocab=[64], batch=8, model=model)


def _options(place: Place, steps: int) -> argparse.Namespace:
    device = "cpu" if place.dry else "cuda"
    return argparse.Namespace(device=device, clock="wall", steps=steps, rounds=0, model=None)


def grpo(place: Place) -> Iterator[Figure]:
    """A step of GRPO with the clamped entropy takes about as long as a plain one."""
    step = _step_module()
    shape, options = _shape(step, place), _options(place, steps=1)
    runs = {name: step.prepare(step.RUNS[name], shape.vocab[0], shape, options) for name in ("trl", "aent")}
    seconds: dict[str, list[Any]] = {name: [] for name in runs}
    for turn in range(place.small(5, 0) + 1):
        for name in list(runs) if turn % 2 else reversed(list(runs)):
            took = step.median_step(*runs[name], labelled=False)
            if turn or place.dry:  # the first turn warms up
                seconds[name].append(took)
    whole, rest = (
        sorted(a[part] / b[part] for a, b in zip(seconds["aent"], seconds["trl"], strict=True))
        for part in (0, 1)
    )
    middle = len(whole) // 2
    yield speed(place, "aent over trl, whole step", whole[middle], at_most=1.02)
    yield speed(place, "aent over trl, step without its rollout", rest[middle])
    for name, (trainer, _) in runs.items():
        used = peak(place, trainer.train)
        yield speed(place, f"{name}: peak memory of a step beyond the policy", used / 2**30, unit="GiB")


def options(place: Place) -> Iterator[Figure]:
    """A step runs in bfloat16, with gradient checkpointing, and with a PEFT adapter."""
    step = _step_module()
    if importlib.util.find_spec("peft") is None:
        raise NotHereError("peft is not installed: pip install -e '.[trl]' in a clone of aent")
    from peft import LoraConfig

    shape, settings = _shape(step, place), _options(place, steps=1)
    adapter = LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    aent = step.RUNS["aent"]
    ways = {
        "bfloat16" if not place.dry else "float32": aent,
        "gradient checkpointing": aent._replace(options={"gradient_accumulation_steps": 2}),
        "PEFT": aent._replace(keywords={**aent.keywords, "peft_config": adapter}),
    }
    for name, run in ways.items():
        trainer, _ = step.prepare(run, shape.vocab[0], shape, settings)
        if name == "gradient checkpointing":
            trainer.args.gradient_checkpointing = True
            trainer.model.gradient_checkpointing_enable()
        memory = peak(place, trainer.train)
        steps = trainer.state.global_step
        yield Figure(f"{name}: steps taken", steps, at_least=1)
        yield speed(place, f"{name}: peak memory beyond the policy", memory / 2**30, unit="GiB")
        del trainer
        if place.device != "cpu":
            torch.cuda.empty_cache()


def vllm(place: Place) -> Iterator[Figure]:
    """vLLM loads a random policy and samples answers through `aent.policies.vllm`."""
    if place.dry or importlib.util.find_spec("vllm") is None:
        raise NotHereError("vLLM needs a card" if place.dry else "vllm is not installed")
    from transformers import LlamaConfig, LlamaForCausalLM

    from aent.policies.sampling import Sampling
    from aent.policies.tokenizer import character_tokenizer
    from aent.policies.vllm import load_vllm

    step = _step_module()
    config = LlamaConfig(
        vocab_size=64, hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=256, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        LlamaForCausalLM(config).save_pretrained(folder)
        character_tokenizer(step.ALPHABET, config.vocab_size).save_pretrained(folder)
        sampler = load_vllm(folder, max_model_len=256, gpu_memory_utilization=0.3)
        batches = sampler.batches(["1+1=", "2+3="], Sampling(samples=4, max_tokens=16))
        yield Figure("answers from vLLM", sum(len(batch) for batch in batches), at_least=8)
