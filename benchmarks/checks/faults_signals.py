"""SIGKILL, SIGTERM and Ctrl-C at random moments of train, eval and compare; each is then resumed."""

import random
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from faults_common import SHORT, TASK, Ended, Place, Row, compared, evaluated, trained

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def check_train(place: Place) -> Iterator[Row]:
    """Disturb a run at ``place.moments`` random moments; the three signals take turns."""
    yield from _disturbed(place, "train", place.train, trained)


def check_eval(place: Place) -> Iterator[Row]:
    """Disturb an evaluation in the same way."""
    yield from _disturbed(place, "eval", place.evaluate, evaluated)


def check_compare(place: Place) -> Iterator[Row]:
    """Disturb a comparison in the same way; its runs are processes of their own."""

    def words(name: str) -> list[str]:
        argv = ["compare", "countdown", "--methods", "none,aent", "--seeds", "3", "--jobs", "1"]
        model = ["--model_name_or_path", str(place.policy), *TASK, *_without_method(SHORT)]
        return [*argv, *model, "--output_dir", str(place.folder / name)]

    yield from _disturbed(place, "compare", words, compared)


def _without_method(words: Sequence[str]) -> list[str]:
    pairs = zip(words[::2], words[1::2], strict=True)
    return [word for pair in pairs if not pair[0].startswith("--method") for word in pair]


def _disturbed(
    place: Place, command: str, words: Callable[[str], list[str]], result: Callable[[Path], Any]
) -> Iterator[Row]:
    rng = random.Random(f"{place.seed} {command}")
    shutil.rmtree(place.folder / "whole", ignore_errors=True)
    whole = place.aent(*words("whole")).wait()
    assert whole.code == 0, whole.text
    due = result(place.folder / "whole")
    for index in range(place.moments):
        number = SIGNALS[index % len(SIGNALS)]
        yield _one(place, words, result, due, number, rng.uniform(0, whole.seconds))


def _one(
    place: Place,
    words: Callable[[str], list[str]],
    result: Callable[[Path], Any],
    due: Any,
    number: signal.Signals,
    moment: float,
) -> Row:
    """Disturb a command once, resume it, and say whether the result is that of an undisturbed one."""
    run, argv = place.folder / "disturbed", words("disturbed")
    shutil.rmtree(run, ignore_errors=True)
    child = place.aent(*argv)
    in_time = child.send_after(moment, number)
    first = child.wait()
    again = argv
    if argv[0] == "train" and (run / "config.yaml").exists():
        again = ["train", "--resume", str(run)]
    second = place.aent(*again).wait()
    same = second.code == 0 and result(run) == due
    told = "the same result" if same else "ANOTHER RESULT" if second.code == 0 else second.last
    return Row(
        group=f"{number.name} during {argv[0]}",
        case=f"after {moment:.2f} s" + ("" if in_time else " (it had ended)"),
        survived=same and first.clean and second.clean and _expected(first, number),
        said=f"exit code {first.code}: {first.last}; resumed: {told}",
    )


def _expected(ended: Ended, number: signal.Signals) -> bool:
    """Whether a command ended as the signal asks: killed, interrupted (130), or already done."""
    return ended.code in (0, -number, 130)
