"""Does the wheel work in an empty environment with the core alone? How many packages, how long an import?

    python -m build && python benchmarks/checks/release.py dist [--python ENVIRONMENT/bin/python]

Makes an environment, installs the wheel in `dist` into it without extras, measures entropies with it, and
prints one line of JSON. Ends with 1 if an import with torch takes `SECONDS` more of processor time than torch
alone, or there are more than `PACKAGES` packages beside torch and what torch itself requires, which is much
more for its CUDA build. `--python` reuses an environment that has the wheel.
"""

import argparse
import json
import resource
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SECONDS, PACKAGES, TRIES = 0.5, 15, 3
CORE = """
import torch, aent
stats = aent.token_stats(torch.zeros(2, 8), torch.tensor([0, 1]), subset=aent.TopK(k=4))
assert torch.allclose(stats.entropy, torch.log(torch.tensor(4.0)))  # uniform over the four that are kept
assert aent.load_method("aent").controller.update(0.1) == 0.002
"""

LISTED = """
import importlib.metadata as m, re
def name(text): return re.sub("[-_.]+", "-", re.match("[\\w.-]+", text)[0]).lower()
def required(d):  # torch asks for the parts of CUDA as extras of one package
    return [name(r) for r in d.requires or () if "extra ==" not in r or d.name.startswith("cuda")]
needs = {name(d.name): required(d) for d in m.distributions()}
torch, new = set(), {"torch"}
while new:
    torch |= new
    new = {n for p in new for n in needs[p] if n in needs} - torch
print(len(needs.keys() - torch - {"pip", "setuptools"}), len(needs.keys() - {"pip", "setuptools"}))
"""
"""Prints how many packages there are beside torch and what it requires, and how many altogether."""

CODES = {"aent": "import aent", "torch": "import torch", "aent with torch": "import aent; aent.token_stats"}
"""What is imported, by the name of the figure."""


def installed(folder: Path, dist: Path) -> str:
    """Install the wheel into a new environment; return its interpreter."""
    (wheel,) = dist.glob("aent-*.whl")
    venv.create(folder, with_pip=True)
    python = str(folder / "bin/python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    return python


def measured(python: str) -> dict[str, Any]:
    """The number of packages, and the least processor time of an import with torch and without."""
    subprocess.run([python, "-c", CORE], check=True, cwd="/")
    listed = subprocess.run([python, "-c", LISTED], check=True, capture_output=True, text=True, cwd="/")
    beside, packages = map(int, listed.stdout.split())
    times = {}
    for name, command in CODES.items():
        tries = []
        for _ in range(TRIES):
            before = spent()
            subprocess.run([python, "-c", command], check=True, cwd="/")
            tries.append(spent() - before)
        times[name] = round(min(tries), 2)
    return {"packages": packages, "beside torch": beside, "seconds": times}


def spent() -> float:
    """The processor time of all processes that have been started and have ended, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Print what was measured; return 1 if it is too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dist", type=Path)
    parser.add_argument("--python", help="interpreter of an environment that has the wheel")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = measured(options.python or installed(Path(folder), options.dist))
    print(json.dumps(found))
    seconds = found["seconds"]
    return int(found["beside torch"] > PACKAGES or seconds["aent with torch"] > seconds["torch"] + SECONDS)


if __name__ == "__main__":
    sys.exit(main())
