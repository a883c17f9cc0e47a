import pytest
from datasets import Dataset

from aent.errors import InputError
from aent.tasks.math.files import read_local

GOOD = '{"question": "1+1?", "answer": "2"}\n'


def _file(folder, content, name="data.jsonl"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_lines_are_counted_from_one_and_blank_ones_skipped(tmp_path):
    path = _file(tmp_path, GOOD + "\n" + '{"question": "a\u2028b"}\n')
    assert read_local(path) == [
        (f"{path}, line 1", {"question": "1+1?", "answer": "2"}),
        (f"{path}, line 3", {"question": "a\u2028b"}),
    ]


def test_a_byte_order_mark_is_no_text(tmp_path):
    assert read_local(_file(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()))[0][1]["question"] == "1+1?"


def test_parquet_and_folders(tmp_path):
    for name in ("b", "a"):
        Dataset.from_list([{"x": name}]).to_parquet(tmp_path / f"{name}.parquet")
    _file(tmp_path, "not data", "README.md")
    assert read_local(tmp_path) == [
        (f"{tmp_path / 'a.parquet'}, row 1", {"x": "a"}),
        (f"{tmp_path / 'b.parquet'}, row 1", {"x": "b"}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ("\n \n", "has no rows"),
        (GOOD + '{"question": \n', "data.jsonl, line 2 is not JSON"),
        (GOOD + GOOD + "[1, 2]\n", "line 3 is a list, not a JSON object"),
        (b"\xff\xfe{", "is not UTF-8 text"),
        (GOOD + '{"id": 1' + "0" * 5000 + "}\n", "line 2 is not JSON .Exceeds the limit"),
        (GOOD + "[" * 100_000 + "\n", "line 2 is not JSON .maximum recursion depth"),
    ],
)
def test_malformed_lines(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_local(_file(tmp_path, content))


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match=r"no such file or folder: .*nowhere\.jsonl"):
        read_local(tmp_path / "nowhere.jsonl")


def test_other_kinds_of_file(tmp_path):
    with pytest.raises(InputError, match=r"data\.csv is not a \.jsonl or \.parquet file"):
        read_local(_file(tmp_path, "a,b", "data.csv"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="nor a folder with such files"):
        read_local(tmp_path / "empty")


def test_broken_parquet(tmp_path):
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_local(_file(tmp_path, "PAR1 but no", "data.parquet"))
