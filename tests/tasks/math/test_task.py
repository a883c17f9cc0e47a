import json
import os
from pathlib import Path

import pytest

from aent.errors import InputError
from aent.tasks import GSM8K, MathTask, load_task

DATA = Path(os.environ.get("AENT_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
ROWS = [
    {"question": "6 times 12?", "answer": "6 * 12 = <<6*12=72>>72\n#### 72"},
    {"question": "A car costs?", "answer": "It is a lot.\n#### 1,250"},
    {"question": "Half?", "answer": r"We get \boxed{\frac{1}{2}} in the end."},
    {"question": "Number?", "answer": 27.0},
]


@pytest.fixture
def write(tmp_path):
    def _write(rows, name="test.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return _write


def test_gold_answers_are_taken_out_of_the_answer_column(write):
    task = MathTask(test=write(ROWS))
    assert task.dataset("test")["answer"][:] == ["72", "1,250", r"\frac{1}{2}", "27.0"]
    assert task.validate() == 4


def test_the_prompt_asks_for_a_box(write):
    prompt = MathTask(test=write(ROWS)).dataset("test")["prompt"][0]
    assert prompt.startswith("6 times 12?\n")
    assert r"\boxed{}" in prompt


def test_a_conversation(write):
    path = write(ROWS)
    user = {"role": "user", "content": "Q: 6 times 12?"}
    for fields, due in (
        ({"chat": True}, [user]),
        ({"system": "Be brief."}, [{"role": "system", "content": "Be brief."}, user]),
    ):
        task = MathTask(test=path, template="Q: {question}", **fields)
        assert task.dataset("test")["prompt"][0] == due
        assert task.validate() == 4


def test_reward(write):
    task = MathTask(test=write(ROWS))
    said = [{"role": "assistant", "content": r"\boxed{1250}"}]
    completions = [r"\boxed{72}", said, "the answer is 1/2", r"\boxed{28}"]
    columns = task.dataset("test").to_dict()
    assert task.reward(completions, **columns) == [1.0, 1.0, 1.0, 0.0]


def test_other_columns(write):
    path = write([{"problem": "1+1?", "solution": "2"}])
    task = MathTask(test=path, question_column="problem", answer_column="solution")
    assert task.validate() == 1


def test_path_is_the_folder_of_local_files(write, tmp_path):
    write(ROWS[:1], "a.jsonl")
    write(ROWS[1:], "b.jsonl")
    task = GSM8K(path=str(tmp_path), train="a.jsonl", test="b.jsonl")
    assert (len(task.dataset("train")), len(task.dataset("test"))) == (1, 3)
    assert task.validate("train") == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"q": "1+1?", "answer": "2"}],
            r"line 1: there is no column 'question'; the columns are q, answer. "
            "Set question_column",
        ),
        ([*ROWS, {"question": "?", "gold": "2"}], r"line 5: there is no column 'answer'"),
        ([ROWS[0], {"question": "?", "answer": None}], r"line 2: the answer is None"),
        ([{"question": None, "answer": "2"}], r"line 1: the question is None"),
        ([{"question": "?", "answer": ["2"]}], r"line 1: the answer is \['2'\]"),
        ([{"question": "?", "answer": "work\n#### "}], r"line 1: the gold answer .* is empty"),
        ([{"question": "?", "answer": ""}], r"line 1: the gold answer '' is empty"),
    ],
)
def test_bad_rows_are_named(write, rows, message):
    with pytest.raises(InputError, match=message):
        MathTask(test=write(rows)).dataset("test")


def test_validate_refuses_a_gold_answer_that_cannot_be_read(write):
    task = MathTask(test=write([ROWS[0], {"question": "?", "answer": "???"}]))
    with pytest.raises(InputError, match=r"line 2: math-verify cannot read the gold answer '\?"):
        task.validate()
    assert task.validate(limit=1) == 1


def test_validate_refuses_a_test_question_in_train(write):
    task = MathTask(train=write(ROWS[:2], "train.jsonl"), test=write(ROWS[1:]))
    with pytest.raises(InputError, match=r"train.jsonl, line 2 has the same question as .*line 1"):
        task.validate("train")


def test_evaluation_only(write):
    task = MathTask(train=None, test=write(ROWS))
    assert task.validate() == 4
    with pytest.raises(InputError, match="no train split"):
        task.dataset("train")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"template": "Solve this."}, r"no place for the question; write \{question\}"),
        ({"train": "a.jsonl", "test": "a.jsonl"}, "train and test are both 'a.jsonl'"),
    ],
)
def test_fields(fields, message):
    with pytest.raises(InputError, match=message):
        MathTask(**fields)


def test_missing_sources(tmp_path):
    with pytest.raises(InputError, match="no such file or folder: test"):
        MathTask().dataset("test")
    with pytest.raises(InputError, match="no such folder: path="):
        MathTask(path=str(tmp_path / "gone")).dataset("test")


def test_a_hub_failure_says_what_was_asked_for(monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"cannot load split 'test' of the data set no/such \(x\)"):
        MathTask(path="no/such", config="x").dataset("test")


@pytest.mark.skipif(
    not (DATA / "gsm8k_train.jsonl").exists(), reason=f"no GSM8K files in {DATA} (set AENT_DATA)"
)
@pytest.mark.parametrize(("split", "rows"), [("train", 7473), ("test", 1319)])
def test_every_row_of_gsm8k(split, rows):
    task = load_task("gsm8k", path=str(DATA), train="gsm8k_train.jsonl", test="gsm8k_test.jsonl")
    assert task.validate(split) == rows
