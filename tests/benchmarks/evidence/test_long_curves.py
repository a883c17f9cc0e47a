"""benchmarks/evidence/long_curves.py: figures of learning curves, worked out by hand."""

import pytest


@pytest.fixture
def curves(script):
    return script("long_curves")


def test_best_last_area_and_steps(curves, long_row):
    """Two problems of 16 answers: 8 of 32 right, then 16, 24, 20.

    The mean height counts the first evaluation for the steps before it: at steps 200, 400, 600 it is
    (200 * .5 + 200 * (.5 + .75) / 2 + 200 * (.75 + .625) / 2) / 600 = .6041667.
    """
    heights = ([4, 4], [8, 8], [12, 12], [10, 10])
    rows = [long_row("none", 0, 200 * i, correct) for i, correct in enumerate(heights)]
    curve = curves.Curve("none", 0, rows)
    assert curve.means(curves.ONCE) == [0.25, 0.5, 0.75, 0.625]
    assert curve.steps[curve.best(curves.ONCE)] == 400
    assert curve.area(curves.ONCE).values == pytest.approx([0.6041667] * 2)
    assert curve.reaches(curves.ONCE, 0.6) == 400
    assert curve.reaches(curves.ONCE, 0.8) is None


def test_the_start_is_not_a_best_value(curves, long_row):
    """Entropy is lost first: pass@16 of the untrained policy would be every run's best."""
    rows = [long_row("none", 0, step, correct) for step, correct in ((0, [1, 1]), (200, [16, 0]))]
    curve = curves.Curve("none", 0, rows)
    assert curve.means(curves.OFTEN) == [1.0, 0.5]
    assert curve.steps[curve.best(curves.OFTEN)] == 200


def test_the_tables_pair_seeds_and_leave_out_unfinished_runs(curves, long_row):
    start = long_row("start", None, 0, [4, 4, 4, 4])
    runs = {
        ("none", 0): ([8] * 4, [8] * 4),
        ("none", 1): ([12] * 4, [12] * 4),
        ("aent", 0): ([4] * 4, [12] * 4),
        ("sac", 0): ([8] * 4,),
    }
    rows = [start] + [
        long_row(label, seed, 200 * (i + 1), correct)
        for (label, seed), evaluations in runs.items()
        for i, correct in enumerate(evaluations)
    ]
    lines = curves.tables(rows).splitlines()
    assert (
        "| none | 2 | 0.625 | 200, 200 | 0.625 | 0.625 | 200 against 200, 200 against 200 | 0 of 2 |" in lines
    )
    aent = next(line for line in lines if line.startswith("| aent | 1 | 0.750"))
    # .75 against .5 of the same seed; mean heights (200 * .25 + 200 * .5) / 400 = .375 against .5;
    # plain GRPO's best of seed 0 is reached at 400; its best seed has .75, which is not exceeded
    gained = "0.750 (+0.250 [+0.250, +0.250])"
    height = "0.375 (-0.125 [-0.125, -0.125])"
    assert aent == f"| aent | 1 | {gained} | 400 | {gained} | {height} | 400 against 200 | 0 of 1 |"
    assert lines[-1] == "Not complete: sac, seed 0: up to step 200."


def test_all_tasks_are_joined_where_a_run_has_them_all(curves, long_row):
    """Plain GRPO has .5 and .25 of two tasks, aent-auto .75 and .5: .375 and .625, best and last alike.

    sac lacks the second task, lists is for development, and the third task has plain GRPO alone.
    """
    ends = {
        "eval-a": {"none": 8, "aent-auto": 12, "sac": 16},
        "long-b": {"none": 4, "aent-auto": 8},
        "eval-c": {"none": 16},
        "dev-lists": {"none": 0, "aent-auto": 16},
    }
    rows = []
    for recipe, heights in ends.items():
        own = [long_row("start", None, 0, [0, 0])]
        own += [long_row(label, 0, 200, [count, count], last=200) for label, count in heights.items()]
        rows += [{**row, "recipe": recipe} for row in own]
    head, text = curves.tables(rows).split("### All tasks\n\n")
    assert text.startswith("Of eval-a, long-b:")
    assert [line.split(" | ")[:4] for line in text.splitlines()[4:]] == [
        ["| none", "0", "0.375", "0.375"],
        ["| aent-auto", "0", "0.625 (+0.250 [+0.250, +0.250])", "0.625 (+0.250 [+0.250, +0.250])"],
    ]
    assert "sac" in head


def test_why_counts_problems_that_were_solved_and_no_longer_are(curves, long_row):
    """Of four unseen problems, three are ever solved; one of these has no right answer at the end."""
    start = long_row("start", None, 0, [2, 2, 0, 0])
    rows = [start, long_row("none", 0, 200, [2, 0, 3, 0]), long_row("none", 0, 400, [2, 0, 4, 0])]
    last = next(line for line in curves.tables(rows).splitlines() if line.startswith("| none | to 400"))
    assert last == "| none | to 400 | 0.500 | 0.100 | 0.600 | 0.200 | 0.400 | 3 | 1 |"


def test_a_task_without_plain_grpo_says_so(curves, long_row):
    rows = [long_row("start", None, 0, [1, 1]), long_row("aent", 0, 200, [1, 1])]
    assert "Plain GRPO, which all is compared with" in curves.tables(rows)


def test_another_form_of_plain_grpo_takes_its_place(curves, long_row):
    rows = [
        long_row("start", None, 0, [1, 1]),
        long_row("none", 0, 200, [4, 4], last=200),
        long_row("none.linear", 0, 200, [8, 8], last=200),
        long_row("aent", 0, 200, [12, 12], last=200),
    ]
    found = curves.tables(curves.against(rows, "none.linear"))
    assert "| none | 1 | 0.500 |" in found
    assert "| aent | 1 | 0.750 (+0.250 [+0.250, +0.250]) |" in found


def test_a_choice_is_by_the_mean_over_evaluations(curves, long_row):
    """Of 16 answers 8 and 12 are right with one subset, 4 and 8 with the other: means of .625 and .375."""
    sides = {"new": ([8, 8], [12, 12]), "old": ([4, 4], [8, 8])}
    rows = [long_row("start", None, 0, [16, 16])] + [
        long_row(label, 0, 200 * (i + 1), correct)
        for label, evaluations in sides.items()
        for i, correct in enumerate(evaluations)
    ]
    assert "| pass@1 | 0.625 | 0.375 | +0.250 [+0.250, +0.250] |" in curves.choices(rows, "new")
    assert "| pass@1 | 0.750 | 0.500 | +0.250 [+0.250, +0.250] |" in curves.choices(rows, "new", last=1)


def test_a_choice_is_on_the_seeds_that_both_have(curves, long_row):
    rows = [
        long_row("start", None, 0, [8, 8]),
        long_row("new", 0, 200, [4, 4], last=200),
        long_row("new", 1, 200, [12, 12], last=200),
        long_row("old", 1, 200, [8, 8], last=200),
    ]
    assert "| pass@1 | 0.750 | 0.500 | +0.250 [+0.250, +0.250] |" in curves.choices(rows, "new")


def test_a_choice_is_on_the_tasks_that_have_the_label(curves, long_row):
    rows = [
        {**long_row(label, 0, 200, [8, 8], last=200), "recipe": recipe}
        for recipe, labels in {"a": ("new", "old"), "b": ("old",)}.items()
        for label in labels
    ] + [{**long_row("start", None, 0, [8, 8]), "recipe": recipe} for recipe in "ab"]
    assert "|  | new | old | difference |" in curves.choices(rows, "new")


def test_a_choice_is_among_the_methods_that_every_task_has(curves, long_row):
    rows = [
        {**long_row(label, 0, 200, [8, 8], last=200), "recipe": recipe}
        for recipe, labels in {"a": ("new", "old", "other"), "b": ("new", "old")}.items()
        for label in labels
    ] + [{**long_row("start", None, 0, [8, 8]), "recipe": recipe} for recipe in "ab"]
    found = curves.choices(rows, "new")
    assert found.count("|  | new | old | difference |") == 1
    assert "other" not in found


def test_learning_rates_are_averaged_problem_by_problem(curves, long_row):
    """Two problems of 16: plain GRPO has .25, .5 and 0 at its rates, aent-auto .5, .75 and .25."""
    ends = {
        "none": [8, 8], "none.third": [4, 4], "none.triple": [0, 0],
        "aent-auto": [12, 12], "aent-auto.third": [8, 8], "aent-auto.triple": [4, 4], "sac": [16, 16],
    }  # fmt: skip
    rows = [long_row("start", None, 0, [4, 4])]
    rows += [long_row(label, 0, step, correct) for label, correct in ends.items() for step in (200, 400)]
    lines = curves.tables(rows).splitlines()
    assert lines[-2].startswith("| none | 0 | 0.250 | 0.000 |")
    assert lines[-1].startswith("| aent-auto | 0 | 0.500 (+0.250 [+0.250, +0.250]) | 0.250 |")
