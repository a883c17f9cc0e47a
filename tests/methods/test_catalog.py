"""What is read from the source is what Python sees."""

import inspect
import math

import pytest

from aent.methods.catalog import REQUIRED, entry, factories
from aent.methods.load import METHODS


def test_the_names_are_those_of_the_dict_in_its_order():
    assert list(factories()) == list(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_the_source_says_what_the_function_says(name):
    function, method = METHODS[name], entry(name)
    assert (method.module, method.function) == (function.__module__, function.__name__)
    assert method.doc == inspect.getdoc(function)
    parameters = inspect.signature(function).parameters.values()
    assert method.defaults == {p.name: p.default for p in parameters}
    assert {name: type(value) for name, value in method.defaults.items()} == {
        p.name: type(p.default) for p in parameters
    }


def test_formula_and_sources_of_a_method():
    """By eye, from the docstrings of methods/clip_higher.py and methods/sac.py."""
    dapo, sac = entry("clip-higher"), entry("sac")
    assert dapo.formula.startswith("loss_t = -min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A)")
    assert dapo.sources == ["2503.14476"]
    assert dapo.defaults == {"epsilon": 0.2, "epsilon_high": 0.28}
    assert sac.defaults == {"target": REQUIRED, "coef": REQUIRED, "lr": REQUIRED}
    assert entry("kl-cov").defaults["epsilon_high"] == math.inf


@pytest.mark.parametrize("name", [name for name in METHODS if name != "stack"])
def test_every_method_has_a_formula_and_one_line_that_sums_it_up(name):
    method = entry(name)
    assert method.formula
    assert "\n" not in method.formula
    assert method.doc.splitlines()[1:2] in ([], [""])
    assert name in ("none", "lagrangian", "mai-clip") or method.sources


@pytest.mark.parametrize("name", [name for name in METHODS if name != "stack"])
def test_a_method_carries_the_name_it_is_loaded_by(name):
    """Checkpoints are compared by it. Arguments without a default do not matter here."""
    needed = {key: 1 for key, value in entry(name).defaults.items() if value is REQUIRED}
    needed |= {"coef": 0.01} if "coef" in needed else {}
    assert METHODS[name](**needed).name == name
