"""Rows of a local file, a folder of files, or a data set on the hub, each with its location."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aent.errors import InputError

_Row = dict[str, Any]

_KINDS = (".jsonl", ".parquet")


def read_local(path: Path) -> list[tuple[str, _Row]]:
    """Return ``(where, row)`` for every row of a file, or of all files of a folder in name order.

    Raises:
        InputError: if the file does not exist, has an unsupported type, is malformed (the message names
            the line), or is empty.
    """
    files = _files(path)
    rows = [row for file in files for row in (_jsonl if file.suffix == ".jsonl" else _parquet)(file)]
    if not rows:
        raise InputError(f"{path} has no rows; give a data set with at least one.")
    return rows


def read_hub(source: str, config: str | None, split: str) -> list[tuple[str, _Row]]:
    """Return ``(where, row)`` for every row of a split of a data set on the hub.

    Raises:
        InputError: if the data set, its config or its split cannot be loaded or is empty.
    """
    from datasets import load_dataset

    name = f"{source} ({config})" if config else source
    try:
        data = load_dataset(source, config, split=split)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot load split {split!r} of the data set {name} from the hub: {error} "
            "Check the name, the config, the split and the connection, or give local files."
        ) from error
    rows = [(f"{name} {split}, row {index}", dict(row)) for index, row in enumerate(data, 1)]
    if not rows:
        raise InputError(f"split {split!r} of {name} has no rows; choose another split.")
    return rows


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"no such file or folder: {path}. Give a .jsonl or .parquet file.")
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.suffix in _KINDS)
    if not files or any(file.suffix not in _KINDS for file in files):
        raise InputError(
            f"{path} is not a .jsonl or .parquet file, nor a folder with such files; convert it, "
            "with one problem per line or row."
        )
    return files


def _jsonl(file: Path) -> Iterator[tuple[str, _Row]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")  # Windows writes a byte order mark
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text ({error}); convert it.") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield f"{file}, line {number}", _object(line, file, number)


def _object(line: str, file: Path, number: int) -> _Row:
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{file}, line {number} has half of a surrogate pair ({error.object[error.start]!r}), which is "
            "no character; write the whole pair, or remove it."
        ) from error
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, or deep nesting
        raise InputError(
            f"{file}, line {number} is not JSON ({error}); a .jsonl file has one JSON object per line."
        ) from error
    if not isinstance(row, dict):
        raise InputError(
            f"{file}, line {number} is a {type(row).__name__}, not a JSON object; write it as "
            '{"column": value, ...}.'
        )
    return row


def _parquet(file: Path) -> Iterator[tuple[str, _Row]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{file} cannot be read as Parquet: {error}") from error
    for number, row in enumerate(table.to_pylist(), 1):
        yield f"{file}, row {number}", row
