from dataclasses import dataclass

import pytest
import yaml

from aent import InputError
from aent.spec import (
    call,
    find,
    from_dotted_path,
    from_mapping,
    from_spec,
    kebab_case,
    read_yaml,
    take_flags,
    take_section,
    whole_number,
    with_fields,
)


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


def test_a_field_with_a_colon_and_a_space_is_text_and_braces_are_a_mapping():
    _, section = take_section(["--task.template", "Q: {question}", "--task.also", "{a: 1}"], "task", "chain")
    assert section == {"name": "chain", "template": "Q: {question}", "also": {"a": 1}}


def test_text_with_a_colon_is_taken_as_it_is():
    _, section = take_section(["--task.template", "Question: {question} Answer:"], "task", "math")
    assert section == {"name": "math", "template": "Question: {question} Answer:"}


@pytest.mark.parametrize(
    "text",
    [
        "{question} Answer:",
        "{question} Answer with the number only.",
        "{question}",
        "{question}\n\nPut it in \\boxed{}.",
        "[Question] {question}",
        "{question}: {question}",
    ],
)
def test_text_that_begins_like_a_mapping_needs_no_quotes(text):
    _, section = take_section(["--task.template", text], "task", "words")
    assert section == {"name": "words", "template": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("{}", {}), ("{a: }", {"a": None}), ("[1, 4]", [1, 4]), ("[a]", ["a"]), ("{a: 1} # one", {"a": 1})],
)
def test_a_mapping_or_a_list_of_a_field_stays_one(text, value):
    _, section = take_section(["--task.config", text], "task", "chain")
    assert section == {"name": "chain", "config": value}


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--method", "{name: "),
        ("--method", "{name: aent} low: 0.2"),
        ("--method", "{name: aent, low: 0.2}}"),
        ("--method.subset", "{name: top-k, k: "),
        ("--method.subset", "{name: top-k, k: 20}}"),
        ("--method.subset", "{k: 1, k: 2}"),
        ("--method.subset", "[1, 2"),
    ],
)
def test_unreadable_yaml(flag, text):
    with pytest.raises(InputError, match=f"^{flag} .* is not readable as YAML"):
        take_section([flag, text], "method", "aent")


def test_a_method_on_the_command_line():
    _, section = take_section(["--method", "{name: aent, low: 0.2}"], "method", "none")
    assert section == {"name": "aent", "low": 0.2}


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
    with pytest.raises(InputError, match=r"has no 'question'; the module found is .*mine_here\.py"):
        from_dotted_path("mine_here.question")


def test_a_module_that_fails_is_not_said_to_lack_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_wrong.py").write_text("import math\nanswer = math.tau2\n")
    with pytest.raises(AttributeError, match="tau2"):  # with the line, as Python shows it
        from_dotted_path("mine_wrong.answer")
    (tmp_path / "mine_needy.py").write_text("import no_such_package\nanswer = 42\n")
    with pytest.raises(
        InputError, match="'mine_needy' cannot be imported: No module named 'no_such_package'"
    ):
        from_dotted_path("mine_needy.answer")


def test_flags_are_taken_out_by_name():
    argv = ["runs/a", "--output-dir", "x", "--seeds=1,2", "--output_dir=y", "--other", "--seeds"]
    assert take_flags(argv[:6], ("output_dir", "seeds")) == (
        {"output_dir": "y", "seeds": "1,2"},
        ["runs/a", "--other"],
    )
    with pytest.raises(InputError, match="--seeds needs a value"):
        take_flags(argv, ("seeds",))


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "two", "\N{SUPERSCRIPT TWO}"])
def test_a_count_is_a_whole_number(text):
    assert whole_number("--jobs", "12") == 12
    with pytest.raises(InputError, match="must be a whole number of at least 1"):
        whole_number("--jobs", text)


def test_lists_become_tuples_where_tuples_are_due():
    assert from_mapping("settings", Settings, {"ks": [1, 4]}).ks == (1, 4)
    with pytest.raises(InputError, match=r"settings: ks=\[1, 'x'\] is a list; it must be tuple\[int, ...\]"):
        from_mapping("settings", Settings, {"ks": [1, "x"]})

    def listed(*, items: list[int]):
        return items

    assert call("listed", listed, {"items": [1, 2]}) == [1, 2]


@dataclass(frozen=True)
class Box:
    size: int
    label: str = "box"


KNOWN = {"big-box": Box, "ready": Box(3)}


def test_a_spec_is_a_name_or_a_mapping_in_either_spelling():
    for name in ("big-box", "BigBox"):
        assert from_spec("box", {"name": name, "size": 2}, KNOWN) == Box(2)
    assert from_spec("box", "ready", KNOWN) == Box(3)
    assert from_spec("box", {"name": "fractions.Fraction", "numerator": 3}, KNOWN) == 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bigbox", r"unknown box 'bigbox'. Did you mean 'big-box'\? Known: big-box, ready. A dotted path"),
        ({"size": 1}, "box {'size': 1} has no name; give {'name': one of"),
        ({"name": 7}, "has no name"),
        ("big-box", "box 'big-box' needs size"),
        ({"name": "big-box", "sise": 1}, "unknown field of box 'big-box': 'sise'. Did you mean 'size'"),
        ({"name": "big-box", "size": "1"}, "box 'big-box': size='1' is a str; it must be int"),
        ({"name": "ready", "size": 4}, r"box 'ready' is a finished value and takes no \['size'\]"),
        ("collections.OrderedDict", "box 'collections.OrderedDict' cannot be called from a spec"),
        ("collections.Nothing", "module 'collections' has no 'Nothing'"),
    ],
)
def test_a_bad_spec_says_what_is_allowed(spec, message):
    with pytest.raises(InputError, match=message):
        from_spec("box", spec, KNOWN)


@pytest.mark.parametrize(
    ("class_name", "spelling"),
    [
        ("TopK", "top-k"),
        ("SignStep", "sign-step"),
        ("PI", "pi"),
        ("Fraction", "fraction"),
        ("top-p", "top-p"),
    ],
)
def test_class_names_in_kebab_case(class_name, spelling):
    assert kebab_case(class_name) == spelling


def test_a_known_name_wins_over_a_module():
    assert find("box", "ready", KNOWN) == Box(3)


def test_annotations_that_are_text_are_resolved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "postponed.py").write_text(
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from nowhere import Thing\n"
        "def plain(*, coef: float = 0.1): return coef\n"
        "def partly(*, coef: float = 0.1, thing: Thing = None): return coef\n"
    )
    assert from_spec("thing", {"name": "postponed.plain", "coef": 1}, {}) == 1
    with pytest.raises(InputError, match="coef='x' is a str; it must be float"):
        from_spec("thing", {"name": "postponed.plain", "coef": "x"}, {})
    assert from_spec("thing", {"name": "postponed.partly", "coef": 1, "thing": 2}, {}) == 1


def test_fields_of_an_instance_are_replaced():
    assert with_fields("box", Box(3), {"label": "mine"}) == Box(3, "mine")
    with pytest.raises(InputError, match="unknown field of box: 'labell'"):
        with_fields("box", Box(3), {"labell": "mine"})
    with pytest.raises(InputError, match=r"box is not a dataclass, so it takes no \['a'\]"):
        with_fields("box", object(), {"a": 1})


@pytest.mark.parametrize("text", ["[" * 1000, "{a: " * 1000, "9" * 5000], ids=["lists", "mappings", "digits"])
def test_yaml_that_python_cannot_hold_is_not_readable(text):
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)


@pytest.mark.parametrize("name", [1e400, 3, None, (1, 2)])
def test_a_name_that_is_no_text_is_unknown(name):
    with pytest.raises(InputError, match=r"unknown field of box"):
        with_fields("box", Box(3), {name: 1})
