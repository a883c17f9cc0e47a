"""The figures of a logged step, as one line of text."""

from collections.abc import Mapping
from typing import Any

COLUMNS = {
    "reward": ("reward", ".3f"),
    "clamped entropy": ("aent/entropy", ".3f"),
    "full entropy": ("aent/full_entropy", ".3f"),
    "entropy": ("entropy", ".3f"),
    "coef": ("aent/coef", ".4g"),
    "length": ("completions/mean_length", ".1f"),
}
"""Label: the key in a logged row, and the format of its value."""


def step_summary(row: Mapping[str, Any]) -> str:
    """Return the figures of a logged row that a person watches, for instance ``reward 0.153  coef 0.0127``.

    TRL's own entropy is left out where aent reports its two.
    """
    hidden = "entropy" if "aent/entropy" in row else ""
    return "  ".join(
        f"{label} {row[key]:{form}}"
        for label, (key, form) in COLUMNS.items()
        if row.get(key) is not None and label != hidden
    )
