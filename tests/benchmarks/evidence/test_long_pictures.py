"""benchmarks/evidence/long_pictures.py: which runs a picture shows, and how high its lines are."""

import pytest


@pytest.fixture
def pictures(script):
    return script("long_pictures")


@pytest.fixture
def rows(long_row):
    """On chain, plain GRPO solves 4 and 12 of 16 with two seeds and siren 16; spell has aent-auto alone."""
    runs = {
        ("eval-chain", "none", 0): 4,
        ("eval-chain", "none", 1): 12,
        ("eval-chain", "siren", 0): 16,
        ("eval-spell", "aent-auto", 0): 8,
    }
    starts = [
        {**long_row("start", None, 0, [2, 2]), "recipe": recipe} for recipe in ("eval-chain", "eval-spell")
    ]
    ends = [
        {**long_row(label, seed, 200, [count, count], last=200), "recipe": recipe}
        for (recipe, label, seed), count in runs.items()
    ]
    return starts + ends


def heights(axes):
    """What the lines of a panel end at, by their names."""
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines}


def test_every_picture_is_written(pictures, rows, tmp_path):
    drawn = pictures.draw(rows, tmp_path)
    assert {path.name for path in drawn} == {path.name for path in tmp_path.iterdir()}
    assert [path.name for path in drawn] == [
        "long-chain.png",
        "long-chain-methods.png",
        "long-chain-forms.png",
        "long-tasks.png",
    ]


def test_a_line_is_the_mean_over_seeds_and_begins_at_the_start(pictures, rows):
    complete, _ = pictures.curves(rows, "eval-chain")
    once, often, _ = pictures.course(complete, "chain").axes
    assert heights(once) == {"plain GRPO, constant learning rate": [0.125, 0.5], "siren": [0.125, 1.0]}
    assert heights(often)["siren"] == [1.0, 1.0]
    shade = once.collections[0].get_paths()[0].vertices
    assert sorted({tuple(point) for point in shade.tolist() if point[0] == 200}) == [(200, 0.25), (200, 0.75)]


def test_the_picture_of_all_tasks_has_a_column_a_task_and_the_main_methods(
    pictures, rows, monkeypatch, tmp_path
):
    shown = {}
    monkeypatch.setattr(pictures, "tasks", lambda found: shown.update(found) or pictures.course({}, ""))
    pictures.draw(rows, tmp_path)
    assert {recipe: list(own) for recipe, own in shown.items() if own} == {
        "eval-chain": ["none"],
        "eval-spell": ["aent-auto"],
    }
    monkeypatch.undo()
    titles = [axes.get_title(loc="left") for axes in pictures.tasks(shown).axes]
    assert titles == ["chain", "spell-3000", "spell", "equations", "letters", "", "", "", "", ""]
