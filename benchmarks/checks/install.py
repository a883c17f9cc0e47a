"""Check that pip finds a set of packages for aent with either build of torch, and with the newest releases.

    python benchmarks/checks/install.py [--python python3.11 python3.12 python3.13]

Nothing is installed. Where an index serves no metadata beside its wheels, pip downloads whole wheels to read
them: gigabytes, and minutes, for torch. The three corners:

- ``pinned``: the versions in constraints.txt, with the build of torch that the index prefers (a CPU build
  where it offers one);
- ``ordinary``: the same versions with torch's ordinary wheel, which brings CUDA libraries and pins triton;
- ``newest``: no constraints, so the newest releases that pyproject.toml accepts.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
SHOWN = ("torch", "triton", "transformers", "trl", "numba", "numpy")


def pinned_torch() -> str:
    """The version of torch in constraints.txt."""
    (version,) = re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return version


def corners() -> dict[str, list[str]]:
    """What pip is asked for, by the name of the corner."""
    pins, version = ["-c", str(ROOT / "constraints.txt")], pinned_torch()
    return {
        "pinned": [*pins, f"torch=={version}"],
        "ordinary": [*pins, f"torch==={version}"],  # === excludes a build with a local version such as +cpu
        "newest": ["torch"],
    }


def resolve(python: str, requirements: list[str]) -> dict[str, str]:
    """The versions that pip would install for an interpreter; exits with pip's message if it finds none."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--report", str(report), *requirements, ".[dev]"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        packages = [entry["metadata"] for entry in json.loads(report.read_text())["install"]]
    return {package["name"].lower(): package["version"] for package in packages}


def main() -> None:
    """Resolve every corner for every Python; print the versions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="interpreters")
    parser.add_argument("--corner", nargs="+", choices=corners(), default=[*corners()])
    options = parser.parse_args()
    for python in options.python:
        for corner in options.corner:
            requirements = corners()[corner]
            print(f"{corner}, {python}: pip install {' '.join(requirements)} '.[dev]'", flush=True)
            versions = resolve(python, requirements)
            shown = ", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions)
            print(f"  {len(versions)} packages: {shown}", flush=True)


if __name__ == "__main__":
    main()
