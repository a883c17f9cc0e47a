"""A log, from a file or folder of any host."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.logs.events import PATTERN, rows_of_events
from aent.logs.formats import rows_of_console, rows_of_csv, rows_of_json
from aent.logs.names import NAMES, Row, is_verl, normalized, step_name

FORMS = (
    "a run folder of aent, trainer_state.json or a checkpoint that holds it, TensorBoard event files, CSV or "
    "JSON with a step in each row, or verl's console or file log"
)
METRICS, STATE = "metrics.jsonl", "trainer_state.json"


@dataclass(frozen=True, kw_only=True)
class Log:
    """A training log under TRL's names."""

    source: Path
    """The file or folder that was read."""
    kind: str
    """What it is, for instance ``trainer_state.json``."""
    host: str
    """``verl`` or ``TRL``; a log that could be either counts as TRL's."""
    rows: Sequence[Row]
    """One row per logged step, in order; see `aent.logs.names.normalized`."""


def read_log(path: Path) -> Log:
    """Read a log.

    Raises:
        InputError: if there is none, its form is not known, or it holds no training steps.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist. Give {FORMS}")
    try:
        source, kind, raw = _of_folder(path) if path.is_dir() else _of_file(path)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text. Give {FORMS}") from None
    except InputError as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    keys = list(dict.fromkeys(key for row in raw for key in row))
    step = step_name(keys)
    rows = [] if step is None else normalized(raw, step)
    _require(path, kind, keys, step, rows)
    return Log(source=source, kind=kind, host="verl" if is_verl(keys) else "TRL", rows=rows)


def _of_folder(path: Path) -> tuple[Path, str, Sequence[Mapping[str, Any]]]:
    if (path / METRICS).is_file():
        return path, "run folder of aent", rows_of_json((path / METRICS).read_text("utf-8"))
    states = [path / STATE] if (path / STATE).is_file() else list(path.glob(f"checkpoint-*/{STATE}"))
    if states:
        newest = max(states, key=lambda file: _number(file.parent.name))
        return newest, STATE, rows_of_json(newest.read_text("utf-8"))
    if events := list(path.rglob(PATTERN)):
        if len(folders := {file.parent for file in events}) > 1:
            names = ", ".join(sorted(str(folder.relative_to(path)) for folder in folders))
            raise InputError(f"it holds the event files of several runs; give one of {names}")
        return path, "TensorBoard", rows_of_events(events)
    if runs := sorted(str(file.parent) for file in path.glob(f"**/{METRICS}")):
        raise InputError(
            f"it holds runs; give them by name: {', '.join(runs[:4])}{', ...' if runs[4:] else ''}"
        )
    raise InputError(f"it holds no {METRICS}, {STATE} or {PATTERN}. Give {FORMS}")


def _of_file(path: Path) -> tuple[Path, str, Sequence[Mapping[str, Any]]]:
    if path.match(PATTERN):
        return path, "TensorBoard", rows_of_events([path])
    text = path.read_text("utf-8-sig")
    if path.suffix == ".csv":
        return path, "CSV", rows_of_csv(text)
    if path.suffix in (".json", ".jsonl"):
        return path, STATE if path.name == STATE else "JSON", rows_of_json(text)
    if steps := rows_of_console(text):
        return path, "verl's console", steps
    if text.lstrip()[:1] in ("{", "["):
        return path, "JSON", rows_of_json(text)
    raise InputError(f"its form is not known: no line with step:N and verl's metrics in it. Give {FORMS}")


def _require(path: Path, kind: str, keys: Sequence[str], step: str | None, rows: Sequence[Row]) -> None:
    """Raise `InputError` unless there are training steps with entropy or reward."""
    shown = ", ".join(map(str, keys[:12])) + (", ..." if len(keys) > 12 else "")
    if not keys:
        raise InputError(f"{path} ({kind}) holds no rows")
    if step is None:
        raise InputError(f"{path} ({kind}) has no step among its columns: {shown}. Name one `step`")
    if not any("entropy" in row or "reward" in row for row in rows):
        wanted = "; ".join(f"{name}: {' or '.join(NAMES[name])}" for name in ("entropy", "reward"))
        raise InputError(
            f"{path} ({kind}) logs neither entropy nor reward. It has {shown}. Known are {wanted}"
        )


def _number(name: str) -> int:
    """Return N of ``checkpoint-N``; -1 for another name."""
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1
