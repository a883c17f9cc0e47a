"""How answers are sampled: the settings, and what every sampler gives."""

from collections.abc import Callable, Generator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from aent.errors import InputError

if TYPE_CHECKING:
    from aent.evaluation.config import EvalConfig

Prompt = str | Sequence[Mapping[str, str]]

Progress = Callable[[int, int], None]

SPELT = (8, 4)
"""Of how many prompts, and of how many answers to each, the tokens are kept as texts."""


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
    """The token ids, up to and with the end-of-text token."""
    entropy: list[float] | None
    """The entropy of the policy at each of the tokens, in nats; None where it was not measured."""
    texts: list[str] | None = None
    """The text of each of the tokens, of the first `SPELT` answers; None for the rest."""


class Sampler(Protocol):
    """Where the answers of an evaluation come from."""

    @property
    def model(self) -> str:
        """The folder or hub id of the model."""
        ...

    @property
    def device(self) -> torch.device:
        """What it runs on."""
        ...

    def batches(
        self, prompts: Sequence[Prompt], config: "EvalConfig", max_tokens: int, first: int = 0
    ) -> Generator[list[Sample]]:
        """Yield the answers batch by batch, from batch `first` on; a batch depends on no other."""
        ...


def places(problems: int, samples: int, batch_size: int) -> list[list[tuple[int, int]]]:
    """Return (problem, sample) of every answer that is due, in batches."""
    due = [(problem, sample) for problem in range(problems) for sample in range(samples)]
    return [due[start : start + batch_size] for start in range(0, len(due), batch_size)]


def check_sampling(
    samples: int,
    temperature: float,
    top_p: float,
    top_k: int,
    max_tokens: int,
    batch_size: int,
    seed: int,
) -> None:
    """Check the settings of `generate`.

    Raises:
        InputError: naming the setting that is out of range.
    """
    rules = [
        ("samples", samples, samples >= 1, "at least 1"),
        ("temperature", temperature, 0 <= temperature < float("inf"), "0 (greedy) or positive"),
        ("top_p", top_p, 0 < top_p <= 1, "in (0, 1]; 1 keeps every token"),
        ("top_k", top_k, top_k >= 0, "0 (keeps every token) or positive"),
        ("max_tokens", max_tokens, max_tokens >= 1, "at least 1"),
        ("batch_size", batch_size, batch_size >= 1, "at least 1"),
        ("seed", seed, seed >= 0, "0 or positive"),
    ]
    for name, value, holds, allowed in rules:
        if not holds:
            raise InputError(f"{name} must be {allowed}, got {value}.")
    if temperature == 0 and samples != 1:
        raise InputError(
            f"temperature 0 decodes greedily, so {samples} samples would all be the same. "
            f"Set samples to 1 or raise the temperature."
        )


def encode(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Return the tokens of a prompt; a conversation goes through the chat template.

    Raises:
        InputError: where it is a conversation and the tokenizer has no chat template.
    """
    if isinstance(prompt, str):
        return tokenizer(prompt)["input_ids"]
    if tokenizer.chat_template is None:
        raise InputError(
            "the prompts are conversations but the tokenizer has no chat template. "
            "Use an instruction-tuned model, set tokenizer.chat_template, or give plain texts."
        )
    messages = [dict(message) for message in prompt]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


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
