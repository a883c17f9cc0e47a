r"""The benchmarks of mathematics that papers report, each as the fields of `MathTask` that it needs.

docs/benchmarks.md lists the sources of names, splits and columns.
"""

from dataclasses import dataclass
from typing import ClassVar

from aent.tasks.math.boxed import split_boxed
from aent.tasks.math.grading import Kind
from aent.tasks.math.quantities import unit_before, unit_of
from aent.tasks.math.task import MathTask
from aent.tasks.task import Row


@dataclass(frozen=True, kw_only=True)
class Math500(MathTask):
    """500 problems of the MATH test set."""

    name: ClassVar[str] = "math-500"

    path: str | None = "HuggingFaceH4/MATH-500"
    train: str | None = None
    question_column: str = "problem"


@dataclass(frozen=True, kw_only=True)
class MathHard(MathTask):
    """The problems of MATH at its highest level. The gold answer is the last box of the solution."""

    name: ClassVar[str] = "math-hard"

    path: str | None = "lighteval/MATH-Hard"
    config: str | None = "default"
    question_column: str = "problem"
    answer_column: str = "solution"


@dataclass(frozen=True, kw_only=True)
class AIME24(MathTask):
    """Both AIME contests of 2024; whole numbers from 0 to 999."""

    name: ClassVar[str] = "aime24"

    kind: Kind | None = "number"

    path: str | None = "HuggingFaceH4/aime_2024"
    train: str | None = None
    test: str = "train"  # its only split
    question_column: str = "problem"


@dataclass(frozen=True, kw_only=True)
class AIME25(MathTask):
    """Both AIME contests of 2025; whole numbers from 0 to 999."""

    name: ClassVar[str] = "aime25"

    kind: Kind | None = "number"

    path: str | None = "math-ai/aime25"
    train: str | None = None
    question_column: str = "problem"


@dataclass(frozen=True, kw_only=True)
class AMC23(MathTask):
    """Both AMC 12 contests of 2023, without choices; numbers."""

    name: ClassVar[str] = "amc23"

    kind: Kind | None = "number"

    path: str | None = "math-ai/amc23"
    train: str | None = None


_REPAIRED = (  # slips in the solutions of Minerva
    ("np.arcsin(", r"\arcsin("),
    ("/$ kJ/mole", "$ kJ/mole"),
)


@dataclass(frozen=True, kw_only=True)
class Minerva(MathTask):
    r"""Undergraduate physics, chemistry, biology, economics and mathematics.

    Solutions box the number and write its unit after the box. The gold answer is both together, so an
    answer without a unit is right, and an answer with another unit must be converted.
    """

    name: ClassVar[str] = "minerva"

    path: str | None = "svc-huggingface/minerva-math"
    train: str | None = None
    question_column: str = "problem"
    answer_column: str = "solution"

    def _answer(self, row: Row, where: str) -> str:
        written = self._cell(row, "answer_column", where)
        for slip, repaired in _REPAIRED:
            written = written.replace(slip, repaired)
        answer, boxed = super()._answer({**row, self.answer_column: written}, where), split_boxed(written)
        unit = unit_before(boxed[1]) if boxed else None
        return answer if unit is None else rf"{answer} \text{{ {unit.text} }}"


@dataclass(frozen=True, kw_only=True)
class OlympiadBench(MathTask):
    """Olympiad problems in English without pictures.

    The answer column is a list; an answer must give all its entries, in any order. The columns
    ``context`` (text before the question) and ``unit`` are used if they are filled.
    """

    name: ClassVar[str] = "olympiadbench"

    path: str | None = "math-ai/olympiadbench"
    train: str | None = None
    answer_column: str = "final_answer"

    def _question(self, row: Row, where: str) -> str:
        question = super()._question(row, where)
        return f"{row['context']}\n\n{question}" if row.get("context") else question

    def _answer(self, row: Row, where: str) -> str:
        column = self.answer_column
        listed = row.get(column)
        if isinstance(listed, list) and all(isinstance(entry, str) for entry in listed):
            row = {**row, column: ", ".join(entry.strip().strip("$") for entry in listed)}
        answer = super()._answer(row, where)
        unit = unit_of(row.get("unit") or "")
        return answer if unit is None else rf"{answer} \text{{ {unit.text} }}"
