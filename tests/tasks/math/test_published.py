import json
import os
from pathlib import Path

import pytest

from aent.errors import InputError
from aent.tasks import TASKS, load_task

DATA = Path(os.environ.get("AENT_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
FILES = {"aime24": ("aime24.jsonl", 30), "amc23": ("amc23.jsonl", 40), "minerva": ("minerva_math.jsonl", 272)}

# Rows with the columns that each data set has on the hub, made up.
ROWS = {
    "math-500": {"problem": "1+1?", "solution": "no", "answer": r"\frac{4}{2}", "level": 1},
    "math-hard": {"problem": "1+1?", "solution": r"It is $\boxed{\frac{4}{2}}$.", "level": "Level 5"},
    "aime24": {"id": 60, "problem": "1+1?", "solution": "two", "answer": "2", "year": "2024"},
    "aime25": {"id": "0", "problem": "1+1?", "answer": "2"},
    "amc23": {"id": 0, "question": "1+1?", "answer": "2.0", "url": "somewhere"},
    "minerva": {"problem": "1+1?", "solution": r"\[ 1+1=\boxed{2} \mathrm{~cm} \]", "idx": 0},
    "olympiadbench": {"question": "1+1?", "final_answer": ["$2$"], "unit": None, "context": None},
}


@pytest.fixture
def task(tmp_path):
    def make(name, *rows, **fields):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return load_task(name, path=str(tmp_path), test="rows.jsonl", **fields)

    return make


@pytest.mark.parametrize("name", ROWS)
def test_a_row_as_on_the_hub_becomes_a_problem(name, task):
    made = task(name, ROWS[name])
    row = made.dataset("test")[0]
    assert row["prompt"].startswith("1+1?\n")
    assert r"\boxed{}" in row["prompt"]
    assert made.reward([r"\boxed{2}", r"\boxed{3}"], answer=[row["answer"]] * 2) == [1, 0]
    assert made.validate() == 1


@pytest.mark.parametrize("name", [n for n in ROWS if n != "math-hard"])
def test_what_has_no_train_split_is_only_evaluated(name):
    with pytest.raises(InputError, match="no train split"):
        load_task(name).dataset("train")


@pytest.mark.parametrize("name", ROWS)
def test_names_lead_to_their_own_task(name):
    assert TASKS[name].name == name


def test_other_columns_and_a_chat(task):
    made = task("minerva", {"q": "1+1?", "a": "2"}, question_column="q", answer_column="a", chat=True)
    assert made.dataset("test")[0]["answer"] == "2"
    assert made.dataset("test")[0]["prompt"][0]["role"] == "user"


def test_the_unit_behind_the_box_belongs_to_the_answer(task):
    made = task("minerva", {"problem": "?", "solution": r"so $L=\boxed{4.5e33} \mathrm{ergs} / \mathrm{s}$."})
    gold = made.dataset("test")["answer"][:]
    answers = [
        "4.5e33",
        r"4.5 \times 10^{33} \text{ erg/s}",
        r"4.5 \times 10^{26} \text{ W}",
        r"4.5e33 \text{ J}",
    ]
    assert made.reward([rf"\boxed{{{a}}}" for a in answers], answer=gold * 4) == [1, 1, 1, 0]


def test_slips_of_minerva_are_repaired(task):
    rows = [
        {"problem": "?", "solution": r"so $\boxed{np.arcsin(10/13)}$."},
        {"problem": "??", "solution": r"so $\boxed{927.5} /$ kJ/mole"},
    ]
    made = task("minerva", *rows)
    gold = made.dataset("test")["answer"][:]
    answers = [r"\boxed{\arcsin\frac{10}{13}}", r"\boxed{927.5 \text{ kJ/mol}}"]
    assert made.reward(answers, answer=gold) == [1, 1]


@pytest.mark.parametrize(
    ("listed", "right", "wrong"),
    [
        (["$2$", "$3$"], "3, 2", "2"),
        (["$(1,2)$"], "(1, 2)", "(2, 1)"),
        ([r"$[0, \frac{1}{2})$"], "[0, 0.5)", "(0, 0.5)"),
        (["$1, -1$"], r"\pm 1", "1"),
        ([r"$\frac{n(n+1)}{2}$"], r"\frac{n^2+n}{2}", r"\frac{n^2}{2}"),
    ],
)
def test_several_answers_intervals_and_expressions(listed, right, wrong, task):
    made = task("olympiadbench", {"question": "?", "final_answer": listed})
    gold = made.dataset("test")["answer"][:]
    assert made.reward([rf"\boxed{{{right}}}", rf"\boxed{{{wrong}}}"], answer=gold * 2) == [1, 0]


def test_context_and_unit_of_a_row_of_olympiadbench(task):
    row = {"question": "How long?", "final_answer": ["$2$"], "unit": "cm", "context": "A line."}
    problem = task("olympiadbench", row).dataset("test")[0]
    assert problem["prompt"].startswith("A line.\n\nHow long?\n")
    assert problem["answer"] == r"2 \text{ cm }"


def test_an_answer_that_is_no_list_of_texts_is_named(task):
    with pytest.raises(InputError, match=r"line 1: the final_answer is \[2\]"):
        task("olympiadbench", {"question": "?", "final_answer": [2]}).dataset("test")


@pytest.mark.parametrize("name", FILES)
def test_every_row_of_a_real_file(name):
    file, problems = FILES[name]
    if not (DATA / file).exists():
        pytest.skip(f"no {file} in {DATA} (set AENT_DATA)")
    assert load_task(name, path=str(DATA), test=file).validate() == problems
