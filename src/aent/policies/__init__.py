"""Policies: small ones trained from scratch, models loaded by name, and sampling answers from either."""

from aent.policies.generate import TransformersSampler, generate
from aent.policies.load import check_model, load_model, load_sampler
from aent.policies.sampling import Sample, Sampler, Sampling
from aent.policies.vllm import VLLMSampler, check_vllm, load_vllm
from aent.policies.warmstart import Warmstart, cached_policy, check_demonstrations, warmstart

__all__ = [
    "Sample",
    "Sampler",
    "Sampling",
    "TransformersSampler",
    "VLLMSampler",
    "Warmstart",
    "cached_policy",
    "check_demonstrations",
    "check_model",
    "check_vllm",
    "generate",
    "load_model",
    "load_sampler",
    "load_vllm",
    "warmstart",
]
