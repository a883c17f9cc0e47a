from dataclasses import dataclass

import pytest

from aent import InputError
from aent.spec import from_dotted_path, from_mapping


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
