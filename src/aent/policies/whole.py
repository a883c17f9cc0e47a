"""Whether the files of a model or of a checkpoint are complete, without loading them."""

import json
import struct
import zipfile
from pathlib import Path


def flaw(folder: Path) -> str | None:
    """Return the first file in a folder that is cut short or unreadable, and why; None if there is none.

    JSON must parse, a safetensors file must be as long as its header says, an archive of `torch.save` must
    have its directory, which lies at its end, and a chat template must compile. Other files, and those in
    subfolders, are not looked at.
    """
    for file in sorted(folder.iterdir()):
        reason = _reason(file)
        if reason is not None:
            return f"{file.name} {reason}"
    return None


def _reason(file: Path) -> str | None:
    match file.suffix:
        case ".json":
            try:
                json.loads(file.read_bytes())
            except ValueError:
                return "is not complete JSON"
        case ".safetensors":
            return _safetensors_reason(file)
        case ".jinja":
            return _template_reason(file)
        case ".pt" | ".pth" | ".bin":
            with file.open("rb") as stream:
                start = stream.read(2)
            if b"PK".startswith(start) and not zipfile.is_zipfile(file):  # older files are no archives
                return "is cut short"
    return None


def _safetensors_reason(file: Path) -> str | None:
    """Compare the length of the file with that of its header and with the end of its last tensor."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if 8 + length > size:
            return "is cut short"
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return "has a header that cannot be read"
    return "is cut short" if 8 + length + max(ends, default=0) > size else None


def _template_reason(file: Path) -> str | None:
    """Compile a chat template as transformers does; without jinja2, nothing can use it."""
    from transformers.utils import is_jinja_available

    if not is_jinja_available():
        return None
    from jinja2 import TemplateSyntaxError
    from transformers.utils.chat_template_utils import _compile_jinja_template

    try:
        _compile_jinja_template(file.read_text("utf-8"))
    except (TemplateSyntaxError, UnicodeDecodeError):
        return "is not a complete template"
    return None
