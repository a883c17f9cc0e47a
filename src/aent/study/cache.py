"""Finished runs on disk: one line of JSON each, reused for the same settings."""

import json
import signal
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from aent.errors import InputError
from aent.progress import progress_bar
from aent.study.mdp import Job, simulate


class Runs:
    """The finished runs of a folder."""

    def __init__(self, path: Path):
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text() if path.exists() else ""
            whole = text[: text.rfind("\n") + 1]  # a truncated last line is dropped
            if whole != text:
                path.write_text(whole)
        except OSError as error:
            raise InputError(f"{path} cannot be used: {error}; give another --output") from error
        self._rows = dict(self._read(whole))

    def _read(self, text: str) -> Iterable[tuple[str, dict[str, Any]]]:
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                row = json.loads(line)
                yield json.dumps(row["job"]), row
            except (ValueError, KeyError, TypeError):
                raise InputError(
                    f"{self.path}, line {number} is not a run of aent study mdp; give another --output"
                ) from None

    def __getitem__(self, job: Job) -> dict[str, Any]:
        return self._rows[_key(job)]

    def missing(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs that are not finished, each once."""
        return list({_key(job): job for job in jobs if _key(job) not in self._rows}.values())

    def add(self, job: Job, result: dict[str, Any]) -> None:
        """Add a finished run; it is on disk when this returns."""
        row = {"job": asdict(job), **result}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._rows[_key(job)] = row


def finish(jobs: Sequence[Job], runs: Runs, console: Console, title: str, workers: int) -> None:
    """Run the missing jobs in `workers` processes, with a bar; Ctrl-C keeps every finished run."""
    todo = runs.missing(jobs)
    if not todo:
        return
    pool = ProcessPoolExecutor(
        max_workers=min(len(todo), workers),
        mp_context=get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),  # only this process handles Ctrl-C
    )
    try:
        with progress_bar(console) as bar:
            task = bar.add_task(title, total=len(jobs), completed=len(jobs) - len(todo))
            futures = {pool.submit(simulate, job): job for job in todo}
            for future in as_completed(futures):
                runs.add(futures[future], future.result())
                bar.advance(task)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _key(job: Job) -> str:
    return json.dumps(asdict(job))
