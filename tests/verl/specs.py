"""Every method with arguments, for the tests that go through all of them."""

import inspect

from aent.methods.load import METHODS

UNPUBLISHED = {"steps": 10, "target": 0.4, "coef": 0.01, "lr": 0.01, "easy": 0.5, "hard": 1.5, "k": 2}
"""Arguments without a published default, as an example."""


def spec(name):
    """A method as its name and those of its arguments that have no published default."""
    parameters = inspect.signature(METHODS[name]).parameters.values()
    return {"name": name, **{p.name: UNPUBLISHED[p.name] for p in parameters if p.default is p.empty}}


SPECS = {name: spec(name) for name in METHODS if name != "stack"}
