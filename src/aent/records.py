"""Files that are whole or not there at all, and what a result was made with."""

import importlib.metadata
import os
import platform
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Write a file so that it is either whole or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        aside.write_text(text)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


PACKAGES = ("aent", "torch", "trl", "transformers", "accelerate", "datasets", "peft", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter, the machine and its GPU."""
    import torch

    installed = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    return {
        **{p: importlib.metadata.version(p) for p in PACKAGES if p in installed},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }
