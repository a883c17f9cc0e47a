"""What a result was made with."""

import importlib.metadata
import os
import platform

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
