import pytest

from aent.evaluation import Record
from aent.report.content import Side
from aent.report.tokens import PER_ANSWER, problems


def record(problem=0, sample=0, texts=("4", "\n", ""), nats=(0.0, 0.7, 2.5), **changes):
    kept = (list(texts), list(nats)) if texts is not None else (None, None)
    fields = {"completion": "c", "score": 1.0, "answer": "4", "entropy": 0.5, "length": 3, **changes}
    prompt = fields.pop("prompt", "2+2=")
    given = [fields[k] for k in ("completion", "score", "answer", "entropy", "length")]
    return Record(problem, prompt, sample, *given, *kept)


def test_tokens_carry_their_entropy_and_its_level():
    (problem,) = problems([Side("before", [record()])])
    (column,) = problem.columns
    assert [(t.text, t.nats, t.level) for t in column.answers[0].tokens] == [
        ("4", 0.0, 0),
        ("↵\n", 0.7, 3),  # an end of line is seen; half a nat to one
        ("·", 2.5, 5),  # the first part of a character
    ]


@pytest.mark.parametrize(
    ("score", "due"), [(1.0, True), (0.5, False), (0.0, False), (None, None)], ids=lambda v: str(v)
)
def test_answers_say_whether_they_are_right(score, due):
    (problem,) = problems([Side("before", [record(score=score)])])
    assert problem.columns[0].answers[0].correct is due


def test_a_column_counts_all_samples_and_shows_those_with_tokens():
    kept = [record(sample=s, texts="ab", nats=(0.1, 0.2), answer=str(s)) for s in range(2)]
    records = [*kept, record(sample=2, texts=None, answer="2"), None]
    records[3] = record(sample=3, texts=None, score=0.0, answer="0")
    (problem,) = problems([Side("before", records)])
    column = problem.columns[0]
    assert (column.sampled, column.distinct, column.correct, len(column.answers)) == (4, 3, 3, 2)


def test_long_answers_and_many_problems_are_cut_to_a_budget():
    n = PER_ANSWER + 10
    side = Side("before", [record(problem=p, texts=["x"] * n, nats=[0.1] * n) for p in range(4)])
    shown = problems([side], budget=2 * PER_ANSWER)
    assert [problem.number for problem in shown] == [0, 1]
    assert len(shown[0].columns[0].answers[0].tokens) == PER_ANSWER
    assert shown[0].columns[0].answers[0].left_out == 10
    assert len(problems([side], budget=1)) == 1  # always one


def test_conversations_are_written_out_and_sides_share_problems():
    before = Side("before", [record(problem=p, prompt=[{"role": "user", "content": "2+2"}]) for p in (0, 1)])
    after = Side("after", [record(problem=1)])
    (problem,) = problems([before, after])
    assert (problem.number, problem.prompt) == (1, "user: 2+2")
    assert problems([]) == []
