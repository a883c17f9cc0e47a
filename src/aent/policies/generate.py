"""Sampling answers from a policy with transformers, with the entropy of every token."""

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
from aent.policies.sampling import (
    SPELT,
    Progress,
    Prompt,
    Sample,
    check_lengths,
    check_sampling,
    encode,
    places,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from aent.evaluation.config import EvalConfig


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
        """Where the model is."""
        return self.policy.device

    def batches(
        self, prompts: Sequence[Prompt], config: "EvalConfig", max_tokens: int, first: int = 0
    ) -> Generator[list[Sample]]:
        """Yield what `generate` returns, batch by batch."""
        return _batches(
            self.policy,
            self.tokenizer,
            prompts,
            samples=config.samples,
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k,
            max_tokens=max_tokens,
            batch_size=config.batch_size,
            seed=config.seed,
            first=first,
        )


def generate(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Prompt],
    *,
    samples: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    max_tokens: int = 512,
    batch_size: int = 512,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Sample]:
    """Sample answers to every prompt, in the order of the prompts.

    The entropy (nats) is that of the whole policy ``softmax(logits / temperature)``, before top-p
    and top-k; greedy decoding reports it at temperature 1. It is read off the logits that
    generation computes anyway, one step at a time, so it costs no second forward pass.

    Batch i draws from ``(seed, i)``: a run is reproducible, and neither the caller's random state
    nor the model's mode and generation settings are changed. The generation settings that came
    with the model (a repetition penalty, a default top-k) do not apply: only those given here do.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer; its chat template is used for conversational prompts.
        prompts: texts, or lists of messages with ``role`` and ``content``.
        samples: answers per prompt.
        temperature: divides the logits; 0 decodes greedily.
        top_p: keeps the likeliest tokens of this total probability; 1 keeps all.
        top_k: keeps this many tokens; 0 keeps all.
        max_tokens: tokens per answer at most.
        batch_size: answers generated at a time.
        seed: what the random draws depend on, with the batch size.
        progress: called with how many answers are done and how many are due.

    Raises:
        InputError: where a setting is out of range, a prompt is empty, or a prompt and its answer
            do not fit the context of the model.
    """
    answers: list[Sample] = []
    batches = _batches(
        model,
        tokenizer,
        prompts,
        samples=samples,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        max_tokens=max_tokens,
        batch_size=batch_size,
        seed=seed,
    )
    with closing(batches):  # or the model would stay in evaluation mode after an interruption
        for batch in batches:
            answers += batch
            if progress is not None:
                progress(len(answers), len(prompts) * samples)
    return answers


def _batches(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Prompt],
    *,
    samples: int,
    temperature: float,
    top_p: float,
    top_k: int,
    max_tokens: int,
    batch_size: int,
    seed: int,
    first: int = 0,
) -> Generator[list[Sample]]:
    check_sampling(samples, temperature, top_p, top_k, max_tokens, batch_size, seed)
    encoded = [torch.tensor(encode(tokenizer, prompt), dtype=torch.long) for prompt in prompts]
    # Not every architecture has a bound on positions.
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    check_lengths(encoded, max_tokens, context)
    settings = _settings(model, tokenizer, temperature, top_p, top_k, max_tokens)
    with _as_found(model):
        for index, batch in enumerate(places(len(prompts), samples, batch_size)):
            if index < first:
                continue
            with _seeded(seed, index, model.device):
                drawn = _draw(model, [encoded[problem] for problem, _ in batch], settings)
            texts = tokenizer.batch_decode([ids for ids, _ in drawn], skip_special_tokens=True)
            yield [
                Sample(*place, text, *pair, _spelt(tokenizer, pair[0], *place))
                for place, text, pair in zip(batch, texts, drawn, strict=True)
            ]


def _spelt(tokenizer: Any, tokens: Sequence[int], problem: int, sample: int) -> list[str] | None:
    return token_texts(tokenizer, tokens) if problem < SPELT[0] and sample < SPELT[1] else None


def token_texts(tokenizer: Any, tokens: Sequence[int]) -> list[str]:
    """Return what each token adds to the text, special tokens included; together they are the text.

    A token by itself may decode to another text than in its place: its leading space is lost, or it is a
    part of a character. Such a character stands at the last of its tokens.
    """

    def text(start: int, end: int) -> str:
        decoded = tokenizer.decode(tokens[start:end], clean_up_tokenization_spaces=False)
        return decoded.rstrip("\N{REPLACEMENT CHARACTER}")

    starts = [max(0, end - 8) for end in range(len(tokens))]  # a few tokens before it settle how it is read
    return [text(start, end + 1)[len(text(start, end)) :] for end, start in enumerate(starts)]


class _EntropyMeter:
    """A logits processor that changes nothing and keeps the entropy of every step."""

    def __init__(self, temperature: float):
        self.temperature = temperature or 1.0
        self.steps: list[Tensor] = []

    def __call__(
        self, tokens: Int[Tensor, "batch length"], logits: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        # The next token is not drawn yet; any target will do, since only the entropy is read.
        stats = token_stats(logits, tokens[:, -1], temperature=self.temperature)
        self.steps.append(stats.entropy)
        return logits


def _draw(
    model: Any, prompts: Sequence[Int[Tensor, "length"]], settings: Any
) -> list[tuple[list[int], list[float]]]:
    """Return the token ids and their entropies of one answer per prompt."""
    padded = pad_sequence(
        list(prompts), batch_first=True, padding_value=settings.pad_token_id, padding_side="left"
    )
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    width = padded.shape[1]
    mask = torch.arange(width) >= width - lengths[:, None]
    meter = _EntropyMeter(settings.temperature if settings.do_sample else 0.0)
    tokens: Tensor = model.generate(
        input_ids=padded.to(model.device),
        attention_mask=mask.long().to(model.device),
        generation_config=settings,
        logits_processor=[meter],
    )
    tokens = tokens[:, width:].cpu()
    ended = torch.isin(tokens, torch.tensor(settings.eos_token_id or [], dtype=torch.long))
    ends = torch.where(ended.any(1), ended.int().argmax(1) + 1, tokens.shape[1]).tolist()
    entropy = torch.stack(meter.steps, dim=1).cpu()
    rows = zip(tokens.tolist(), entropy.tolist(), ends, strict=True)
    return [(ids[:end], nats[:end]) for ids, nats, end in rows]


def _settings(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    temperature: float,
    top_p: float,
    top_k: int,
    max_tokens: int,
) -> Any:
    from transformers import GenerationConfig

    ends = _end_tokens(model, tokenizer)
    pad = tokenizer.pad_token_id
    # transformers refuses a whole number where it expects a float.
    drawing = {"temperature": float(temperature), "top_p": float(top_p), "top_k": top_k}
    return GenerationConfig(
        do_sample=temperature > 0,
        max_new_tokens=max_tokens,
        eos_token_id=ends or None,
        pad_token_id=pad if pad is not None else (ends or [0])[0],
        use_cache=True,
        **(drawing if temperature else {}),
    )


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Return the tokens that end an answer: the tokenizer's, and those of the model's settings."""
    own = model.generation_config.eos_token_id
    listed = own if isinstance(own, list) else [own]
    return sorted({end for end in (*listed, tokenizer.eos_token_id) if end is not None})


@contextmanager
def _as_found(model: "PreTrainedModel") -> Iterator[None]:
    """Put the model in evaluation mode with plain generation settings, and back afterwards.

    transformers fills what a call leaves unset from ``model.generation_config``, so that object is
    emptied meanwhile; in place, since a PEFT model and its base share it.
    """
    from transformers import GenerationConfig

    modes = [(module, module.training) for module in model.modules()]
    held = vars(model.generation_config)
    found = dict(held)
    model.eval()
    held.clear()
    held.update(vars(GenerationConfig()))
    try:
        yield
    finally:
        held.clear()
        held.update(found)
        for module, training in modes:
            module.training = training


@contextmanager
def _seeded(seed: int, batch: int, device: torch.device) -> Iterator[None]:
    """Seed the draws of one batch without disturbing the random state of the caller."""
    kind = "cuda" if device.type == "cpu" else device.type
    devices = range(torch.get_device_module(kind).device_count())
    with torch.random.fork_rng(devices, device_type=kind):
        torch.manual_seed(int(np.random.SeedSequence((seed, batch)).generate_state(1, np.uint64)[0]))
        yield
