"""All data sets of reasoning-gym, rewarded by their own scorers."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from aent.errors import InputError, unknown
from aent.tasks.limits import Killable, LimitError, is_huge
from aent.tasks.prompts import CLOSE, OPEN, PLACE, check_template, prompt_of, tagged
from aent.tasks.task import Row, Split, Task

if TYPE_CHECKING:
    from datasets import Dataset
    from reasoning_gym.dataset import ProceduralDataset

Setting = int | float | bool | str
"""The types of a setting on the command line; a file or Python may also give a list."""

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
# reasoning-gym draws item i of a data set from the seed `seed + i`, so nearby seeds share items.
_ITEMS_PER_SPLIT = 100_000
_MAX_SEED = 20_000
_PATIENCE = 1_000  # draws without a demonstration before giving up

# These scorers evaluate the answer as Python code (with eval, or sympy's parser, which calls eval).
# An answer reaches them only if it consists of the characters and words of genuine answers.
_ARITHMETIC = re.compile(r"[-+*/() .0-9]*", re.ASCII)
_MATRIX = re.compile(r"[-\[\], \n0-9]*", re.ASCII)
_FORMULA = re.compile(
    r"(?:[-+*/()^, \n0-9]|\.(?=[0-9])|\b(?:[a-zA-Z]|a?(?:sin|cos|tan)h?|exp|log|sqrt)\b)*", re.ASCII
)
_EVALUATED: dict[str, re.Pattern[str]] = {
    "binary_matrix": _MATRIX,
    "countdown": _ARITHMETIC,
    "intermediate_integration": _FORMULA,
    "n_queens": re.compile(r"[_Q \n]*"),
    "polynomial_multiplication": _FORMULA,
    "puzzle24": _ARITHMETIC,
    "simple_integration": _FORMULA,
    "spiral_matrix": _MATRIX,
    "string_insertion": re.compile(r"[A-Z]*"),
}

# Scorers that pay answers which say nothing. benchmarks/checks/hacks.py looks for more of them.
_PAYS_ANYTHING = {"game_of_life_halting": "compares truth values of texts, so it pays every answer"}
_NOT_FINITE = re.compile(
    r"(?i:(?<![a-z])(?:nan|inf|infinity)(?:[ij]|(?![a-z])))"
)  # complex_arithmetic pays nan
_COIN_FLIP = re.compile(  # two digits of an exponent: with nine, the fraction would have a billion
    r"(?:[0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(?:e-[0-9]{1,2})?|[0-9]{1,20}/[1-9][0-9]{0,19}", re.ASCII
)
_COIN_FLIP_TOLERANCE = 1e-4  # that of its scorer, which also pays "0" as a prefix of every probability

_MAX_LENGTH = 100_000  # characters of an answer that a scorer may see

_INSTRUCTIONS = f"{PLACE}\n\nGive the final answer alone between {OPEN} and {CLOSE}."

_PROCESS = Killable("aent.tasks.gym_scorers")


@dataclass(frozen=True, kw_only=True)
class ReasoningGym(Task):
    """The reasoning-gym data set `source`, with `config` as its settings.

    The answer is the last ``<answer>...</answer>`` of the completion, or, where the prompt does not ask
    for these tags, the whole completion without surrounding white space. With `chat` or `system` the
    prompt is a conversation and asks for the tags, unless `template` gives another text around
    ``{question}``. The reward is the score of reasoning-gym's own scorer, in [0, 1]; many scorers give
    partial credit for a near miss. Nine of them evaluate the answer as code. These see only answers that
    consist of the characters and words of genuine solutions; all others score 0. So do ``nan`` and
    infinity unless they are right, prefixes of probabilities (``coin_flip`` would pay ``0``), and answers
    on which the scorer raises or takes longer than `aent.tasks.limits.SECONDS`.

    Train and test are drawn from seeds that never meet. No question occurs twice in a split, and no
    test question occurs in train. Items without a gold answer (reasoning-gym leaves it empty if
    there are many solutions), or whose gold answer is not a solution (``Integral(...)``), cannot be
    checked and are left out; `skipped` counts them.

    A demonstration is a question of the training side and its bare gold answer.

    Raises:
        InputError: if the data set is unknown, pays any answer, refuses the settings, or has fewer
            distinct questions with an answer than requested, if a size is out of range, or if `template`
            has no ``{question}``.
    """

    name: ClassVar[str] = "reasoning-gym"
    columns: ClassVar[tuple[str, ...]] = ("entry",)
    free_form: ClassVar[bool] = True

    source: str = "chain_sum"
    config: Mapping[str, Setting] = field(default_factory=dict)
    train_size: int = 1000
    test_size: int = 200
    seed: int = 0
    template: str | None = None
    chat: bool = False
    system: str | None = None

    def __post_init__(self) -> None:
        check_template(self.name, self.template)
        for size in ("train_size", "test_size"):
            _require(size, getattr(self, size), 1, _ITEMS_PER_SPLIT)
        _require("seed", self.seed, 0, _MAX_SEED)
        _create(self.source, self._settings)
        if self.source in _PAYS_ANYTHING:
            raise InputError(
                f"reasoning-gym data set {self.source!r}: its scorer {_PAYS_ANYTHING[self.source]}. "
                "Choose another data set."
            )

    def dataset(self, split: Split) -> "Dataset":
        """Return the distinct questions of a split, with reasoning-gym's entry as JSON."""
        from datasets import Dataset

        rows, _ = self._draw(split)
        return Dataset.from_list([{**row, "prompt": self._prompt(row["prompt"])} for row in rows])

    @property
    def alphabet(self) -> str:
        """All characters in the questions and gold answers of both splits, sorted."""
        return "".join(sorted({c for row in self._rows for c in row["prompt"] + _gold(row)}))

    @property
    def max_length(self) -> int:
        """The length of the longest gold answer of either split, in characters."""
        return max(len(_gold(row)) for row in self._rows)

    def demonstrations(self, n: int, seed: int = 0) -> "Dataset":
        """Return `n` training questions and their gold answers: columns ``prompt`` and ``completion``.

        They are drawn at random from the training side and may repeat. Questions of the test split
        are left out, as are items that `alphabet` and `max_length` do not cover.

        Raises:
            InputError: if `n` is not positive, or the training side has nothing to demonstrate.
        """
        from datasets import Dataset

        if n < 1:
            raise InputError(f"demonstrations(n={n}): n must be at least 1.")
        if self._template is not None or self.chat:
            raise InputError(
                "task 'reasoning-gym' has chat, system or template set, so its prompts are for a pretrained "
                "model; a policy from scratch is trained on bare questions. Unset them, or give a model."
            )
        rng = Random(f"{self.name} demonstrations {seed}")
        draws = self._demonstrated(rng)
        return Dataset.from_list([next(draws) for _ in range(n)])

    def skipped(self, split: Split) -> int:
        """Return the number of items without a gold answer that were left out while drawing a split."""
        return self._draw(split)[1]

    def score(self, completion: str, row: Row) -> float:
        """Return what reasoning-gym's scorer gives the answer; 0 for one that it cannot read in time."""
        answer = self.answer(completion) or ""
        if not self._can_be_scored(answer) or not _says_something(self.source, answer, _gold(row)):
            return 0.0
        try:
            reward = _PROCESS.call("score", self.source, self._settings, answer, row["entry"])
        except LimitError:
            return 0.0
        return 0.0 if reward is None else float(reward)

    def gold(self, row: Row) -> str:
        """Return the gold answer between tags."""
        return f"<answer>{_gold(row)}</answer>"

    def wrong(self, row: Row) -> str:
        """Return another number if the gold answer is a number, else ``none of these``."""
        gold = _gold(row)
        if not _NUMBER.fullmatch(gold):
            return "<answer>none of these</answer>"
        moved = re.sub("[0-9]", lambda digit: str((int(digit[0]) + 5) % 10), gold)
        return f"<answer>{moved}</answer>"

    def answer(self, completion: str) -> str | None:
        """Return the text of the last ``<answer>`` tag, or None if it is empty.

        Without one it is the whole completion, or None where the prompt asks for the tag.
        """
        answer = tagged(completion)
        if answer is None:
            answer = "" if self._template is not None and OPEN in self._template else completion
        return answer.strip() or None

    def validate(self, split: Split = "test", limit: int | None = None) -> int:
        """Check that every gold answer scores 1 and a wrong one less; return the number of rows checked.

        A wrong answer may score more than 0, because the scorers give partial credit.

        Raises:
            InputError: if a row fails. The message shows the first such row and its scores.
        """
        checked = 0
        for index, row in enumerate(self.dataset(split).to_list()[:limit]):
            gold, wrong = (self.score(text, row) for text in (self.gold(row), self.wrong(row)))
            if gold != 1 or wrong >= gold:
                raise InputError(
                    f"reasoning-gym data set {self.source!r}, {split} row {index}: the gold answer "
                    f"{_gold(row)!r} scores {gold} and the wrong answer "
                    f"{self.answer(self.wrong(row))!r} scores {wrong}; they must score 1 and less. "
                    "Its scorer is not to be trained on: choose another data set or settings."
                )
            checked += 1
        return checked

    @property
    def _template(self) -> str | None:
        """The text around the question, None if it is bare."""
        asks = self.template is None and (self.chat or self.system is not None)
        return _INSTRUCTIONS if asks else self.template

    def _prompt(self, question: str) -> str | list[dict[str, str]]:
        return prompt_of(question, self._template, chat=self.chat, system=self.system)

    @property
    def _settings(self) -> str:
        return json.dumps(dict(self.config), sort_keys=True)

    def _can_be_scored(self, answer: str) -> bool:
        """Whether there is an answer, and one that its scorer may see."""
        allowed = _EVALUATED.get(self.source)
        if len(answer) > _MAX_LENGTH:
            return False
        if not answer or allowed is None:
            return bool(answer)
        return allowed.fullmatch(answer) is not None and not is_huge(answer)

    @cached_property
    def _splits(self) -> dict[Split, list[dict[str, str]]]:
        return {"test": self._draw("test")[0], "train": self._draw("train")[0]}

    @property
    def _rows(self) -> Iterator[dict[str, str]]:
        """The rows of both splits."""
        return chain.from_iterable(self._splits.values())

    def _demonstrated(self, rng: Random) -> Iterator[dict[str, str]]:
        """Yield demonstrations endlessly."""
        held_out = {row["prompt"] for row in self._splits["test"]}
        known, longest = set(self.alphabet), self.max_length
        source = self._items("train", _ITEMS_PER_SPLIT)
        failures = 0
        while failures < _PATIENCE:
            entry = source[rng.randrange(_ITEMS_PER_SPLIT)]
            prompt, completion = entry["question"], entry["answer"] or ""
            failures += 1
            if prompt in held_out or not self._can_be_scored(completion) or len(completion) > longest:
                continue
            if known.issuperset(prompt + completion):
                failures = 0
                yield {"prompt": prompt, "completion": completion}
        raise InputError(
            f"reasoning-gym data set {self.source!r}: {_PATIENCE} draws in a row yielded nothing to "
            "demonstrate apart from the test questions. Lower test_size, or widen the config."
        )

    def _items(self, split: Split, count: int) -> "ProceduralDataset":
        """Return the first `count` items on a split's side; the sides of all seeds are disjoint."""
        start = (2 * self.seed + (split == "test")) * _ITEMS_PER_SPLIT
        return _create(self.source, self._settings, seed=start, size=count)

    def _draw(self, split: Split) -> tuple[list[dict[str, str]], int]:
        """Return the rows of a split, and the number of items without a gold answer."""
        taken = set() if split == "test" else {row["prompt"] for row in self._draw("test")[0]}
        size = self.test_size if split == "test" else self.train_size
        draws = min(2 * size + 1000, _ITEMS_PER_SPLIT)
        source = self._items(split, draws)
        rows, skipped = [], 0
        for index in range(draws):
            entry = source[index]
            if not self._can_be_scored(entry["answer"] or ""):
                skipped += 1
            elif entry["question"] not in taken:
                taken.add(entry["question"])
                rows.append({"prompt": entry["question"], "entry": _written(entry)})
                if len(rows) == size:
                    return rows, skipped
        if not rows and skipped:
            raise InputError(
                f"reasoning-gym data set {self.source!r} has no gold answers, so its reward cannot "
                "be checked; choose another data set."
            )
        raise InputError(
            f"{draws} items of reasoning-gym data set {self.source!r} gave {len(rows)} distinct "
            f"{split} questions with a gold answer ({skipped} items had none), and "
            f"{split}_size={size} asks for more. Lower {split}_size, or widen the config."
        )


def _says_something(source: str, answer: str, gold: str) -> bool:
    """Whether an answer is none of those that a scorer pays although they say nothing."""
    if _NOT_FINITE.search(answer) and not _NOT_FINITE.search(gold):
        return False
    if source != "coin_flip":
        return True
    bare = answer.replace(",", "").strip()
    if not _COIN_FLIP.fullmatch(bare):
        return False
    return abs(Fraction(bare) - Fraction(gold)) <= _COIN_FLIP_TOLERANCE


def _require(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(
            f"task 'reasoning-gym': {name}={value} is out of range; it must be from {low} to {high}."
        )


@lru_cache(maxsize=16)
def _create(source: str, settings: str, seed: int = 0, size: int = 1) -> "ProceduralDataset":
    from reasoning_gym.factory import DATASETS, create_dataset

    if source not in DATASETS:
        raise unknown("reasoning-gym data set", source, DATASETS)
    config = json.loads(settings)
    own = {"size", "seed"} & config.keys()
    if own:
        raise InputError(
            f"config of reasoning-gym data set {source!r} sets {', '.join(sorted(own))}; "
            "set train_size, test_size and seed of the task instead."
        )
    try:
        return create_dataset(source, size=size, seed=seed, **config)
    except (AssertionError, TypeError, ValueError) as error:  # how a config rejects a value
        known = ", ".join(sorted(DATASETS[source][1].__dataclass_fields__.keys() - {"size", "seed"}))
        raise InputError(
            f"reasoning-gym data set {source!r} refuses config {config}: {error}. "
            f"Its settings are: {known or 'none'}."
        ) from error


def _gold(row: Row) -> str:
    return json.loads(row["entry"])["answer"]


def _written(entry: Mapping[str, Any]) -> str:
    """Return an entry as JSON, with values that JSON lacks (such as fractions in metadata) as text."""
    return json.dumps(_freeze(entry), default=str)


def _freeze(value: Any) -> Any:
    """Mark tuples: JSON would turn them into lists, but some scorers compare them with tuples."""
    if isinstance(value, dict):
        return {key: _freeze(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return {"tuple": [_freeze(item) for item in value]}
    return [_freeze(item) for item in value] if isinstance(value, list) else value
