"""From folders to the content of a report."""

from collections.abc import Sequence
from pathlib import Path

from aent.errors import InputError
from aent.logs.read import Log, read_log
from aent.report.content import Content
from aent.report.from_comparison import content_of_comparison
from aent.report.from_logs import with_logs
from aent.report.from_runs import content_of_runs
from aent.runs.comparison import SETTINGS, ComparisonFolder
from aent.runs.folder import RECIPE, RunFolder
from aent.runs.read import StoredRun


def report_content(paths: Sequence[Path]) -> Content:
    """Read one comparison, or one run or several, and logs of runs made elsewhere, for `write_page`.

    Raises:
        InputError: if a path is none of these, has nothing to show yet, or the runs do not belong together.
    """
    comparisons = [path for path in paths if (path / SETTINGS).is_file()]
    runs = [path for path in paths if path not in comparisons and (path / RECIPE).is_file()]
    logs = {path: _log(path) for path in paths if path not in (*comparisons, *runs)}
    if len(comparisons) + bool(runs) > 1:
        raise InputError(
            f"{comparisons[0]} is a comparison and has a report of its own; give it without other runs, or "
            f"give run folders only (those of a comparison are in {comparisons[0] / 'runs'})"
        )
    content = None
    if comparisons:
        content = content_of_comparison(ComparisonFolder(comparisons[0]))
    elif runs:
        content = content_of_runs([StoredRun.read(RunFolder(path)) for path in runs])
    return content if content and not logs else with_logs(content, logs)


def _log(path: Path) -> Log:
    try:
        return read_log(path)
    except InputError as error:
        raise InputError(f"{error}. aent report also takes the folder of an aent compare") from None


def is_ours(paths: Sequence[Path]) -> bool:
    """Whether this is the folder of one run of ours or of one comparison, in which the report belongs."""
    return len(paths) == 1 and any((paths[0] / name).is_file() for name in (SETTINGS, RECIPE))
