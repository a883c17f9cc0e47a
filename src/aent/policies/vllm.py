"""Sampling answers with vLLM: the same prompts and settings, many times as fast on a GPU."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aent.errors import InputError
from aent.policies.sampling import Prompt, Sample, check_lengths, encode, places

if TYPE_CHECKING:
    from aent.evaluation.config import EvalConfig


@dataclass(frozen=True)
class VLLMSampler:
    """Answers of a model that vLLM has loaded (`load_vllm`); it reports no entropy.

    Every answer is a request with a seed of its own, made of the seed, the problem and the sample.
    vLLM does not promise the same text for the same seed on another machine or version.
    """

    model: str
    """The folder or hub id of the model."""
    engine: Any
    """A ``vllm.LLM``."""

    @property
    def device(self) -> torch.device:
        """What vLLM runs on here."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def batches(
        self, prompts: Sequence[Prompt], config: "EvalConfig", max_tokens: int, first: int = 0
    ) -> Generator[list[Sample]]:
        """Yield the answers batch by batch, from batch `first` on.

        Raises:
            InputError: where a prompt is empty, or does not fit the context with its answer.
        """
        tokenizer = self.engine.get_tokenizer()
        encoded = [encode(tokenizer, prompt) for prompt in prompts]
        check_lengths(encoded, max_tokens, self.engine.llm_engine.model_config.max_model_len)
        for batch in places(len(prompts), config.samples, config.batch_size)[first:]:
            requests = [{"prompt_token_ids": encoded[problem]} for problem, _ in batch]
            settings = [_sampling(config, max_tokens, *place) for place in batch]
            outputs = self.engine.generate(requests, settings, use_tqdm=False)
            answers = [output.outputs[0] for output in outputs]
            yield [
                Sample(*place, answer.text, list(answer.token_ids), None)
                for place, answer in zip(batch, answers, strict=True)
            ]


def check_vllm(model: str) -> None:
    """Raise where vLLM cannot be used for a model, without loading either.

    Raises:
        InputError: where vLLM is not installed, or the folder is a PEFT adapter.
    """
    if find_spec("vllm") is None:
        raise InputError(
            "the vLLM backend needs vLLM, which is not installed; pip install vllm, or use the "
            "transformers backend."
        )
    if (Path(model) / "adapter_config.json").exists():
        raise InputError(
            f"{model} is a PEFT adapter, which the vLLM backend does not load; merge it into its model "
            "(merge_and_unload of PEFT), or use the transformers backend."
        )


def load_vllm(model: str, **options: Any) -> VLLMSampler:
    """Load a model folder or hub id into vLLM; `options` go to ``vllm.LLM``.

    Raises:
        InputError: as `check_vllm`.
    """
    check_vllm(model)
    from vllm import LLM  # pyright: ignore[reportMissingImports]

    return VLLMSampler(model, LLM(model=model, **options))


def _sampling(config: "EvalConfig", max_tokens: int, problem: int, sample: int) -> Any:
    from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

    seed = np.random.SeedSequence((config.seed, problem, sample)).generate_state(1)[0]
    return SamplingParams(
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k or -1,  # every version reads -1 as all; not every one 0
        max_tokens=max_tokens,
        seed=int(seed),
    )
