import unicodedata

import pytest

from aent.report.visible import visible


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31mred\x00", "⟨U+001B⟩[31mred⟨U+0000⟩"),
        ("a\r\n\x7f\x85", "a⟨U+000D⟩\n⟨U+007F⟩⟨U+0085⟩"),
        ("1+1=2\u202egnorw", "1+1=2⟨U+202E⟩gnorw"),
        ("a\u200bb\ufeff", "a⟨U+200B⟩b⟨U+FEFF⟩"),
        ("\ud800\udfff", "⟨U+D800⟩⟨U+DFFF⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),
    ],
)
def test_hidden_characters_are_shown(text, due):
    assert visible(text) == due


@pytest.mark.parametrize("text", ["中文 é ﷽", "שלום", "👨‍👩‍👧 می‌خواهم", "\N{ARABIC NUMBER SIGN}1", "√∑ ↵ ␛"])
def test_text_in_any_script_stays_as_it_is(text):
    assert visible(text) == text


def test_no_control_character_and_no_bidirectional_control_is_left():
    every = "".join(map(chr, range(0x110000)))
    left = visible(every)
    assert {c for c in left if unicodedata.category(c) in ("Cc", "Cs")} == {"\t", "\n"}
    bidi = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert not [c for c in left if unicodedata.bidirectional(c) in bidi]
