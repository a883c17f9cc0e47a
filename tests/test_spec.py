from dataclasses import dataclass

import pytest

from aent import InputError
from aent.spec import from_dotted_path, from_mapping, take_section


def test_fields_are_taken_out_and_read_as_yaml():
    argv = ["--lr", "1", "--task.size", "4", "--task.on=true", "--task.rate", "1e-4", "--taskless", "x"]
    rest, section = take_section(argv, "task", {"name": "countdown", "size": 3, "seed": 7})
    assert rest == ["--lr", "1", "--taskless", "x"]
    assert section == {"name": "countdown", "size": 4, "seed": 7, "on": True, "rate": 1e-4}


def test_another_name_drops_the_fields_of_the_old_one():
    rest, section = take_section(
        ["--task.steps", "2", "--task", "chain"], "task", {"name": "lists", "size": 3}
    )
    assert rest == []
    assert section == {"name": "chain", "steps": 2}


def test_the_same_name_keeps_them():
    _, section = take_section(["--task", "lists"], "task", {"name": "lists", "size": 3})
    assert section == {"name": "lists", "size": 3}


def test_a_mapping_on_the_command_line():
    _, section = take_section(["--task", "{name: chain, steps: 2}"], "task", "lists")
    assert section == {"name": "chain", "steps": 2}


def test_null_switches_a_section_off():
    assert take_section(["--evaluation", "null"], "evaluation", {"problems": 3}) == ([], None)
    with pytest.raises(InputError, match=r"--evaluation.problems is set but there is no evaluation"):
        take_section(["--evaluation.problems", "3"], "evaluation", None)


def test_a_flag_without_a_value():
    with pytest.raises(InputError, match=r"--task.size needs a value"):
        take_section(["--task.size"], "task", "lists")


def test_text_with_a_colon_is_taken_as_it_is():
    _, section = take_section(["--task.template", "Question: {question} Answer:"], "task", "math")
    assert section == {"name": "math", "template": "Question: {question} Answer:"}


def test_unreadable_yaml():
    with pytest.raises(InputError, match="not readable as YAML"):
        take_section(["--task", "{name: "], "task", None)


@dataclass
class Settings:
    size: int = 1
    rate: float = 0.5
    name: str | None = None
    on: bool = True
    ks: tuple[int, ...] = ()


def test_values_of_the_right_type_pass():
    made = from_mapping("settings", Settings, {"size": 3, "rate": 1, "name": None, "ks": (1,)})
    assert made == Settings(size=3, rate=1, name=None, ks=(1,))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sise": 3}, r"unknown field of settings: 'sise'. Did you mean 'size'\? Known: ks, name"),
        ({"size": "3"}, "settings: size='3' is a str; it must be int"),
        ({"size": True}, "size=True is a bool; it must be int"),
        ({"rate": "fast"}, "rate='fast' is a str; it must be float"),
        ({"on": 1}, "on=1 is a int; it must be bool"),
        ({"name": 3}, r"name=3 is a int; it must be str \\| None"),
    ],
)
def test_other_values_are_named(values, message):
    with pytest.raises(InputError, match=message):
        from_mapping("settings", Settings, values)


def test_dotted_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_here.py").write_text("answer = 42\n")
    assert from_dotted_path("mine_here.answer") == 42
    assert from_dotted_path("aent") is None
    with pytest.raises(InputError, match="no module 'no_such_module'"):
        from_dotted_path("no_such_module.thing")
    with pytest.raises(InputError, match="has no 'question'"):
        from_dotted_path("mine_here.question")
