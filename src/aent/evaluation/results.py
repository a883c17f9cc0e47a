"""The outcome of an evaluation, and its files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from aent.errors import InputError
from aent.evaluation.config import EvalConfig
from aent.evaluation.metrics import maj_at_k, pass_at_k
from aent.policies.sampling import Prompt
from aent.records import json_text, write_all
from aent.statistics import Estimate, PerProblem, bootstrap, standard_error

RESULTS, SAMPLES = "results.json", "samples.jsonl"


@dataclass(frozen=True, slots=True)
class Record:
    """One sampled answer, judged."""

    problem: int
    """Index of the problem in its split."""
    prompt: Prompt
    sample: int
    """Which of the problem's samples it is."""
    completion: str
    score: float | None
    """The task's reward; None leaves the sample out of every metric based on scores."""
    answer: str | None
    """The answer it votes for in maj@k; None casts no vote."""
    entropy: float | None
    """Mean over its tokens, in nats per token; None where the backend does not report it."""
    length: int
    """Number of tokens, including the end-of-text token."""
    token_texts: list[str] | None = None
    """What each token adds to the text, special tokens included; None where it was not recorded."""
    token_entropy: list[float] | None = None
    """The entropy at each token, in nats; None where `token_texts` is."""

    @property
    def correct(self) -> bool:
        """Whether the score is 1 or more; a fractional score below 1 is not correct."""
        return self.score is not None and self.score >= 1


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Metrics with intervals, the settings behind them, and every sampled answer."""

    metrics: Mapping[str, Estimate]
    """By name: pass@k, maj@k, score, entropy (nats per token), length (tokens)."""
    config: EvalConfig
    records: Sequence[Record]
    about: Mapping[str, Any]
    """The task, the model, the number of problems, versions, machine and time."""

    def standard_errors(self) -> dict[str, float | None]:
        """Return the standard error of every metric over problems; None with fewer than two problems."""
        columns = per_problem(self.records, self.config.ks)
        return {name: standard_error(columns[name]) for name in self.metrics if name in columns}

    def save(self, folder: str | Path) -> None:
        """Write ``results.json`` and ``samples.jsonl``, both or neither.

        Raises:
            OSError: if the folder cannot be written.
        """
        metrics = {name: estimate._asdict() for name, estimate in self.metrics.items()}
        results = {
            "metrics": metrics,
            "standard_errors": self.standard_errors(),
            "config": asdict(self.config),
            "answers": len(self.records),
            **self.about,
        }
        samples, results_file = Path(folder) / SAMPLES, Path(folder) / RESULTS
        write_all({samples: record_lines(self.records), results_file: json_text(results, indent=2) + "\n"})


def load_results(path: str | Path, *, answers: bool = True) -> Evaluation:
    """Read what `Evaluation.save` wrote.

    Args:
        path: the folder, or its ``results.json``.
        answers: whether to read the sampled answers too, which may be many megabytes; without them
            `records` is empty.

    Raises:
        InputError: if a file is missing or was not written by `Evaluation.save`.
    """
    folder = Path(path).parent if Path(path).name == RESULTS else Path(path)
    missing = [name for name in (RESULTS, SAMPLES) if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder} has no {' and no '.join(missing)}; give the folder that an evaluation was saved to."
        )
    try:
        about = json.loads((folder / RESULTS).read_text("utf-8"))
        metrics = {name: Estimate(**parts) for name, parts in about.pop("metrics").items()}
        about.pop("standard_errors", None)  # computed from the samples
        settings = about.pop("config")
        ks = settings.pop("k")
        config = EvalConfig(k=None if ks is None else tuple(ks), **settings)
        lines = (folder / SAMPLES).read_text("utf-8").split("\n") if answers else []
        records = [Record(**json.loads(line)) for line in lines if line]
        written = about.pop("answers", len(records))  # earlier versions did not write it
        if answers and len(records) != written:
            raise ValueError(f"{SAMPLES} holds {len(records)} of {written} answers")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder} was not written by an evaluation of this version of aent, or is damaged: {error}. "
            f"Remove {RESULTS} and {SAMPLES} there and run the evaluation again."
        ) from error
    return Evaluation(metrics=metrics, config=config, records=records, about=about)


def record_lines(records: Iterable[Record]) -> str:
    """Return one line of JSON per answer, without the fields of tokens that were not recorded."""
    rows = (asdict(record) for record in records)
    lines = ({k: v for k, v in row.items() if v is not None or not k.startswith("token_")} for row in rows)
    return "".join(json_text(line) + "\n" for line in lines)


def per_problem(records: Iterable[Record], ks: Sequence[int]) -> dict[str, PerProblem]:
    """Return every metric's value per problem; `records` must be grouped by problem.

    - pass@k: `pass_at_k`; a sample is correct if its score is 1 or more. pass@1 is the share
      of correct samples, which papers call avg@n of n samples.
    - maj@k for k > 1: `maj_at_k`.
    - score: the mean score.
    - entropy: the mean over tokens (nats), weighted by tokens, so the mean over problems is the
      mean over all tokens; left out if it was not measured.
    - length: the mean length in tokens.

    A problem with fewer than k scored samples has weight 0 in pass@k and maj@k.
    """
    problems = [list(group) for _, group in groupby(records, key=lambda record: record.problem)]
    scored = [[r for r in problem if r.score is not None] for problem in problems]
    n = np.array([len(rs) for rs in scored])
    c = np.array([sum(r.correct for r in rs) for rs in scored])
    columns = {}
    for k in ks:
        passes = pass_at_k(c, np.maximum(n, k), k)
        columns[f"pass@{k}"] = PerProblem(passes, (n >= k).astype(float))
    for k in (k for k in ks if k > 1):
        votes = [_majority(rs, k) if len(rs) >= k else 0.0 for rs in scored]
        columns[f"maj@{k}"] = PerProblem(np.array(votes), (n >= k).astype(float))
    score = [sum(r.score or 0.0 for r in rs) / max(len(rs), 1) for rs in scored]
    columns["score"] = PerProblem(np.array(score), (n > 0).astype(float))
    tokens = np.array([sum(r.length for r in rs) for rs in problems], dtype=float)
    if all(r.entropy is not None for rs in problems for r in rs):
        nats = np.array([sum((r.entropy or 0.0) * r.length for r in rs) for rs in problems])
        columns["entropy"] = PerProblem(nats / tokens, tokens)
    samples = np.array([len(rs) for rs in problems])
    columns["length"] = PerProblem(tokens / samples, np.ones(len(problems)))
    return columns


def estimates(columns: Mapping[str, PerProblem], seed: int) -> dict[str, Estimate]:
    """Return every metric with its interval, except those in which every problem has weight 0."""
    return {
        name: bootstrap(column.values, weights=column.weights, seed=seed)
        for name, column in columns.items()
        if column.weights.any()
    }


def _majority(records: Sequence[Record], k: int) -> float:
    return maj_at_k([r.answer for r in records], [r.correct for r in records], k)
