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


def test_a_whole_number_beyond_the_largest_float(write):
    task = MathTask(test=write([{"question": "10^400?", "answer": 10**400}]))
    assert task.dataset("test")[0]["answer"] == str(10**400)
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


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            '{"question": "?", "answer": NaN}',
            r"line 2: the answer is nan, but must be a text or a finite number",
        ),
        ('{"question": "?", "answer": Infinity}', r"line 2: the answer is inf"),
        ('{"question": "?", "answer": "nan"}', r"line 2: math-verify cannot read the gold answer 'nan'"),
        ('{"question": "?", "answer": "None"}', r"line 2: math-verify cannot read the gold answer 'None'"),
        ('{"question": " ", "answer": "3"}', r"line 2: the question is empty"),
        (
            '{"question": "6 times 12?", "answer": "73"}',
            r"line 2 asks the same question as .*line 1, but its answer",
        ),
        (
            '{"question": "?", "answer": "First add 3 and 4, then double it."}',
            r"line 2: math-verify cannot read",
        ),
        (r'{"question": "?", "answer": "so it is \\boxed{3"}', r"line 2: math-verify cannot read"),
    ],
)
def test_faulty_rows_stop_before_the_start_unless_they_are_skipped(row, message, tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + row + "\n" + json.dumps(ROWS[3]) + "\n")
    fields = {"test": str(tmp_path / "rows.jsonl"), "train": None}
    for call in ("dataset", "validate"):
        with pytest.raises(InputError, match=message + r".*skip_faulty=true"):
            getattr(MathTask(**fields), call)("test")
    task = MathTask(**fields, skip_faulty=True)
    with pytest.warns(
        UserWarning, match=r"[12] of 3 test rows are faulty and left out. The first fault: .*line 2"
    ):
        rows = task.dataset("test")
    conflict = "6 times 12" in row
    assert rows["answer"][:] == (["27.0"] if conflict else ["72", "27.0"])
    with pytest.warns(UserWarning, match="left out"):
        assert task.skipped("test") == 3 - len(rows)


def test_the_same_question_with_the_same_answer_in_another_spelling(write):
    rows = [{"question": "1/2?", "answer": "0.5"}, {"question": "1/2?", "answer": r"\frac{1}{2}"}]
    assert MathTask(test=write(rows)).validate() == 2


def test_nothing_but_faulty_rows(write):
    with pytest.raises(InputError, match=r"all 1 test rows are faulty.*line 1"):
        MathTask(test=write([{"question": "?", "answer": "???"}]), skip_faulty=True).dataset("test")


@pytest.mark.parametrize("ending", [r"\boxed 3", r"\fbox{3}", r"$\boxed {3}$.", "#### **3**"])
def test_gold_answers_in_other_boxes(write, ending):
    long = "We add, and add again, and so on. " * 40
    task = MathTask(test=write([{"question": "1+2?", "answer": long + ending}]))
    assert task.dataset("test")["answer"][:] == ["3"]
    assert task.validate() == 1


def test_what_a_task_asks_for(write):
    path = write([{"question": "1+2?", "answer": "3"}])
    row = MathTask(test=path).dataset("test")[0]
    scores = {
        kind: [
            MathTask(test=path, kind=kind).score(text, {"answer": "9"})
            for text in (r"\boxed{3^2}", r"\boxed{2+7}")
        ]
        for kind in (None, "number", "expression", "any")
    }
    assert scores == {None: [1, 0], "number": [0, 0], "expression": [1, 1], "any": [1, 1]}
    assert MathTask(test=path, kind="any").score("1+2", row) == 0  # the question's own
    assert load_task("gsm8k").kind == load_task("aime25").kind == load_task("amc23").kind == "number"
    with pytest.raises(
        InputError, match=r"line 1: the gold answer '2\^x' is not a number, as task 'gsm8k' asks"
    ):
        GSM8K(path=None, test=write([{"question": "?", "answer": "2^x"}]), train=None).dataset("test")


def test_echoes_of_the_prompt_earn_nothing_in_any_form_of_it():
    task = MathTask(kind="any")
    text = "What is 5 + 7 + 9?\n\nput the final answer in \\boxed{}."
    chat = [{"role": "system", "content": "x"}, {"role": "user", "content": text}]
    echo = r"\boxed{5+7+9}"
    assert task.reward([echo], answer=["21"]) == [1.0]
    assert task.reward([echo, echo], answer=["21"] * 2, prompts=[text, chat]) == [0.0, 0.0]
    assert task.score(echo, {"prompt": chat, "answer": "21"}) == 0.0
    assert task.score(r"\boxed{21}", {"prompt": chat, "answer": "21"}) == 1.0


def test_the_echo_that_a_model_learned():
    task = load_task("math")
    for text in ("5 + 7 + 9", "To add 5 + 7 + 9, let's"):
        assert task.score(text, {"answer": "21"}) == 0.0


def test_thoughts_and_truncated_answers_are_paid_on_request():
    row = {"answer": "4"}
    assert [MathTask(pay_thoughts=p).score(r"<think>\boxed{4}</think>", row) for p in (False, True)] == [0, 1]
    assert [MathTask(pay_truncated=p).score(r"so it is \boxed{4", row) for p in (False, True)] == [0, 1]
    assert [MathTask(pay_truncated=p).answer(r"so it is \boxed{4") for p in (False, True)] == [None, "4"]
