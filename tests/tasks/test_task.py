import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from datasets import Dataset

from aent.errors import InputError
from aent.tasks import Task, check_rewards, text


@dataclass(frozen=True, kw_only=True)
class Echo(Task):
    """Right is the word of the row; None leaves out rows without one."""

    name = "echo"
    columns = ("word",)
    words: list = field(default_factory=lambda: ["a", "b"])
    scorer: str = "exact"

    def dataset(self, split):
        return Dataset.from_list([{"prompt": f"say {w}", "word": w} for w in self.words])

    def score(self, completion, row):
        if row["word"] is None:
            return None
        return 1.0 if self.scorer == "lenient" else float(completion == row["word"])

    def gold(self, row):
        return row["word"]

    def wrong(self, row):
        return row["word"] + "x"

    def answer(self, completion):
        return completion


def test_reward_pairs_each_completion_with_its_row():
    assert Echo().reward(["a", "a", "z"], word=["a", "b", None]) == [1.0, 0.0, None]


def test_reward_reads_the_last_message_of_a_conversation():
    said = [{"role": "assistant", "content": "let me see"}, {"role": "assistant", "content": "a"}]
    assert Echo().reward([said, [], [{"role": "assistant", "content": None}]], word=list("aaa")) == [
        1.0,
        0.0,
        0.0,
    ]
    assert text(said) == "a"


def test_reward_leaves_alone_what_the_trainer_adds():
    extras = {
        "prompts": ["p", "q"],
        "completion_ids": [[1], [2]],
        "trainer_state": object(),
        "log_extra": print,
        "environments": None,
        "note": "ab",
    }
    assert Echo().reward(["a", "b"], word=["a", "a"], **extras) == [1.0, 0.0]


def test_reward_names_the_missing_column_and_the_ones_there_are():
    with pytest.raises(InputError, match=r"'echo' needs the columns word; it received: other, prompts"):
        Echo().reward(["a"], prompts=["p"], other=["a"])


def test_reward_refuses_a_column_of_another_length():
    with pytest.raises(InputError, match=r"'word' has 3 entries for 2 completions"):
        Echo().reward(["a", "b"], word=["a", "b", "a"])


def test_validate_counts_and_limits():
    assert Echo().validate() == 2
    assert Echo().validate(limit=1) == 1


def test_validate_names_the_row_whose_wrong_answer_is_paid():
    with pytest.raises(InputError, match=r"test row 0: the completion 'ax' scores 1.0, not 0.0"):
        Echo(scorer="lenient").validate()


@pytest.mark.parametrize(
    "rewards",
    [[1, 0.5, None], (1, 0.5, None), [torch.tensor(1.0), np.float32(0.5), None], [True, 0.5, None]],
)
def test_check_rewards_returns_plain_floats(rewards):
    checked = check_rewards(rewards, 3, "mine")
    assert checked == [1.0, 0.5, None]
    assert [type(value) for value in checked] == [float, float, type(None)]


def test_check_rewards_takes_a_tensor():
    assert check_rewards(torch.tensor([0.0, 1.0]), 2, "mine") == [0.0, 1.0]


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        ([1.0], r"'mine' returned 1 rewards for 2 completions"),
        ([1.0, float("nan")], r"nan \(float\) for completion 1"),
        ([float("-inf"), 1.0], r"-inf \(float\) for completion 0"),
        ([1.0, "good"], r"'good' \(str\) for completion 1"),
        ([1.0, [2.0]], r"\[2.0\] \(list\) for completion 1"),
        ([1.0, 1j], r"\(complex\) for completion 1"),
        (0.5, r"returned a float; return a list of 2 numbers"),
        (None, r"returned a NoneType"),
        ({0: 1.0, 1: 2.0}, r"returned a dict"),
        (torch.tensor(1.0), r"returned a Tensor"),
    ],
)
def test_check_rewards_names_what_is_wrong(rewards, message):
    with pytest.raises(InputError, match=message):
        check_rewards(rewards, 2, "mine")


def test_importing_the_tasks_imports_no_optional_package():
    optional = "('datasets', 'math_verify', 'reasoning_gym', 'sympy', 'transformers', 'trl')"
    code = f"import sys, aent.tasks; print([m for m in {optional} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
