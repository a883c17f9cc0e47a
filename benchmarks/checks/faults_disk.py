"""A disk that is full after a random number of bytes: a small file system in memory (root only, Linux)."""

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faults_common import Place, Row, evaluated, trained

PAGE = 4096
ROOM = "64m"


def check(place: Place) -> Iterator[Row]:
    """Fill the disk at ``place.moments`` random sizes, half during a run and half during an evaluation."""
    if os.geteuid() != 0:
        raise SystemExit("a full disk is tried on a file system in memory, which only root can mount")
    for command, words, result in (
        ("train", place.train, trained),
        ("eval", place.evaluate, evaluated),
    ):
        yield from _filled(place, command, words, result)


def _filled(
    place: Place, command: str, words: Callable[[str], list[str]], result: Callable[[Path], Any]
) -> Iterator[Row]:
    rng = random.Random(f"{place.seed} disk {command}")
    argv, disk = words("disk/run"), place.folder / "disk"
    with _mounted(disk, ROOM):
        whole = place.aent(*argv).wait()
        assert whole.code == 0, whole.text
        due, used = result(disk / "run"), _used(disk)
    for _ in range(place.moments // 2):
        size = rng.randrange(1, used // PAGE) * PAGE
        with _mounted(disk, str(size)):
            first = place.aent(*argv).wait()
            subprocess.run(["mount", "-o", f"remount,size={ROOM}", disk], check=True)
            started = command == "train" and (disk / "run/config.yaml").exists()
            second = place.aent(*(["train", "--resume", str(disk / "run")] if started else argv)).wait()
            same = second.code == 0 and result(disk / "run") == due
        told = "the same result" if same else "ANOTHER RESULT" if second.code == 0 else second.last
        yield Row(
            group=f"a full disk during {command}",
            case=f"full after {size // 1024} of {used // 1024} KiB",
            survived=same and (first.explained or first.code == 0),
            said=f"exit code {first.code}: {first.last}; with room, resumed: {told}",
        )


@contextmanager
def _mounted(disk: Path, size: str) -> Iterator[None]:
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", disk], check=True)


def _used(disk: Path) -> int:
    state = os.statvfs(disk)
    return (state.f_blocks - state.f_bfree) * state.f_frsize
