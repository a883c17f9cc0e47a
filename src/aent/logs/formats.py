"""Text to rows: JSON in the forms that trackers write, CSV, and verl's console."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from aent.errors import InputError

Raw = Mapping[str, Any]
"""A row under the names of its host."""

_CONSOLE = re.compile(r"\bstep:(\d+)((?: - [^:\n]+:\S+)+)")
"""A step in verl's console: ``step:3 - actor/entropy:0.42 - ...``, whatever Ray prints in front of it. Names
hold those of data sets, which may have blanks and brackets."""
_PAIR = re.compile(r" - ([^:\n]+):(\S+)")
_NUMPY = re.compile(r"np\.\w+\((.+)\)")
"""How numpy 2 prints a scalar: ``np.float64(0.42)``."""
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def rows_of_json(text: str) -> list[Raw]:
    """Return the rows of one JSON document, or of several one after another (JSON lines).

    Understood are rows, lists of rows, transformers' ``trainer_state.json``, verl's file log (``{"step": 3,
    "data": {...}}``), and what ``trackio get metric --json`` prints. A last line that was cut short by a
    kill is left out.

    Raises:
        InputError: if the text is not JSON before its last line, or is nested too deeply.
    """
    try:
        return [row for document in _documents(text) for row in _rows(document)]
    except RecursionError:
        raise InputError("it is nested too deeply for a log") from None


def _documents(text: str) -> Iterator[Any]:
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            document, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            if at > 0 and "\n" not in text[at:].rstrip("\n"):
                return
            raise InputError(
                f"it is not JSON: {error}. A JSON log is a list of rows, one row per line, or a "
                "trainer_state.json"
            ) from None
        except ValueError as error:  # a number of thousands of digits
            raise InputError(f"it is not a log: {error}") from None
        yield document


def _rows(document: Any) -> Iterator[Raw]:
    if isinstance(document, list):
        for part in document:
            yield from _rows(part)
    elif isinstance(document, dict):
        if isinstance(history := document.get("log_history"), list):
            yield from (row for row in history if isinstance(row, dict))
        elif isinstance(data := document.get("data"), dict) and "step" in document:
            yield {"step": document["step"], **data}
        elif isinstance(values := document.get("values"), list) and "metric" in document:
            points = (point for point in values if isinstance(point, dict))
            yield from ({"step": p.get("step"), str(document["metric"]): p.get("value")} for p in points)
        else:
            yield document


def rows_of_csv(text: str) -> list[Raw]:
    """Return the rows of a CSV file with a header.

    A chart of wandb exports columns like ``run-1 - train/reward``, with ``__MIN`` and ``__MAX`` beside each;
    the name of the run and these two are dropped. So is a last row with fewer cells than the header: it was
    cut short by a kill.

    Raises:
        InputError: if the columns belong to several runs, or a cell is longer than Python reads.
    """
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    try:
        header, rows = reader.fieldnames or (), list(reader)
    except csv.Error as error:
        raise InputError(
            f"it has a line that is not CSV, line {reader.line_num + 1}: {error}. Export the step and the "
            "metrics, without columns of text"
        ) from None
    names = [name for name in header if not name.endswith(("__MIN", "__MAX"))]
    runs = {name.rpartition(" - ")[0] for name in names} - {""}
    if len(runs) > 1:
        raise InputError(
            f"it holds the columns of {len(runs)} runs ({', '.join(sorted(runs))}); export one run at a time"
        )
    if rows and None in rows[-1].values():
        rows.pop()
    return [{name.rpartition(" - ")[2]: row[name] for name in names} for row in rows]


def rows_of_console(text: str) -> list[Raw]:
    """Return the steps that verl printed, whatever else stands in the log."""
    return [
        {"step": step, **{key: _NUMPY.sub(r"\1", value) for key, value in _PAIR.findall(pairs)}}
        for step, pairs in _CONSOLE.findall(_COLORS.sub("", text))
    ]
