"""``aent report``: runs or a comparison as one HTML page."""

from collections.abc import Sequence
from pathlib import Path

from aent.errors import InputError
from aent.report.export import write_export
from aent.report.gather import is_ours, report_content
from aent.report.page import write_page
from aent.runs.folder import REPORT
from aent.spec import take_flags

HELP = """\
usage: aent report RUN... [--output FILE] [--export FOLDER]

Show runs on one HTML page that needs no network: curves, pass@k, differences with intervals, settings, and
sampled answers with every token colored by its entropy. `aent train` and `aent compare` finish by writing it.

RUN              run folders of aent train with the same task and evaluation (runs that differ only in the
                 seed become one line with a band), or the folder of one aent compare; beside them or alone,
                 logs of runs made elsewhere: everything that aent diagnose reads
--output FILE    the page (default: report.html in RUN if it is one run of aent or one comparison, else in the
                 current folder). An earlier report is replaced; any other file is not
--export FOLDER  also write the data as CSV (curves.csv, results.csv, logged.csv) and every chart as SVG. The
                 folder must be new or empty, or hold an earlier export, which is replaced
"""


def main(argv: Sequence[str]) -> int:
    """Write the page, and the export if one is asked for, and say where they are."""
    if "-h" in argv or "--help" in argv or not argv:
        print(HELP)
        return 0 if argv else 2
    own, words = take_flags(argv, ("output", "export"))
    if flags := [word for word in words if word.startswith("-")]:
        raise InputError(
            f"{flags[0]} is not a flag of aent report; it takes runs, --output FILE and --export FOLDER"
        )
    if not words:
        raise InputError(
            "no run is given: aent report RUN..., for instance aent report runs/countdown-aent-001"
        )
    # A run that is given twice, in two spellings, would count as two seeds
    paths = list({Path(word).resolve(): Path(word) for word in words}.values())
    output = Path(own.get("output", paths[0] / REPORT if is_ours(paths) else REPORT))
    if output.is_dir():
        raise InputError(f"--output {output} is a folder; give a file, for instance {output / REPORT}")
    content = report_content(paths)
    write_page(content, output)
    print(output)
    if "export" in own:
        write_export(content, Path(own["export"]))
        print(own["export"])
    return 0
