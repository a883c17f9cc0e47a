"""``aent methods``."""

import pytest

from aent import InputError
from aent.cli.main import main
from aent.cli.methods import HEADINGS, groups
from aent.cli.methods import main as methods
from aent.methods.load import METHODS


def test_every_method_stands_once_under_a_heading_and_no_heading_is_empty():
    listed = [(heading, method.name) for heading, entries in groups() for method in entries]
    assert [name for _, name in listed] == [name for name in METHODS if name != "stack"]
    assert list(dict.fromkeys(heading for heading, _ in listed)) == list(HEADINGS.values())


def test_all_are_listed_with_formula_source_and_defaults(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["methods"]) == 0
    printed = capsys.readouterr().out
    assert all(f" {name} " in printed for name in METHODS if name != "stack")
    assert all(heading in printed for heading in HEADINGS.values())
    row = next(line for line in printed.splitlines() if " entropy-bonus " in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "entropy-bonus", "loss = policy_loss - coef * H(pi)", "1602.01783", "coef=0.01"
    ]  # fmt: skip
    row = next(line for line in printed.splitlines() if " pass-at-k " in line)
    assert row.strip("│ ").endswith("k, threshold=0.5")  # what must be given has no default


@pytest.mark.parametrize("columns", [60, 80])
def test_a_narrow_terminal_cuts_nothing_off(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["methods"]) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= columns


def test_one_is_printed_in_full(capsys):
    assert main(["methods", "aent"]) == 0
    printed = capsys.readouterr().out
    for part in ("coef <- clip(", "2509.03493", "code: aent.methods.aent.aent", "drop=0.33", "Qwen2.5-Math"):
        assert part in printed


def test_a_second_name_is_refused():
    with pytest.raises(InputError, match="takes one NAME or none, got 2: none, aent"):
        methods(["none", "aent"])


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"unknown method 'sirem'\. Did you mean 'siren'"):
        methods(["sirem"])
