"""Measuring a policy: pass@k, maj@k, entropy and length, each with an interval."""

from aent.evaluation.config import PROTOCOLS, EvalConfig
from aent.evaluation.evaluate import evaluate, measure, settings
from aent.evaluation.journal import Journal
from aent.evaluation.metrics import maj_at_k, pass_at_k
from aent.evaluation.results import Evaluation, Record, load_results
from aent.evaluation.table import before_after_table, changes, results_table, summary, summary_table
from aent.policies.generate import TransformersSampler, generate
from aent.policies.sampling import Sample, Sampler
from aent.policies.vllm import VLLMSampler, check_vllm, load_vllm
from aent.statistics import Estimate, bootstrap, paired_bootstrap, standard_error

__all__ = [
    "PROTOCOLS",
    "Estimate",
    "EvalConfig",
    "Evaluation",
    "Journal",
    "Record",
    "Sample",
    "Sampler",
    "TransformersSampler",
    "VLLMSampler",
    "before_after_table",
    "bootstrap",
    "changes",
    "check_vllm",
    "evaluate",
    "generate",
    "load_results",
    "load_vllm",
    "maj_at_k",
    "measure",
    "paired_bootstrap",
    "pass_at_k",
    "results_table",
    "settings",
    "standard_error",
    "summary",
    "summary_table",
]
