"""From folders to the content of a report."""

from collections.abc import Sequence
from pathlib import Path

from aent.errors import InputError
from aent.report.content import Content
from aent.report.from_comparison import content_of_comparison
from aent.report.from_runs import content_of_runs
from aent.runs.comparison import SETTINGS, ComparisonFolder
from aent.runs.folder import RECIPE, RunFolder
from aent.runs.read import StoredRun


def report_content(paths: Sequence[Path]) -> Content:
    """Read one comparison, or one run or several, for `aent.report.page.write_page`.

    Raises:
        InputError: if a folder is neither, has nothing to show yet, or the runs do not belong together.
    """
    comparisons = [path for path in paths if (path / SETTINGS).is_file()]
    if comparisons and len(paths) > 1:
        raise InputError(
            f"{comparisons[0]} is a comparison and has a report of its own; give it alone, or run folders "
            f"only (those of a comparison are in {comparisons[0] / 'runs'})"
        )
    if comparisons:
        return content_of_comparison(ComparisonFolder(comparisons[0]))
    return content_of_runs([StoredRun.read(_run_folder(path)) for path in paths])


def _run_folder(path: Path) -> RunFolder:
    if not (path / RECIPE).is_file():
        raise InputError(
            f"{path} holds neither a run of aent train ({RECIPE}) nor an aent compare ({SETTINGS}). "
            "Give run folders, or the folder of one comparison; they are kept in runs/"
        )
    return RunFolder(path)
