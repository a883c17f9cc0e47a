"""Sampling answers: the settings, what a sampler returns, and how prompts become tokens."""

from collections.abc import Callable, Generator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.errors import InputError

Prompt = str | Sequence[Mapping[str, str]]
"""A text, or a conversation: messages with ``role`` and ``content``."""

Progress = Callable[[int, int], None]
"""Called with how many answers are done and how many there will be."""

Place = tuple[int, int]
"""Which prompt an answer belongs to, and which of its samples it is."""

Watch = Callable[[Sequence[Place], Float[Tensor, "rows vocab"], Int[Tensor, " rows"]], None]
"""Called for every step of a batch with the answers that have not ended, their logits before temperature,
top-p and top-k, and the tokens drawn."""

PROMPTS_WITH_TEXTS, SAMPLES_WITH_TEXTS = 8, 4
"""Token texts are kept for this many samples of each of this many prompts, from the first."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How answers are drawn from a policy.

    Raises:
        InputError: naming the setting that is out of range.
    """

    samples: int = 1
    """Answers per prompt."""
    temperature: float = 1.0
    """Divides the logits; 0 decodes greedily, with one sample."""
    top_p: float = 1.0
    """Keeps the likeliest tokens of this total probability; 1 keeps all."""
    top_k: int = 0
    """Keeps this many tokens; 0 keeps all."""
    max_tokens: int = 512
    """Tokens per answer at most."""
    batch_size: int = 512
    """Answers generated at a time."""
    seed: int = 0
    """Seed of the random draws, which also depend on the batch size."""

    def __post_init__(self) -> None:
        rules = {
            "samples": (self.samples >= 1, "at least 1"),
            "temperature": (0 <= self.temperature < float("inf"), "0 (greedy) or positive"),
            "top_p": (0 < self.top_p <= 1, "in (0, 1]; 1 keeps every token"),
            "top_k": (self.top_k >= 0, "0 (keeps every token) or positive"),
            "max_tokens": (self.max_tokens >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "seed": (self.seed >= 0, "0 or positive"),
        }
        for name, (holds, allowed) in rules.items():
            if not holds:
                raise InputError(f"{name} must be {allowed}, got {getattr(self, name)}.")
        if self.temperature == 0 and self.samples != 1:
            raise InputError(
                f"temperature 0 decodes greedily, so {self.samples} samples would all be the same. "
                f"Set samples to 1 or raise the temperature."
            )


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled answer."""

    problem: int
    """Index of its prompt."""
    sample: int
    """Which of the prompt's samples it is."""
    completion: str
    """The text, without special tokens."""
    tokens: list[int]
    """The token ids, up to and including the end-of-text token."""
    entropy: list[float] | None
    """The entropy of the policy at each token, in nats; None where it was not measured."""
    texts: list[str] | None = None
    """The text of each token; None beyond the first `PROMPTS_WITH_TEXTS` and `SAMPLES_WITH_TEXTS`."""


class Sampler(Protocol):
    """A source of answers: a model together with what runs it."""

    @property
    def model(self) -> str:
        """The folder or hub id of the model."""
        ...

    @property
    def device(self) -> torch.device:
        """The device the model runs on."""
        ...

    def batches(
        self, prompts: Sequence[Prompt], sampling: Sampling, first: int = 0
    ) -> Generator[list[Sample]]:
        """Yield the answers batch by batch, starting at batch `first`; no batch depends on another."""
        ...


def plan_batches(prompts: int, sampling: Sampling) -> list[list[Place]]:
    """Return (prompt, sample) of every answer to draw, in batches."""
    answers = [(prompt, sample) for prompt in range(prompts) for sample in range(sampling.samples)]
    return [answers[i : i + sampling.batch_size] for i in range(0, len(answers), sampling.batch_size)]


def encode(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Return the tokens of a prompt; a conversation goes through the chat template.

    Raises:
        InputError: for a conversation, if the tokenizer has no chat template or the template refuses it (some
            have no place for a system message), for half a surrogate pair, and for what is neither a text nor
            a conversation of texts.
    """
    from jinja2 import TemplateError

    for text in _texts(prompt):
        _check_unicode(text)
    if isinstance(prompt, str):
        return tokenizer(prompt)["input_ids"]
    if tokenizer.chat_template is None:
        raise InputError(
            "the prompts are conversations but the tokenizer has no chat template. "
            "Use an instruction-tuned model, set tokenizer.chat_template, or give plain texts."
        )
    messages = [dict(message) for message in prompt]
    try:
        return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        raise InputError(
            f"the model's chat template refuses a conversation of {roles}: {error}. Leave out the task's "
            "system text, or set a tokenizer.chat_template that takes it."
        ) from error


def _texts(prompt: Any) -> list[str]:
    if isinstance(prompt, str):
        return [prompt]
    messages = prompt if isinstance(prompt, Sequence) else [None]
    contents = [message.get("content") if isinstance(message, Mapping) else None for message in messages]
    texts = [content for content in contents if isinstance(content, str)]
    if len(texts) < len(contents):
        raise InputError(
            f"the prompt {prompt!r} is neither a text nor a list of messages, each with a role and a text as "
            "its content; correct the task's dataset()"
        )
    return texts


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the prompt {text!r} has half of a surrogate pair at character {error.start}, which is no "
            "character; remove it from the data"
        ) from None


def check_lengths(encoded: Sequence[Sized], max_tokens: int, context: int | None) -> None:
    """Check that every prompt has tokens and leaves room for its answer.

    Raises:
        InputError: naming the first prompt that does not.
    """
    for index, ids in enumerate(encoded):
        if not len(ids):
            raise InputError(f"prompt {index} has no tokens; a policy needs at least one.")
        if context is not None and len(ids) + max_tokens > context:
            raise InputError(
                f"prompt {index} has {len(ids)} tokens; with max_tokens = {max_tokens} that is "
                f"more than the model's context of {context}. Prompts are never truncated: "
                f"lower max_tokens or leave out the problem."
            )
