"""Characters that a reader would not see, or that change what follows them, made visible."""

import re

_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, all but tab and line feed
    "\xad\u200b\u2060-\u2064\ufeff\ufff9-\ufffb"  # zero width
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # direction of text
    "\u2028\u2029"  # line and paragraph separators
    "\ud800-\udfff"  # half a surrogate pair, which UTF-8 cannot hold
    "\U000e0000-\U000e007f"  # tags
    "]"
)


def visible(text: str) -> str:
    """Replace each hidden character by its code point, for instance ``⟨U+202E⟩``.

    Tabs and line breaks stay, as do the joiners within emoji and within words of some scripts. An unreplaced
    U+202E would reverse everything after it, and half a surrogate pair could not be written to a file.
    """
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)
