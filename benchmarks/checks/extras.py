"""Does the wheel install with each extra into an empty environment, and does the extra work there?

    pip wheel --no-deps -w dist . && python benchmarks/checks/extras.py dist [EXTRA ...]

Every extra gets an environment of its own, with the newest releases that fit beside --torch, and runs a few
lines that fail without the extra. Prints one line of JSON per extra; ends with 1 if any of them failed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

from release import LISTED

USES = {
    "trl": """
from aent.trl import AEntGRPOConfig
AEntGRPOConfig(output_dir="out", aent_method="aent-auto", use_cpu=True, bf16=False)
""",
    "tasks": """
from aent.tasks import load_task
assert load_task("math").score("The answer is \\\\boxed{0.5}", {"answer": "1/2"}) == 1
assert load_task("reasoning-gym", source="spell_backward").dataset("train")
""",
    "report": "import aent.report, matplotlib, jinja2",
    "native": """
import torch, aent
stats = aent.token_stats(torch.zeros(2, 8), torch.tensor([0, 1]), backend="native")
assert stats.entropy.allclose(torch.tensor(8.0).log())
""",
    "gguf": "import gguf, aent.policies.gguf",
    "gpu": "import triton",
    "docs": "import mkdocs, material, mkdocstrings",
    "all": "import aent.trl, aent.report, math_verify, reasoning_gym, numba",
    "dev": "import pytest, xdist, hypothesis, tensorboard, mkdocs, gguf",
    "verl": "import verl, aent.verl.plugin",
}
"""What is run in the environment of each extra."""


def tried(extra: str, wheel: Path, base: Path) -> dict[str, object]:
    """Install the wheel with one extra, use it, and say what came out."""
    with TemporaryDirectory() as folder:
        copied = Path(folder) / extra
        shutil.copytree(base, copied, symlinks=True, copy_function=os.link)
        python = str(copied / "bin/python")
        commands = {
            "install": [python, "-m", "pip", "install", "--quiet", f"{wheel.resolve()}[{extra}]"],
            "use": [python, "-c", USES[extra]],
        }
        for step, command in commands.items():
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
            if done.returncode:
                return {"extra": extra, "failed": step, "says": done.stderr[-600:]}
        listed = subprocess.run([python, "-c", LISTED], check=True, capture_output=True, text=True)
        return {"extra": extra, "packages": int(listed.stdout.split()[1])}


def main() -> int:
    """Try the extras that were asked for; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dist", type=Path)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help=", ".join(USES))
    parser.add_argument("--torch", default="torch==2.13.0")
    options = parser.parse_args()
    (wheel,) = options.dist.glob("aent-*.whl")
    if unknown := set(options.extras) - USES.keys():
        parser.error(f"unknown extras {', '.join(sorted(unknown))}; there are {', '.join(USES)}")
    failed = False
    with TemporaryDirectory() as folder:  # torch is installed once; every extra gets links to its files
        base = Path(folder) / "torch"
        venv.create(base, with_pip=True)
        pip = [str(base / "bin/python"), "-m", "pip", "install", "--quiet", options.torch]
        subprocess.run(pip, check=True)
        for extra in options.extras or USES:
            outcome = tried(extra, wheel, base)
            print(json.dumps(outcome), flush=True)
            failed |= "failed" in outcome
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
