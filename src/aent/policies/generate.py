"""Sampling answers with transformers, with the entropy of every token."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from aent.ops import token_stats
from aent.policies.drawing import fast_drawing
from aent.policies.prefill import shared_prompts
from aent.policies.sampling import (
    PROMPTS_WITH_TEXTS,
    SAMPLES_WITH_TEXTS,
    Place,
    Progress,
    Prompt,
    Sample,
    Sampling,
    Watch,
    check_lengths,
    encode,
    plan_batches,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def generate(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Prompt],
    sampling: Sampling | None = None,
    *,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> list[Sample]:
    """Sample answers to every prompt, in the order of the prompts.

    The entropy (nats) is that of the whole policy ``softmax(logits / temperature)``, before top-p
    and top-k; greedy decoding reports it at temperature 1. It is computed from the logits that
    generation produces anyway, one step at a time, so it costs no second forward pass.

    Batch i draws from ``(seed, i)``: a run is reproducible, and neither the caller's random state
    nor the model's mode and generation settings are changed. The generation settings stored with
    the model (a repetition penalty, a default top-k) are ignored: only `sampling` applies.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer; its chat template is used for conversational prompts.
        prompts: texts, or lists of messages with ``role`` and ``content``.
        sampling: the settings; None takes the defaults of `Sampling`.
        progress: called with how many answers are done and how many there will be.
        watch: sees the logits and the token of every step.

    Raises:
        InputError: if a prompt is empty, or a prompt and its answer do not fit the model's context.
    """
    sampling = sampling or Sampling()
    answers: list[Sample] = []
    batches = TransformersSampler(model, tokenizer).batches(prompts, sampling, watch=watch)
    with closing(batches):  # restores the model's mode and settings after an interruption
        for batch in batches:
            answers += batch
            if progress is not None:
                progress(len(answers), len(prompts) * sampling.samples)
    return answers


@dataclass(frozen=True)
class TransformersSampler:
    """Answers of a model in this process, with the entropy of every token."""

    policy: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"

    @property
    def model(self) -> str:
        """The folder or hub id of the model."""
        return getattr(self.policy, "name_or_path", "")

    @property
    def device(self) -> torch.device:
        """The device the model is on."""
        return self.policy.device

    def batches(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        first: int = 0,
        watch: Watch | None = None,
    ) -> Generator[list[Sample]]:
        """Yield the answers of `generate` batch by batch, starting at batch `first`.

        Raises:
            InputError: as `generate`.
        """
        model, tokenizer = self.policy, self.tokenizer
        encoded = [torch.tensor(encode(tokenizer, prompt), dtype=torch.long) for prompt in prompts]
        # Not every architecture has a bound on positions.
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        check_lengths(encoded, sampling.max_tokens, context)
        settings = _generation_config(model, tokenizer, sampling)
        with _plain_evaluation(model):
            for index, batch in enumerate(plan_batches(len(prompts), sampling)):
                if index < first:
                    continue
                with _seeded(sampling.seed, index, model.device):
                    answers = _draw(model, batch, [encoded[prompt] for prompt, _ in batch], settings, watch)
                texts = tokenizer.batch_decode([ids for ids, _ in answers], skip_special_tokens=True)
                yield [
                    Sample(*place, text, ids, nats, _texts_to_keep(tokenizer, ids, *place))
                    for place, text, (ids, nats) in zip(batch, texts, answers, strict=True)
                ]


def _texts_to_keep(tokenizer: Any, tokens: Sequence[int], prompt: int, sample: int) -> list[str] | None:
    kept = prompt < PROMPTS_WITH_TEXTS and sample < SAMPLES_WITH_TEXTS
    return token_texts(tokenizer, tokens) if kept else None


def token_texts(tokenizer: Any, tokens: Sequence[int]) -> list[str]:
    """Return what each token adds to the text, special tokens included; joined, they are the text.

    A token decoded alone can differ from the same token in context: it loses its leading space, or it
    is only part of a character. Such a character appears at the last of its tokens.
    """

    def text(start: int, end: int) -> str:
        decoded = tokenizer.decode(tokens[start:end], clean_up_tokenization_spaces=False)
        return decoded.rstrip("\N{REPLACEMENT CHARACTER}")

    starts = [max(0, end - 8) for end in range(len(tokens))]  # eight tokens are context enough
    return [text(start, end + 1)[len(text(start, end)) :] for end, start in enumerate(starts)]


class _EntropyMeter:
    """A logits processor that changes nothing and records the entropy of every step."""

    def __init__(self, temperature: float):
        self.temperature = temperature or 1.0
        self.steps: list[Tensor] = []

    def __call__(
        self, tokens: Int[Tensor, "batch length"], logits: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        # The next token is not drawn yet; any target will do, since only the entropy is used.
        stats = token_stats(logits, tokens[:, -1], temperature=self.temperature)
        self.steps.append(stats.entropy)
        return logits


class _Watched:
    """A logits processor that changes nothing and shows every step to a `Watch` once it has its tokens."""

    def __init__(self, watch: Watch, places: Sequence[Place], ends: Tensor):
        self.watch, self.places, self.ends = watch, places, ends
        self.running = torch.arange(len(places))
        """Rows whose answers have not ended."""
        self.logits: Tensor | None = None

    def __call__(
        self, tokens: Int[Tensor, "batch length"], logits: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        self.show(tokens)
        self.logits = logits
        return logits

    def show(self, tokens: Int[Tensor, "batch length"]) -> None:
        """Show the last step, whose tokens are the last column."""
        if self.logits is not None and len(self.running):
            drawn = tokens[self.running, -1]
            places = [self.places[row] for row in self.running.tolist()]
            self.watch(places, self.logits[self.running], drawn)
            self.running = self.running[~torch.isin(drawn.cpu(), self.ends)]


def _draw(
    model: Any,
    places: Sequence[Place],
    prompts: Sequence[Int[Tensor, "length"]],
    settings: Any,
    watch: Watch | None,
) -> list[tuple[list[int], list[float]]]:
    """Return the token ids and their entropies of one answer per prompt."""
    padded = pad_sequence(
        list(prompts), batch_first=True, padding_value=settings.pad_token_id, padding_side="left"
    )
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    width = padded.shape[1]
    mask = torch.arange(width) >= width - lengths[:, None]
    meter = _EntropyMeter(settings.temperature if settings.do_sample else 0.0)
    ends = torch.tensor(settings.eos_token_id or [], dtype=torch.long)
    watched = None if watch is None else _Watched(watch, places, ends)
    with fast_drawing(), shared_prompts(model):
        tokens: Tensor = model.generate(
            input_ids=padded.to(model.device),
            attention_mask=mask.long().to(model.device),
            generation_config=settings,
            logits_processor=[meter] if watched is None else [meter, watched],
        )
    if watched is not None:
        watched.show(tokens)
    tokens = tokens[:, width:].cpu()
    ended = torch.isin(tokens, ends)
    lengths = torch.where(ended.any(1), ended.int().argmax(1) + 1, tokens.shape[1]).tolist()
    entropy = torch.stack(meter.steps, dim=1).cpu()
    rows = zip(tokens.tolist(), entropy.tolist(), lengths, strict=True)
    return [(ids[:end], nats[:end]) for ids, nats, end in rows]


def _generation_config(model: Any, tokenizer: Any, sampling: Sampling) -> Any:
    from transformers import GenerationConfig

    ends = _end_tokens(model, tokenizer)
    pad = tokenizer.pad_token_id
    # transformers rejects an int where it expects a float.
    drawing = {
        "temperature": float(sampling.temperature),
        "top_p": float(sampling.top_p),
        "top_k": sampling.top_k,
    }
    return GenerationConfig(
        do_sample=sampling.temperature > 0,
        max_new_tokens=sampling.max_tokens,
        eos_token_id=ends or None,
        pad_token_id=pad if pad is not None else (ends or [0])[0],
        use_cache=True,
        **(drawing if sampling.temperature else {}),
    )


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Return the tokens that end an answer: the tokenizer's and those in the model's settings."""
    own = model.generation_config.eos_token_id
    listed = own if isinstance(own, list) else [own]
    return sorted({end for end in (*listed, tokenizer.eos_token_id) if end is not None})


@contextmanager
def _plain_evaluation(model: "PreTrainedModel") -> Iterator[None]:
    """Put the model in evaluation mode with plain generation settings, and restore both afterwards.

    transformers fills what a call leaves unset from ``model.generation_config``, so that object is
    emptied in the meantime; in place, because a PEFT model and its base share it.
    """
    from transformers import GenerationConfig

    modes = [(module, module.training) for module in model.modules()]
    current = vars(model.generation_config)
    saved = dict(current)
    model.eval()
    current.clear()
    current.update(vars(GenerationConfig()))
    try:
        yield
    finally:
        current.clear()
        current.update(saved)
        for module, training in modes:
            module.training = training


@contextmanager
def _seeded(seed: int, batch: int, device: torch.device) -> Iterator[None]:
    """Seed the draws of one batch without disturbing the caller's random state."""
    kind = "cuda" if device.type == "cpu" else device.type
    devices = range(torch.get_device_module(kind).device_count())
    with torch.random.fork_rng(devices, device_type=kind):
        torch.manual_seed(int(np.random.SeedSequence((seed, batch)).generate_state(1, np.uint64)[0]))
        yield
