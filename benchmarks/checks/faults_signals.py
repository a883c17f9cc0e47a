"""SIGKILL, SIGTERM and Ctrl-C at random moments of train, eval and compare; each is then resumed."""

import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faults_common import Ended, Place, Row, compared, evaluated, fork_runs, trained

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def check_train(place: Place) -> Iterator[Row]:
    """Disturb a run at ``place.moments`` random moments; the three signals take turns."""
    yield from _disturbed(place, "train", place.train, trained)


def check_eval(place: Place) -> Iterator[Row]:
    """Disturb an evaluation in the same way."""
    yield from _disturbed(place, "eval", place.evaluate, evaluated)


def check_compare(place: Place) -> Iterator[Row]:
    """Disturb a comparison in the same way; its runs are forks of it."""
    yield from _disturbed(place, "compare", place.compare, compared, before=fork_runs)


def _disturbed(
    place: Place,
    command: str,
    words: Callable[[str], list[str]],
    result: Callable[[Path], Any],
    before: Callable[[], object] = lambda: None,
) -> Iterator[Row]:
    rng = random.Random(f"{place.seed} {command}")
    shutil.rmtree(place.folder / "whole", ignore_errors=True)
    whole = place.aent(*words("whole"), before=before).wait()
    assert whole.code == 0, whole.text
    due = result(place.folder / "whole")
    for index in range(place.moments):
        number = SIGNALS[index % len(SIGNALS)]
        row = None
        while row is None:
            row = _one(place, words, result, due, number, rng.uniform(0, whole.seconds), before)
        yield row


def _one(
    place: Place,
    words: Callable[[str], list[str]],
    result: Callable[[Path], Any],
    due: Any,
    number: signal.Signals,
    moment: float,
    before: Callable[[], object],
) -> Row | None:
    """Disturb a command once, resume it, and say whether the result is that of an undisturbed one.

    Returns None if the command ended before the moment, so that another one is drawn.
    """
    run, argv = place.folder / "disturbed", words("disturbed")
    shutil.rmtree(run, ignore_errors=True)
    child = place.aent(*argv, before=before)
    in_time = child.send_after(moment, number)
    first = child.wait()
    if not in_time:
        return None
    again = argv
    if argv[0] == "train" and (run / "config.yaml").exists():
        again = ["train", "--resume", str(run)]
    second = place.aent(*again, before=before).wait()
    same = second.code == 0 and result(run) == due
    told = "the same result" if same else "ANOTHER RESULT" if second.code == 0 else second.last
    return Row(
        group=f"{number.name} during {argv[0]}",
        case=f"after {moment:.2f} s",
        survived=same and first.clean and second.clean and _expected(first, number),
        said=f"exit code {first.code}: {first.last}; resumed: {told}",
    )


def _expected(ended: Ended, number: signal.Signals) -> bool:
    """Whether a command ended as the signal asks: killed, interrupted (130), or already done."""
    return ended.code in (0, -number, 130)
