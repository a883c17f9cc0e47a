import pytest

from aent.tasks.math.boxed import final_answer, locate


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{72}.", "72"),
        (r"\boxed{1} or \boxed{2}", "2"),  # the last one
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),  # braces inside
        (r"\boxed{ 3 }", "3"),
        ("work\n#### 72", "72"),
        ("#### 1\n#### 2\nthanks", "2"),
        (r"\boxed{5} #### 6", "5"),  # a box comes first
        (r"\boxed{5", None),  # cut off
        ("the answer is 72", None),
        ("", None),
    ],
)
def test_final_answer(text, answer):
    assert final_answer(text) == answer


def test_only_the_last_boxes_of_a_nest_are_read() -> None:
    """Reading each of 100,000 nested boxes to its end took more than a minute."""
    nest = r"\boxed{" * 100_000
    assert locate(nest + "1" + "}" * 100_000).answer == "1"
    assert locate(nest).answer is None


def test_braces_around_an_answer_are_taken_off_as_deep_as_answers_go():
    """Taking 20,000 pairs of braces off, one walk over the text each, took two minutes."""
    answer = locate("#### " + "{" * 20_000 + "7" + "}" * 20_000).answer
    assert answer == "{" * 19_936 + "7" + "}" * 19_936


@pytest.mark.parametrize(
    ("line", "answer"), [("7. ", "7"), (r"7\, ", r"7\,"), ("." * 200_000 + "x;", "." * 200_000 + "x")]
)
def test_full_stops_at_the_end_are_taken_off(line, answer):
    """Looking for the end from each of 200,000 full stops took minutes."""
    assert locate("#### " + line).answer == answer


def test_a_long_text_between_two_boxes_is_read_at_once():
    between = " and  " * 60 + "then"  # once 3^60 ways to split it
    assert locate(rf"\boxed{{1}}{between} \boxed{{2}}").answer == "2"


@pytest.mark.parametrize(
    "text",
    [
        "So it gives $5=1+1$. However, we set up a contradiction. This means that the equation $5x-1=1+",
        "Add both of the numbers to get the sum of all of them, and so the total is 1 + 1 =",
        "The line through both of these points has the equation and the slope y = 5x - 1",
    ],
)
def test_a_part_of_an_expression_is_no_answer(text):
    """A policy that was cut off in the middle was paid for the numbers it stopped at."""
    assert locate(text).answer is None
