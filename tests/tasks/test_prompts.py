import pytest

from aent.errors import InputError
from aent.tasks.prompts import check_template, prompt_of, tagged


def test_the_text_around_a_question():
    assert prompt_of("1+1", None, chat=False, system=None) == "1+1"
    assert prompt_of("1+1", "Solve {question}!", chat=False, system=None) == "Solve 1+1!"
    user = {"role": "user", "content": "Solve 1+1!"}
    assert prompt_of("1+1", "Solve {question}!", chat=True, system=None) == [user]
    # A system prompt alone makes a conversation too: plain text has no place for it.
    system = {"role": "system", "content": "Be brief."}
    assert prompt_of("1+1", "Solve {question}!", chat=False, system="Be brief.") == [system, user]


def test_braces_in_a_question_stay():
    assert prompt_of("{x: {question}}", "Solve {question}", chat=False, system=None) == (
        "Solve {x: {question}}"
    )


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("<answer>1</answer> or <answer> 2 </answer>", " 2 "),
        ("<answer>1</answer> <answer>2", "1"),
        ("</answer>", None),
        ("2", None),
    ],
)
def test_the_last_closed_tag(completion, answer):
    assert tagged(completion) == answer


def test_a_template_has_a_place():
    check_template("chain", None)
    with pytest.raises(InputError, match=r"task 'chain': template='Solve' has no place for the question"):
        check_template("chain", "Solve")
