import re
from dataclasses import dataclass, field

import numpy as np
import pytest
from datasets import Dataset

from aent.errors import InputError
from aent.evaluation import EvalConfig, evaluate, load_results, settings
from aent.policies.sampling import PROMPTS_WITH_TEXTS, SAMPLES_WITH_TEXTS
from aent.tasks.task import Task


@dataclass(frozen=True)
class Letters(Task):
    """Right where the wanted character occurs; without a score where the answer is short."""

    name = "letters"
    wanted: tuple[str, ...] = ("a", "b", "c")
    max_length: int = 6
    asked: list = field(default_factory=list, compare=False)

    def dataset(self, split):
        wanted = self.wanted if split == "test" else ()
        return Dataset.from_list([{"prompt": f"{c}=", "wanted": c} for c in wanted])

    def score(self, completion, row):
        if len(completion) < 2:
            return None
        return float(row["wanted"] in completion)

    def gold(self, row):
        return row["wanted"] * 2

    def wrong(self, row):
        return "00"

    def answer(self, completion):
        return completion[:1] or None


def test_every_sample_is_judged_by_the_task_against_its_own_row(model, tokenizer):
    task, config = Letters(), EvalConfig(samples=8, batch_size=5, k=(1, 8))
    found = evaluate(model, tokenizer, task, config)
    assert [(r.problem, r.sample) for r in found.records] == [(p, s) for p in range(3) for s in range(8)]
    rows = task.dataset("test")
    for r in found.records:
        assert r.prompt == rows[r.problem]["prompt"]
        assert r.score == task.score(r.completion, rows[r.problem])
        assert r.answer == (r.completion[:1] or None)
        assert 1 <= r.length <= task.max_length + 1  # with the end token
    assert len({r.score for r in found.records}) > 1
    right = [sum(r.correct for r in found.records if r.problem == p) for p in range(3)]
    scored = [sum(r.score is not None for r in found.records if r.problem == p) for p in range(3)]
    shares = [c / n for c, n in zip(right, scored, strict=True)]
    assert found.metrics["pass@1"].value == pytest.approx(sum(shares) / 3)
    tokens = sum(r.length for r in found.records)
    nats = sum(r.entropy * r.length for r in found.records)
    assert found.metrics["entropy"].value == pytest.approx(nats / tokens)
    assert found.metrics["length"].value == pytest.approx(tokens / 24)


def test_the_tokens_of_the_first_answers_are_kept_with_their_entropies(model, tokenizer):
    task = Letters(wanted=tuple("abcdefghij"))
    found = evaluate(model, tokenizer, task, EvalConfig(samples=6, batch_size=7))
    kept = [r for r in found.records if r.token_texts is not None]
    assert [(r.problem, r.sample) for r in kept] == [
        (p, s) for p in range(PROMPTS_WITH_TEXTS) for s in range(SAMPLES_WITH_TEXTS)
    ]
    for r in kept:
        assert re.sub("<end>|<pad>", "", "".join(r.token_texts)) == r.completion
        assert len(r.token_texts) == len(r.token_entropy) == r.length
        assert sum(r.token_entropy) / r.length == pytest.approx(r.entropy, abs=1e-4)
    assert any(r.token_texts[-1] == "<end>" for r in kept)
    assert len({nats for r in kept for nats in r.token_entropy}) > 10


def test_results_say_what_was_measured(model, tokenizer, tmp_path):
    found = evaluate(model, tokenizer, Letters(), EvalConfig(samples=2, problems=50, seed=4))
    about = found.about
    assert about["problems"] == {"asked": 50, "available": 3, "used": 3}
    assert about["task"]["name"] == "letters"
    assert about["task"]["wanted"] == ("a", "b", "c")
    assert about["max_tokens"] == 7
    assert about["unscored_samples"] == sum(r.score is None for r in found.records)
    assert set(about["versions"]) > {"python", "aent", "torch", "transformers", "trl"}
    found.save(tmp_path)
    loaded = load_results(tmp_path)
    assert loaded.config == found.config
    assert loaded.metrics == found.metrics
    assert loaded.records == found.records


def test_the_first_problems_are_taken_and_the_settings_go_through(model, tokenizer):
    config = EvalConfig(samples=1, temperature=0, problems=2, max_tokens=3)
    found = evaluate(model, tokenizer, Letters(), config)
    assert [r.prompt for r in found.records] == ["a=", "b="]
    assert found.about["problems"] == {"asked": 2, "available": 3, "used": 2}
    assert max(r.length for r in found.records) <= 3
    again = evaluate(model, tokenizer, Letters(), config)
    assert again.metrics == found.metrics


def test_an_empty_split_is_refused(model, tokenizer):
    with pytest.raises(InputError, match="train split of task 'letters' is empty"):
        evaluate(model, tokenizer, Letters(), EvalConfig(split="train"))


@dataclass(frozen=True)
class Odd(Letters):
    """Gives scores, and rows, that a task of one's own may give."""

    given: object = None
    extra: object = 1.0
    column: str = "prompt"

    def dataset(self, split):
        return [{self.column: "a=", "wanted": "a", "extra": self.extra}]

    def score(self, completion, row):
        return self.given


@pytest.mark.parametrize("given", [np.float32(1), np.bool_(True), np.int64(1), True])
def test_scores_of_numpy_are_saved_as_numbers(given, model, tokenizer, tmp_path):
    evaluate(model, tokenizer, Odd(given=given), EvalConfig(samples=2)).save(tmp_path)
    assert [r.score for r in load_results(tmp_path).records] == [1.0, 1.0]


@pytest.mark.parametrize("given", [float("nan"), float("inf"), "1"])
def test_a_score_that_is_no_number_is_named(given, model, tokenizer):
    with pytest.raises(InputError, match=f"'letters' returned {given!r}"):
        evaluate(model, tokenizer, Odd(given=given), EvalConfig(samples=2))


def test_rows_without_a_prompt_are_named(model, tokenizer):
    with pytest.raises(InputError, match="'letters' has the columns question, wanted, extra and no 'prompt'"):
        evaluate(model, tokenizer, Odd(given=1.0, column="question"), EvalConfig(samples=2))


def test_a_column_of_no_concern_may_hold_nan():
    config = EvalConfig(samples=2)
    one, other = (settings(Odd(extra=x), config, "m", "transformers") for x in (float("nan"), 2.0))
    assert one["problems_sha256"] != other["problems_sha256"]
