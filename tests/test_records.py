import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from aent.records import json_text, versions, write, write_all


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_a_file_is_utf_8_and_its_folders_are_made(tmp_path):
    write(tmp_path / "new" / "file", "é\r\n\u2028中")
    assert (tmp_path / "new" / "file").read_bytes() == "é\r\n\u2028中".encode()


@pytest.mark.parametrize("step", ["os.replace", "pathlib.Path.write_bytes"])
def test_a_failed_write_leaves_what_was_there(step, tmp_path, monkeypatch):
    path = tmp_path / "file"
    write(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(step, full_disk)
        with pytest.raises(OSError, match="No space"):
            write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_of_several_files_none_is_written_if_one_does_not_fit(tmp_path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    write_all({one: "old 1", two: "old 2"})
    write_bytes = Path.write_bytes
    monkeypatch.setattr(
        Path, "write_bytes", lambda path, data: full_disk() if "two" in path.name else write_bytes(path, data)
    )
    with pytest.raises(OSError, match="No space"):
        write_all({one: "new 1", two: "new 2"})
    assert (one.read_text(), two.read_text()) == ("old 1", "old 2")
    assert sorted(tmp_path.iterdir()) == [one, two]


def test_text_that_utf_8_cannot_hold_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_strict_readable_and_survives_half_a_surrogate_pair(tmp_path):
    assert json_text({"é": [1, None]}) == '{"é": [1, null]}'
    assert json_text({"path": Path("here"), "kind": np.float32}) == (
        f'{{"path": "{Path("here")!r}", "kind": "<class \'numpy.float32\'>"}}'
    )
    for number in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not JSON compliant"):
            json_text({"x": number})
    broken = {"a\ud800": "\\\udfff end"}
    write(tmp_path / "file", json_text(broken))
    assert json.loads((tmp_path / "file").read_text("utf-8")) == broken


def test_versions_name_the_packages_the_machine_and_the_gpu():
    found = versions()
    assert {"aent", "torch", "numpy", "python", "machine", "gpu"} <= set(found)
    assert torch.__version__.startswith(found["torch"].partition("+")[0])
