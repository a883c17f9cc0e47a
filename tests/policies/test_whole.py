"""Files as the libraries write them, cut at every kind of place."""

import json

import pytest
import torch
from safetensors.torch import save_file

from aent.policies.whole import flaw


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "eos": [1, 2]}))
    save_file({"a": torch.ones(3, 5), "b": torch.zeros(7)}, tmp_path / "model.safetensors")
    torch.save({"state": torch.ones(100)}, tmp_path / "optimizer.pt")
    (tmp_path / "notes.txt").write_text("{")
    (tmp_path / "policy").mkdir()
    return tmp_path


def test_what_the_libraries_write_is_whole(folder):
    assert flaw(folder) is None
    torch.save(torch.ones(2), folder / "old.bin", _use_new_zipfile_serialization=False)
    assert flaw(folder) is None


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "optimizer.pt"])
@pytest.mark.parametrize("kept", [0, 1, 5, 9, 0.3, 0.9, -1])
def test_a_file_that_is_cut_is_named(name, kept, folder):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    assert str(flaw(folder)).startswith(f"{name} ")


TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'model' %}{% generation %}{{ m.content }} – {% endgeneration %}"
    "{% else %}{{ m.role }}: {{ m.content }}{% continue %}{% endif %}{% endfor %}"
)
"""With the two extensions of transformers: `generation` blocks, and `continue`."""


def test_a_chat_template_is_whole_only_at_its_full_length(tmp_path):
    file, data = tmp_path / "chat_template.jinja", TEMPLATE.encode()
    file.write_bytes(data)
    assert flaw(tmp_path) is None
    for length in range(3, len(data)):  # nothing, {, and {% within text are templates too
        file.write_bytes(data[:length])
        assert flaw(tmp_path) == "chat_template.jinja is not a complete template"


@pytest.mark.parametrize("header", [b"[]", b'{"a": 3}', b'{"a": {"data_offsets": []}}', b"\xff\xfe{"])
def test_a_safetensors_file_with_another_header_is_named(header, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "header" in str(flaw(tmp_path))
