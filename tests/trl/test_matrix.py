"""Every method with every algorithm: it trains, or says why not. The table in docs/methods.md is this."""

import re
from functools import cache
from pathlib import Path

import pytest

from aent import METHODS, InputError, load_method
from aent.algorithms import ALGORITHMS, classes, with_options

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
NEEDED = {
    "linear-bonus": {"steps": 10},
    "cosine-bonus": {"steps": 10},
    "sac": {"target": 4.0, "coef": 0.01, "lr": 0.1},
    "lagrangian": {"target": 4.0, "coef": 0.01, "lr": 0.1},
    "aer": {"coef": 0.01, "lr": 0.1, "easy": 0.5, "hard": 1.0},
    "pass-at-k": {"k": 2},
    "entrocraft": {"steps": 10},
}
"""Arguments for which nothing was published."""
NAMES = [name for name in METHODS if name != "stack"]
FOOTNOTES = {
    "clips": "needs an algorithm that clips the ratio of single tokens",
    "replace the critic": "its advantages come from a group's rewards, which would replace the critic",
    "was given, but": "sets an option of the host that the algorithm sets to something else",
}
"""By a part of the message with which a method is refused."""


@cache
def cells(page: str) -> dict[tuple[str, str], str]:
    """The table of the page: (method, algorithm) -> what it says."""
    table = re.search(r"<!-- matrix -->\n(.*?)\n<!-- end -->", page, re.DOTALL)
    assert table, f"{PAGE} has no table between <!-- matrix --> and <!-- end -->"
    head, _, *rows = [[c.strip(" `") for c in line.strip("|").split("|")] for line in table[1].splitlines()]
    return {(row[0], column): cell for row in rows for column, cell in zip(head[1:], row[1:], strict=True)}


def _footnote(method: str, message: str) -> str:
    assert method in message
    return next(note for part, note in FOOTNOTES.items() if part in message)


@pytest.fixture(scope="module")
def policy(make_model, tmp_path_factory):
    """A policy in a folder: where a method needs the reference policy, TRL loads it from there."""
    folder = str(tmp_path_factory.mktemp("policy"))
    make_model().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_table_of_methods_and_algorithms(algorithm, build, options, policy):
    options |= {"max_steps": 1, "max_completion_length": 4, "gradient_accumulation_steps": 1}
    trainer, config = classes(algorithm)
    found = {}
    for name in NAMES:
        method = load_method({"name": name, **NEEDED.get(name, {})})
        try:
            made = build(trainer, config, with_options(algorithm, options), policy, method=method)
        except InputError as error:
            message = str(error)
            found[name] = next(
                note for part, note in FOOTNOTES.items() if part in message and name in message
            )
            continue
        made.train()
        assert made.state.global_step == 1
        found[name] = "yes"
    notes = ["yes", *FOOTNOTES.values()]
    expected = {name: ["yes", "1", "2", "3"][notes.index(what)] for name, what in found.items()}
    page = PAGE.read_text()
    written = {name: cells(page).get((name, algorithm)) for name in NAMES}
    assert written == expected
    for number, note in enumerate(FOOTNOTES.values(), 1):
        assert f"{number}. {note[0].upper()}{note[1:]}." in page
