import sys
from types import ModuleType, SimpleNamespace

import pytest

from aent.errors import InputError
from aent.tasks import TASKS, Chain, Countdown, MathTask, Task, load_task


@pytest.fixture
def module(monkeypatch):
    mine = ModuleType("mine_for_test")
    mine.Harder = type("Harder", (Countdown,), {"name": "harder"})
    mine.ready = Chain(steps=2)
    mine.number = 7
    monkeypatch.setitem(sys.modules, "mine_for_test", mine)
    return mine


def test_every_name_makes_its_task():
    for name, kind in TASKS.items():
        task = load_task(name)
        assert type(task) is kind
        assert task.name == name


def test_fields_from_a_mapping_and_from_keywords():
    given = {"name": "countdown", "numbers": 4, "seed": 3}
    assert load_task(given, seed=5) == Countdown(numbers=4, seed=5)
    assert given == {"name": "countdown", "numbers": 4, "seed": 3}


def test_dotted_paths(module):
    task = load_task("mine_for_test.Harder", numbers=2)
    assert type(task) is module.Harder
    assert task.numbers == 2
    assert load_task("mine_for_test.ready") is module.ready
    assert load_task({"name": "mine_for_test.ready", "seed": 9}) == Chain(steps=2, seed=9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "countdwn",
            r"unknown task 'countdwn'. Did you mean 'countdown'\? Known: aime24, .*chain, countdown",
        ),
        ("no.such.Thing", "'no.such.Thing': there is no module 'no.such'"),
        ("aent.tasks.Nothing", "module 'aent.tasks' has no 'Nothing'"),
        ("mine_for_test.number", r"is 7, not a task; point to a subclass of aent.tasks.Task"),
        (":", "unknown task ':'"),
        ({"numbers": 3}, "by a mapping with a name and fields"),
        ({"name": None}, "by a mapping with a name and fields"),
    ],
)
@pytest.mark.usefixtures("module")
def test_names_that_lead_nowhere(given, message):
    with pytest.raises(InputError, match=message):
        load_task(given)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("countdown", {"number": 3}, r"unknown field of task 'countdown': 'number'. Did you mean"),
        ("countdown", {"numbers": "3"}, r"numbers='3' is a str; it must be int"),
        ("countdown", {"numbers": 3.0}, r"numbers=3.0 is a float; it must be int"),
        ("countdown", {"numbers": True}, r"numbers=True is a bool; it must be int"),
        ("chain", {"noise": "much"}, r"noise='much' is a str; it must be float"),
        ("math", {"system": 3}, r"system=3 is a int; it must be str \| None"),
        ("math", {"chat": 1}, r"chat=1 is a int; it must be bool"),
        ("reasoning-gym", {"config": [1]}, r"config=\[1\] is a list; it must be"),
        ("countdown", {"numbers": None}, r"numbers=None is a NoneType; it must be int"),
    ],
)
def test_fields_that_do_not_fit(name, fields, message):
    with pytest.raises(InputError, match=message):
        load_task(name, **fields)


def test_fields_that_fit():
    assert load_task("chain", noise=0).noise == 0
    assert load_task("math", system=None, train=None) == MathTask(train=None)
    assert load_task("reasoning-gym", config={"max_terms": 4}).config == {"max_terms": 4}


def test_a_task_without_its_members_says_which(monkeypatch):
    class Half(Task):
        name = "half"

        def score(self, completion, row):
            return 0.0

    class Nameless(Half):
        dataset = gold = wrong = answer = lambda self, *_: None

    del Half.name
    monkeypatch.setitem(sys.modules, "half_for_test", SimpleNamespace(Half=Half, instance=Nameless()))
    with pytest.raises(InputError, match="is Half, which has no name, answer, dataset, gold, wrong; define"):
        load_task("half_for_test.Half")
    with pytest.raises(InputError, match="is Nameless, which has no name; define"):
        load_task("half_for_test.instance")
