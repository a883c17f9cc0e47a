"""The token view: sampled answers before and after training, every token with its entropy."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aent.evaluation.results import Record
from aent.policies.sampling import Prompt
from aent.report.content import Side

EDGES = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Boundaries between the levels of the scale, in nats. A choice among n equally likely tokens has log(n)
nats: 0.69 for two, 1.1 for three, 1.9 for seven."""
PER_ANSWER = 256
"""Tokens shown of an answer at most."""
PER_PAGE = 20_000
"""Tokens shown on a page, shared equally by its sections; each shows one problem in any case."""


class Token(NamedTuple):
    """A token: its text, its entropy in nats, and the level of that on the scale."""

    text: str
    nats: float
    level: int


class Answer(NamedTuple):
    """A sampled answer; `left_out` counts the tokens that are not shown."""

    tokens: Sequence[Token]
    left_out: int
    correct: bool | None
    score: float | None
    entropy: float


class Column(NamedTuple):
    """The answers of one policy to one problem; the counts are over all samples, shown or not."""

    label: str
    sampled: int
    distinct: int
    correct: int
    answers: Sequence[Answer]


class Problem(NamedTuple):
    """One problem, with a column for every policy."""

    number: int
    prompt: str
    columns: Sequence[Column]


def problems(sides: Sequence[Side], budget: int = PER_PAGE) -> list[Problem]:
    """Return the first problems for which all sides have tokens: at least one, then up to `budget` tokens."""
    by_problem = [_grouped(side.records) for side in sides]
    shared = sorted(set.intersection(*(set(groups) for groups in by_problem))) if sides else []
    shown: list[Problem] = []
    for number in shared:
        columns = [_column(s.label, g[number]) for s, g in zip(sides, by_problem, strict=True)]
        budget -= sum(len(answer.tokens) for column in columns for answer in column.answers)
        if shown and budget < 0:
            break
        shown.append(Problem(number, _plain(by_problem[0][number][0].prompt), columns))
    return shown


def _grouped(records: Sequence[Record]) -> Mapping[int, list[Record]]:
    groups: dict[int, list[Record]] = {}
    for record in records:
        groups.setdefault(record.problem, []).append(record)
    return {n: rs for n, rs in groups.items() if any(r.token_texts is not None for r in rs)}


def _column(label: str, records: Sequence[Record]) -> Column:
    return Column(
        label,
        len(records),
        len({record.answer for record in records}),
        sum(record.correct for record in records),
        [_answer(record) for record in records if record.token_texts is not None],
    )


def _answer(record: Record) -> Answer:
    pairs = zip(record.token_texts or (), record.token_entropy or (), strict=True)
    tokens = [Token(_visible(text), nats, bisect_right(EDGES, nats)) for text, nats in pairs]
    left_out = max(0, len(tokens) - PER_ANSWER)
    correct = None if record.score is None else record.correct
    return Answer(tokens[:PER_ANSWER], left_out, correct, record.score, record.entropy or 0.0)


def _visible(text: str) -> str:
    """Make a line break visible, and show a dot for part of a character that a later token completes."""
    return text.replace("\n", "↵\n") if text else "·"


def _plain(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"{message['role']}: {message['content']}" for message in prompt)
