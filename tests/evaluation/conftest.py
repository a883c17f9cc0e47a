from collections.abc import Callable
from types import SimpleNamespace

import pytest

from aent.evaluation import Record


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    def make(problem: int, sample: int, score: float | None, answer: str | None = "a", **fields):
        usual = SimpleNamespace(prompt=f"p{problem}", completion="c", entropy=1.0, length=1)
        vars(usual).update(fields)
        return Record(problem=problem, sample=sample, score=score, answer=answer, **vars(usual))

    return make
