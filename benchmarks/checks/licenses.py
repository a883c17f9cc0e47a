"""The licenses of the pinned packages that are installed, and which of them are not plainly permissive.

    python benchmarks/checks/licenses.py

Reads the metadata of each package in constraints.txt: the license expression, else the classifiers, else the
first line of the license field. Ends with 1 if a license is neither known as permissive nor in `ALLOWED`.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|0BSD|PSF|Python Software|HPND|Zlib|Unlicense|CC0|public domain|MPL|Mozilla)", re.I
)
ALLOWED: dict[str, str] = {"zss": "its metadata state none; the license file in its wheel is a BSD license"}
"""Packages whose license is another one, with the reason why that is no problem."""


def license_of(package: str) -> str:
    """The license that a package states; empty if it states none."""
    about = metadata(package)
    classifiers = [
        c.rpartition(" :: ")[2] for c in about.get_all("Classifier", []) if c.startswith("License")
    ]
    first = (about.get("License") or "").strip().splitlines()
    return about.get("License-Expression") or ", ".join(classifiers) or (first[0] if first else "")


def main() -> int:
    """Print one line per license; return 1 if one needs a look."""
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    found: dict[str, list[str]] = {}
    for package in pins:
        try:
            found.setdefault(license_of(package) or "(none stated)", []).append(package)
        except PackageNotFoundError:
            found.setdefault("(not installed here)", []).append(package)
    wrong = []
    for name, packages in sorted(found.items()):
        print(f"{name}: {', '.join(packages)}")
        if not PERMISSIVE.search(name) and name != "(not installed here)":
            wrong += [package for package in packages if package not in ALLOWED]
    if wrong:
        print(f"\nto look at: {', '.join(wrong)}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
