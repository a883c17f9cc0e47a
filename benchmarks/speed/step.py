"""What entropy control costs per training step, against plain GRPO in TRL, interleaved in one run.

Rounds go through all runs and back again, each on the same random policy and the same prompts, generation
included. Prints seconds and ratios per vocabulary with an interval (20 % and 80 % of the rounds), and appends
one row per figure to step.jsonl beside it. Seconds are of the wall clock; with one thread on a CPU, of the
process.

    python benchmarks/speed/step.py [--vocab 512 4096] [--rounds 12]
    python benchmarks/speed/step.py --device cuda --shape 0.5b
    python benchmarks/speed/step.py --model FOLDER [--attention eager] [--rounds 3 --steps 1]

Runs: ``trl`` is plain GRPO and ``trl bonus`` its own bonus on the full entropy (``entropy_coef``);
``aent full`` is a bonus on the full entropy in our pass, ``aent`` one on the clamped entropy, and ``aent at
0`` the same method while its coefficient is 0, when TRL's kernel scores and the clamped entropy is measured
beside it. ``aent-auto`` has lost too little entropy for its bonus, ``aent-auto acting`` has a coefficient
other than 0. On a CPU TRL's head scores every position of the batch and ours those of completion tokens
alone; the runs marked ``labelled`` are TRL's with that difference taken away, as on a GPU.

With ``--model`` the policy is a pretrained one on the prompts of the task ``words``: 32 completions of 24
tokens, 8 of each prompt, on a CPU. ``aent none`` is then plain GRPO through aent, which reads each prompt
once in rollouts and in scoring.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PrinterCallback,
    TrainerCallback,
)
from trl import GRPOConfig, GRPOTrainer
from trl.trainer import utils as host

from aent.method import Method
from aent.methods.aent_auto import aent_auto
from aent.policies.tokenizer import character_tokenizer
from aent.records import versions
from aent.tasks import load_task
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer

ALPHABET = "0123456789+-*/()= "
COEF = 0.01
AENT = {
    "name": "aent", "drop": 0.33, "coef": COEF, "low": 0.0, "high": 99.0, "lr": 0.0,
    "coef_min": 0.0, "coef_max": 1.0, "warmup": 0,
}  # fmt: skip
CLOCKS = {"process": time.process_time, "wall": time.perf_counter}
LIMITS = {"cpu": 1.03, "cuda": 1.02}
"""What the ratio of ``aent`` to ``trl`` is asked to stay under."""


class Shape(NamedTuple):
    """A random policy and its work; sizes of a model are those of `transformers.LlamaConfig`."""

    vocab: list[int]
    batch: int
    tokens: int
    model: dict[str, Any]


SHAPES = {
    "tiny": Shape(
        vocab=[512, 4096], batch=128, tokens=16,
        model={"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4,
               "num_attention_heads": 4, "num_key_value_heads": 4},
    ),
    "0.5b": Shape(
        vocab=[151_936], batch=32, tokens=256,
        model={"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
               "num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True},
    ),
}  # fmt: skip


REAL = Shape(vocab=[0], batch=32, tokens=24, model={})
"""The work of ``--model``, which has a vocabulary and sizes of its own."""


class Run(NamedTuple):
    """A trainer, options of its config and of its own, and whether TRL is kept from scoring prompts."""

    trainer: type
    config: type
    options: dict[str, Any]
    keywords: dict[str, Any]
    labelled: bool


BONUS = {"entropy_coef": COEF}
FULL = {"method": {"name": "entropy-bonus", "coef": COEF}}
RUNS = {
    "trl": Run(GRPOTrainer, GRPOConfig, {}, {}, False),
    "trl labelled": Run(GRPOTrainer, GRPOConfig, {}, {}, True),
    "trl bonus": Run(GRPOTrainer, GRPOConfig, BONUS, {}, False),
    "trl bonus labelled": Run(GRPOTrainer, GRPOConfig, BONUS, {}, True),
    "aent full": Run(AEntGRPOTrainer, AEntGRPOConfig, {}, FULL, False),
    "aent": Run(AEntGRPOTrainer, AEntGRPOConfig, {}, {"method": AENT}, False),
    "aent none": Run(AEntGRPOTrainer, AEntGRPOConfig, {}, {"method": "none"}, False),
    "aent-auto": Run(AEntGRPOTrainer, AEntGRPOConfig, {}, {"method": "aent-auto"}, False),
    "aent-auto acting": Run(AEntGRPOTrainer, AEntGRPOConfig, {}, {"method": "step.acting"}, False),
    "aent at 0": Run(AEntGRPOTrainer, AEntGRPOConfig, {}, {"method": {**AENT, "coef": 0.0}}, False),
}


def acting() -> Method:
    """Return aent-auto with an entropy far above the one that it believes it started from."""
    method = aent_auto()
    assert method.controller is not None
    settled = {"updates": 5, "start": 1.0, "recent": 1.0}
    method.controller.load_state_dict(method.controller.state_dict() | settled)
    return method


class StepTimes(TrainerCallback):
    """Seconds of each optimiser step, with the rollout and without."""

    def __init__(self, clock: str):
        self.clock = CLOCKS[clock]
        self.steps: list[tuple[float, float]] = []

    def now(self) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return self.clock()

    def on_step_begin(self, *_, **__):
        self.rollout, self.start = 0.0, self.now()

    def on_step_end(self, *_, **__):
        step = self.now() - self.start
        self.steps.append((step, step - self.rollout))

    def watch(self, made: Any) -> None:
        """Take the time of the trainer's rollouts: generation, rewards and advantages."""
        roll_out = made._generate_and_score_completions

        def timed(inputs: Any) -> Any:
            start = self.now()
            output = roll_out(inputs)
            self.rollout = self.now() - start
            return output

        made._generate_and_score_completions = timed


def policy(vocab: int, shape: Shape, options: argparse.Namespace) -> tuple[Any, Any, Dataset]:
    """Return a model, its tokenizer and prompts."""
    torch.manual_seed(0)
    if options.model:
        model: Any = AutoModelForCausalLM.from_pretrained(
            options.model, attn_implementation=options.attention, dtype=torch.float32
        )
        prompts = load_task("words").dataset("train").select(range(64)).select_columns("prompt")
        return model, AutoTokenizer.from_pretrained(options.model, padding_side="left"), prompts
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab, max_position_embeddings=1024, eos_token_id=1, pad_token_id=0,
            bos_token_id=None, **shape.model,
        )
    )  # fmt: skip
    prompts = Dataset.from_dict({"prompt": [f"{i}+{i}=" for i in range(10, 74)]})
    return model, character_tokenizer(ALPHABET, vocab), prompts


def prepare(run: Run, vocab: int, shape: Shape, options: argparse.Namespace):
    model, tokenizer, prompts = policy(vocab, shape, options)
    ends = model.generation_config.eos_token_id
    on_cpu = options.device == "cpu"
    times = StepTimes(options.clock)
    made = run.trainer(
        model=model if on_cpu else model.to(torch.bfloat16),
        reward_funcs=lambda completions, **_: [float(len(str(c)) % 3) for c in completions],
        args=run.config(
            output_dir=tempfile.mkdtemp(), use_cpu=on_cpu, bf16=not on_cpu, report_to="none",
            gradient_checkpointing=False, save_strategy="no", disable_tqdm=True, logging_steps=1000,
            per_device_train_batch_size=shape.batch, num_generations=8, beta=0.0,
            max_completion_length=shape.tokens, learning_rate=1e-6 if options.model else 1e-4,
            max_steps=options.steps, dataloader_pin_memory=False, seed=0,
            generation_kwargs={  # equal lengths for all
                "suppress_tokens": ends if isinstance(ends, list) else [ends]
            },
            **run.options,
        ),
        train_dataset=prompts,
        processing_class=tokenizer,
        callbacks=[times],
        **run.keywords,
    )  # fmt: skip
    made.remove_callback(PrinterCallback)
    times.watch(made)
    return made, times


def median_step(made: Any, times: StepTimes, labelled: bool) -> np.ndarray:
    """Median step time of one round, seconds: with the rollout, without."""
    times.steps.clear()
    of_the_host = host._use_triton
    if labelled:  # only whether positions are left out; the kernels have this name in a module of their own
        host._use_triton = lambda device: True
    try:
        made.train()
    finally:
        host._use_triton = of_the_host
    return np.median(times.steps, axis=0)


def measure(vocab: int, shape: Shape, options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Median step time of each round, seconds: arrays of shape (2, rounds), with the rollout and without."""
    chosen = options.runs or [
        name
        for name in RUNS
        if (options.device == "cpu" or not RUNS[name].labelled) and (options.model or name != "aent none")
    ]
    prepared = {name: prepare(RUNS[name], vocab, shape, options) for name in chosen}
    medians: dict[str, list[np.ndarray]] = {name: [] for name in chosen}
    for round_ in range(options.rounds + 1):
        for name in chosen if round_ % 2 else reversed(chosen):
            seconds = median_step(*prepared[name], RUNS[name].labelled)
            if round_:  # the first round warms up
                medians[name].append(seconds)
    return {name: np.stack(seconds, 1) for name, seconds in medians.items()}


def quantiles(values: np.ndarray) -> list[float]:
    return [round(float(q), 4) for q in np.quantile(values, [0.2, 0.5, 0.8])]


def shown(quantiles: list[float]) -> str:
    return "{1:.3f} [{0:.3f}, {2:.3f}]".format(*quantiles)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--model", help="a model folder, instead of a shape")
    parser.add_argument("--attention", choices=("sdpa", "eager"), default="sdpa", help="with --model")
    parser.add_argument("--runs", choices=RUNS, nargs="+", help="default: all")
    parser.add_argument("--device", choices=LIMITS, default="cpu")
    parser.add_argument("--vocab", type=int, nargs="+", help="default: what the shape has")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=2, help="steps per round")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    # One thread of a CPU: its own time, which hardly depends on what else the machine does
    options.clock = "process" if (options.device, options.threads) == ("cpu", 1) else "wall"
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device")
    torch.set_num_threads(options.threads)
    if options.model and options.device != "cpu":
        parser.error("--model is for a CPU")
    shape = REAL if options.model else SHAPES[options.shape]
    here = Path(__file__).parent
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=here)
    made_with = {"commit": git.stdout.strip(), "versions": dict(versions())}
    for vocab in options.vocab or shape.vocab:
        seconds = measure(vocab, shape, options)
        bases = [name for name in ("trl", "trl labelled") if name in seconds]
        table = Table(
            "run", "seconds", *(f"/ {base}" for base in bases), title=options.model or f"vocabulary {vocab}"
        )
        for part, of_the_step in enumerate(("step", "step without its rollout")):
            table.add_section()
            table.add_row(f"[b]{of_the_step}")
            for name, values in seconds.items():
                figures = {"seconds": quantiles(values[part])}
                figures |= {f"/ {base}": quantiles(values[part] / seconds[base][part]) for base in bases}
                table.add_row(name, *map(shown, figures.values()))
                row = {**vars(options), **shape._asdict(), "vocab": vocab, "run": name, "of": of_the_step}
                if options.model:
                    row |= {"shape": "pretrained", "model": Path(options.model).name}
                with Path(__file__).with_suffix(".jsonl").open("a") as file:
                    file.write(json.dumps({**row, **figures, **made_with}) + "\n")
        Console(width=110).print(table)
        print(f"asked for: aent / trl at most {LIMITS[options.device]}")


if __name__ == "__main__":
    main()
