"""Small policies made from scratch, with a supervised warm start on demonstrations of a task."""

import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from aent.errors import InputError, unknown
from aent.policies.whole import flaw
from aent.records import json_text, write
from aent.tasks import Demonstrated, Task

ARCHITECTURES = ("llama", "qwen3")
GROUP = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that tell a process it is one of several."""
SPARE = 1024
"""Tokens of context beyond the longest demonstration: for longer test problems, and the 512 tokens that an
evaluation gives an answer. The positions are rotary, so they cost nothing."""
FORMAT = 1
"""Increased when a change makes policies in old caches stale."""


@dataclass(frozen=True, kw_only=True)
class Warmstart:
    """A policy to make: its shape, its vocabulary and its supervised training.

    Raises:
        InputError: for an unknown architecture or a field out of range.
    """

    arch: str = "llama"
    """Architecture: llama or qwen3."""
    vocab_size: int = 1024
    """Tokens in the vocabulary, from 64 to 32768; most of them are useless for the task."""
    hidden_size: int = 96
    """Width."""
    layers: int = 3
    """Transformer layers."""
    heads: int = 4
    """Attention heads."""
    demonstrations: int = 60_000
    """Solved problems to imitate."""
    epochs: float = 1.0
    """Passes over the demonstrations."""
    batch_size: int = 64
    """Demonstrations per step."""
    learning_rate: float = 2e-3
    """Peak learning rate of AdamW (linear decay)."""
    seed: int = 0
    """Seed of the weights and the demonstrations."""

    def __post_init__(self) -> None:
        if self.arch not in ARCHITECTURES:
            raise unknown("architecture", self.arch, ARCHITECTURES)
        if not 64 <= self.vocab_size <= 32_768:
            raise InputError(f"vocab_size={self.vocab_size} must lie between 64 and 32768")
        for name in ("hidden_size", "layers", "heads", "demonstrations", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")
        if self.hidden_size % (2 * self.heads):
            raise InputError(f"hidden_size={self.hidden_size} must be a multiple of twice heads={self.heads}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed={self.seed} must be at least 0 and below 2**32, as numpy takes it")
        for name in ("epochs", "learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} must be above 0")


def warmstart(config: Warmstart, task: Task, folder: Path, *, callbacks: list[Any] | None = None) -> Path:
    """Train the policy on demonstrations of `task` and save it to `folder`.

    The result is an ordinary transformers folder (safetensors); ``warmstart.json`` in it records the
    settings. Demonstrations come from the training side of the task.

    Raises:
        InputError: if `folder` is not empty, the task has no demonstrations, or a demonstration has
            characters that the task's alphabet lacks.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; give a new folder for the policy, or remove it")
    demonstrated = check_demonstrations(task)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".warmstart-") as scratch:
        trainer = _sft_trainer(config, demonstrated, scratch, callbacks or [])
        trainer.train()
    trainer.model.save_pretrained(folder)
    trainer.processing_class.save_pretrained(folder)
    write(folder / "warmstart.json", json_text(_settings(config, task), indent=2) + "\n")
    return folder


def check_demonstrations(task: Task) -> Demonstrated:
    """Return the task if it has demonstrations of how its problems are solved (`Demonstrated`).

    Raises:
        InputError: if it has none.
    """
    if not isinstance(task, Demonstrated):
        lacks = [part for part in ("alphabet", "max_length", "demonstrations") if not hasattr(task, part)]
        raise InputError(
            f"task {task.name!r} has no demonstrations to warm-start on (it lacks {', '.join(lacks)}); use "
            "countdown, chain, lists or reasoning-gym, or start from a model: "
            "aent train --model_name_or_path M"
        )
    return task


def cached_policy(
    config: Warmstart, task: Task, *, callbacks: Callable[[], list[Any]] = list
) -> tuple[Path, bool]:
    """Return the folder of the policy, which the first call makes, and whether it already existed.

    The cache is ``$AENT_CACHE``, else ``aent`` in ``$XDG_CACHE_HOME`` or ``~/.cache``. A policy is built
    in a temporary folder and moved into place, so an interrupted run leaves no incomplete policy.

    Raises:
        InputError: as `warmstart`, or if a file of the cached policy is cut short.
    """
    check_demonstrations(task)
    spec = json.dumps(_settings(config, task), sort_keys=True)
    folder = cache_folder() / f"policy-{hashlib.sha256(spec.encode()).hexdigest()[:16]}"
    if folder.exists():
        if cut := flaw(folder):
            raise InputError(
                f"cached policy {folder}: {cut}; remove this folder, and the next run makes it again"
            )
        return folder, True
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    try:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            _warmstart_in_new_process(config, task, draft)
        else:
            warmstart(config, task, draft, callbacks=callbacks())
        if not folder.exists():  # another process may have been faster
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder, False


def _warmstart_in_new_process(config: Warmstart, task: Task, folder: Path) -> None:
    """Warm-start outside the process group of a distributed run, while the other ranks wait."""
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_warmstart_alone, args=(config, task, folder))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise InputError("the warm start failed in its own process; make the policy first: aent warmstart")


def _warmstart_alone(config: Warmstart, task: Task, folder: Path) -> None:
    """Warm-start in a process that does not know it belongs to a distributed run."""
    for name in list(os.environ):
        if name.startswith(("TORCHELASTIC_", "ACCELERATE_USE_F", "ACCELERATE_USE_D")) or name in GROUP:
            del os.environ[name]
    warmstart(config, task, folder)


def _settings(config: Warmstart, task: Task) -> dict[str, Any]:
    """Return everything a policy depends on, for its cache key and ``warmstart.json``."""
    fields = asdict(task) if is_dataclass(task) else {}
    return {"format": FORMAT, "task": {"name": task.name, **fields}, **asdict(config)}


def cache_folder() -> Path:
    """Return the folder in which policies made from scratch are cached."""
    if "AENT_CACHE" in os.environ:
        return Path(os.environ["AENT_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "aent"


def small_model(config: Warmstart, tokenizer: Any, context: int = 512) -> Any:
    """Return the untrained model: a Llama or Qwen3 decoder of the configured shape, for `context` tokens."""
    from transformers import AutoConfig, AutoModelForCausalLM, set_seed

    set_seed(config.seed)
    shape = AutoConfig.for_model(
        config.arch,
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=4 * config.hidden_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        head_dim=config.hidden_size // config.heads,
        max_position_embeddings=context,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return AutoModelForCausalLM.from_config(shape, dtype="float32")


def _check_characters(demonstrations: Iterable[Any], alphabet: str) -> None:
    """Check that every demonstration can be written with one token per character.

    Raises:
        InputError: naming the foreign characters and the first row that has one.
    """
    known = set(alphabet)
    for index, row in enumerate(demonstrations):
        foreign = sorted(set(row["prompt"] + row["completion"]) - known)
        if foreign:
            raise InputError(
                f"demonstration {index} holds {', '.join(map(repr, foreign))}, which the task's alphabet "
                f"lacks: {row['prompt']!r} {row['completion']!r}. Add them to the alphabet."
            )


def _sft_trainer(config: Warmstart, task: Demonstrated, scratch: str, callbacks: list[Any]) -> Any:
    from transformers import PrinterCallback, ProgressCallback
    from trl import SFTConfig, SFTTrainer

    from aent.policies.tokenizer import character_tokenizer

    demonstrations = task.demonstrations(config.demonstrations, config.seed)
    _check_characters(demonstrations, task.alphabet)
    tokenizer = character_tokenizer(task.alphabet, config.vocab_size)
    longest = max(map(len, demonstrations["prompt"]))
    model = small_model(config, tokenizer, longest + task.max_length + SPARE)
    args = SFTConfig(
        output_dir=scratch,
        per_device_train_batch_size=config.batch_size,
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=20,
        completion_only_loss=True,
        max_length=None,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        logging_steps=25,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=config.seed,
    )
    trainer = SFTTrainer(
        model=model,
        args=args,
        train_dataset=demonstrations,
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    for printing in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printing)
    return trainer
