"""A task of your own: how many vowels has a word?

python examples/own_task.py                                       # checks itself
aent eval --model MODEL --task own_task.Vowels --samples 4        # from this folder
"""

from dataclasses import dataclass
from typing import ClassVar

from datasets import Dataset

from aent.tasks import Task

WORDS = ["entropy", "policy", "reward", "token", "banana", "gradient", "clamp", "band", "rollout", "seed"]


@dataclass(frozen=True, kw_only=True)
class Vowels(Task):
    """Count the vowels; `held_out` words are kept for the test split."""

    name: ClassVar[str] = "vowels"
    columns: ClassVar[tuple[str, ...]] = ("answer",)
    held_out: int = 3

    def dataset(self, split):
        words = WORDS[: self.held_out] if split == "test" else WORDS[self.held_out :]
        counts = [sum(word.count(vowel) for vowel in "aeiou") for word in words]
        return Dataset.from_dict({"prompt": [f"Vowels in {word}? " for word in words], "answer": counts})

    def score(self, completion, row):
        return float(self.answer(completion) == str(row["answer"]))

    def gold(self, row):
        return str(row["answer"])

    def wrong(self, row):
        return str(row["answer"] + 1)

    def answer(self, completion):
        return completion.strip() or None


if __name__ == "__main__":
    for split in ("train", "test"):
        print(f"{split}: {Vowels().validate(split)} problems, right answers score 1 and wrong ones 0")
