"""The table of algorithms; `tests/trl/test_algorithms.py` trains them."""

import subprocess
import sys
from math import inf
from pathlib import Path

import pytest

from aent import InputError
from aent.algorithms import ALGORITHMS, load_algorithm, with_options

NAMES = ["ppo", "a2c", "grpo", "rloo", "reinforce++", "gspo", "dr-grpo", "dapo", "cispo"]


def test_all_are_there_and_say_what_they_are():
    assert sorted(ALGORITHMS) == sorted(NAMES)
    assert all(a.about and "arXiv" in a.source for a in ALGORITHMS.values())


def test_unknown_names_list_the_known_ones():
    with pytest.raises(InputError, match=r"unknown algorithm 'gppo'.*a2c, cispo, dapo.*reinforce\+\+"):
        load_algorithm("gppo")


def test_options_are_those_given_and_those_of_the_algorithm():
    assert with_options("grpo", {"beta": 0.1}) == {"beta": 0.1}
    assert with_options("dr-grpo", {"beta": 0.1, "loss_type": "dr_grpo"}) == {
        "beta": 0.1,
        "loss_type": "dr_grpo",
        "scale_rewards": "none",
    }
    made = with_options("a2c", {"gradient_accumulation_steps": 4})
    assert (made["steps_per_generation"], made["lam"], made["value_clip"]) == (4, 1.0, inf)


@pytest.mark.parametrize(
    ("name", "option", "value", "fixed"),
    [
        ("a2c", "num_iterations", 2, "1"),
        ("a2c", "steps_per_generation", 4, "1"),
        ("a2c", "generation_batch_size", 64, "one step"),
        ("a2c", "lam", 0.95, "1.0"),
        ("reinforce++", "normalize_advantages", False, "True"),
        ("gspo", "importance_sampling_level", "token", "sequence"),
        ("dr-grpo", "loss_type", "dapo", "dr_grpo"),  # also where it is the host's default
        ("dapo", "epsilon_high", 0.2, "0.28"),
        ("cispo", "loss_type", "dapo", "cispo"),
    ],
)
def test_an_option_that_contradicts_is_named(name, option, value, fixed):
    with pytest.raises(InputError) as error:
        with_options(name, {option: value})
    assert f"{option}={value}" in str(error.value)
    assert f"algorithm {name!r}" in str(error.value)
    assert fixed in str(error.value)


def test_the_table_loads_without_the_trainers():
    code = "import aent.algorithms, sys; print('trl' in sys.modules or 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_page_lists_every_algorithm_with_its_options():
    page = (Path(__file__).parents[1] / "docs/algorithms.md").read_text()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name, algorithm in ALGORITHMS.items():
        assert all(f"`{option}`" in rows[name] for option in algorithm.options)
