"""Measuring a policy: pass@k, maj@k, entropy and length, each with an interval."""

from aent.evaluation.config import EvalConfig
from aent.evaluation.metrics import Estimate, bootstrap, maj_at_k, paired_bootstrap, pass_at_k
from aent.evaluation.results import Evaluation, Record, load_results
from aent.evaluation.run import evaluate
from aent.evaluation.sample import Sample, generate
from aent.evaluation.table import before_after_table, results_table

__all__ = [
    "Estimate",
    "EvalConfig",
    "Evaluation",
    "Record",
    "Sample",
    "before_after_table",
    "bootstrap",
    "evaluate",
    "generate",
    "load_results",
    "maj_at_k",
    "paired_bootstrap",
    "pass_at_k",
    "results_table",
]
