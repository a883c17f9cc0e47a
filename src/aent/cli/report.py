"""``aent report``: runs or a comparison as one HTML page."""

from collections.abc import Sequence
from pathlib import Path

from aent.errors import InputError
from aent.report.gather import report_content
from aent.report.page import write_page
from aent.runs.folder import REPORT
from aent.spec import take_flags

HELP = """\
usage: aent report RUN... [--output FILE]

Show runs on one HTML page that needs no network: curves, pass@k, differences with intervals, settings, and
sampled answers with every token colored by its entropy. `aent train` and `aent compare` finish by writing it.

RUN            run folders of aent train with the same task and evaluation (runs that differ only in the seed
               become one line with a band), or the folder of one aent compare
--output FILE  the page (default: report.html in the folder of RUN; for several runs, in the current folder).
               An earlier report is replaced; any other file is not
"""


def main(argv: Sequence[str]) -> int:
    """Write the page and say where it is."""
    if "-h" in argv or "--help" in argv or not argv:
        print(HELP)
        return 0 if argv else 2
    own, words = take_flags(argv, ("output",))
    if flags := [word for word in words if word.startswith("-")]:
        raise InputError(f"{flags[0]} is not a flag of aent report; it takes run folders and --output FILE")
    if not words:
        raise InputError(
            "no run is given: aent report RUN..., for instance aent report runs/countdown-aent-001"
        )
    paths = list(dict.fromkeys(Path(word) for word in words))
    output = Path(own.get("output", REPORT if len(paths) > 1 else paths[0] / REPORT))
    if output.is_dir():
        raise InputError(f"--output {output} is a folder; give a file, for instance {output / REPORT}")
    write_page(report_content(paths), output)
    print(output)
    return 0
