"""What entropy control costs per training step: AEnt against plain GRPO in TRL, interleaved in one run.

Rounds alternate between the trainers, each on the same random policy and the same prompts, generation
included. Prints the ratio of medians per vocabulary with an interval over rounds, and appends one row
per figure to benchmarks/step.jsonl.

    python benchmarks/step.py [--vocab 512 4096] [--rounds 8]
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from aent.policies.tokenizer import character_tokenizer
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer
from aent.versions import versions

ALPHABET = "0123456789+-*/()= "
AENT = {
    "name": "aent", "drop": 0.33, "coef": 0.01, "low": 0.0, "high": 99.0, "lr": 0.0,
    "coef_min": 0.0, "coef_max": 1.0, "warmup": 0,
}  # fmt: skip
LIMITS = {512: 1.10, 4096: 1.30}


class StepTimes(TrainerCallback):
    """Wall-clock seconds of each optimiser step, generation included."""

    def __init__(self):
        self.seconds: list[float] = []

    def on_step_begin(self, *_, **__):
        self.start = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.seconds.append(time.perf_counter() - self.start)


def trainer(kind, config, vocab: int, options: argparse.Namespace, **extra):
    tokenizer = character_tokenizer(ALPHABET, vocab)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab, hidden_size=options.hidden, intermediate_size=4 * options.hidden,
            num_hidden_layers=options.layers, num_attention_heads=4, num_key_value_heads=4,
            max_position_embeddings=128, eos_token_id=1, pad_token_id=0, bos_token_id=None,
        )
    )  # fmt: skip
    times = StepTimes()
    made = kind(
        model=model,
        reward_funcs=lambda completions, **_: [float(len(c) % 3) for c in completions],
        args=config(
            output_dir="unused", use_cpu=not torch.cuda.is_available(), bf16=False, report_to="none",
            gradient_checkpointing=False, save_strategy="no", disable_tqdm=True, logging_steps=1000,
            per_device_train_batch_size=options.batch, num_generations=8, beta=0.0,
            max_completion_length=options.tokens, learning_rate=1e-4, max_steps=options.steps,
            generation_kwargs={"suppress_tokens": [1]},  # equal lengths for both
            dataloader_pin_memory=False, seed=0,
        ),
        train_dataset=Dataset.from_dict({"prompt": [f"{i}+{i}=" for i in range(10, 74)]}),
        processing_class=tokenizer,
        callbacks=[times],
        **extra,
    )  # fmt: skip
    made.remove_callback(PrinterCallback)
    return made, times


def measure(vocab: int, options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Median step time of each round, seconds: arrays of shape (rounds,)."""
    runs = {
        "trl": trainer(GRPOTrainer, GRPOConfig, vocab, options),
        "aent": trainer(AEntGRPOTrainer, AEntGRPOConfig, vocab, options, method=AENT),
    }
    medians: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(options.rounds + 1):
        for name, (made, times) in sorted(runs.items(), reverse=bool(round_ % 2)):
            times.seconds.clear()
            made.train()
            if round_:  # the first round warms up
                medians[name].append(float(np.median(times.seconds)))
    return {name: np.array(seconds) for name, seconds in medians.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocab", type=int, nargs="+", default=[512, 4096])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="steps per round")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = Table("vocabulary", "TRL GRPO, s/step", "AEnt, s/step", "ratio [p20, p80]", "limit")
    rows = []
    for vocab in options.vocab:
        seconds = measure(vocab, options)
        ratios = seconds["aent"] / seconds["trl"]
        low, middle, high = np.quantile(ratios, [0.2, 0.5, 0.8])
        table.add_row(
            str(vocab), f"{np.median(seconds['trl']):.3f}", f"{np.median(seconds['aent']):.3f}",
            f"{middle:.3f} [{low:.3f}, {high:.3f}]", f"{LIMITS.get(vocab, float('nan')):.2f}",
        )  # fmt: skip
        rows.append({**vars(options), "vocab": vocab, "ratio": [low, middle, high]})
    Console().print(table)
    here = Path(__file__).parent
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=here)
    commit = git.stdout.strip()
    with Path(__file__).with_suffix(".jsonl").open("a") as file:
        for row in rows:
            file.write(json.dumps({**row, "commit": commit, "versions": dict(versions())}) + "\n")


if __name__ == "__main__":
    main()
