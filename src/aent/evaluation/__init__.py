"""Measuring a policy: pass@k, maj@k, entropy and length, each with an interval."""

from aent.evaluation.config import PROTOCOLS, EvalConfig
from aent.evaluation.evaluate import evaluate, measure, settings
from aent.evaluation.journal import Journal
from aent.evaluation.metrics import maj_at_k, pass_at_k
from aent.evaluation.results import Evaluation, Record, load_results
from aent.evaluation.suite import Suite
from aent.evaluation.table import before_after_table, changes, results_table, summary, summary_table

__all__ = [
    "PROTOCOLS",
    "EvalConfig",
    "Evaluation",
    "Journal",
    "Record",
    "Suite",
    "before_after_table",
    "changes",
    "evaluate",
    "load_results",
    "maj_at_k",
    "measure",
    "pass_at_k",
    "results_table",
    "settings",
    "summary",
    "summary_table",
]
