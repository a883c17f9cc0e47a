"""The runs of a comparison in processes of their own."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aent.runs.comparison import Comparison, ComparisonFolder, Job


class Workers:
    """Runs jobs in processes of their own, so many at a time, each with one thread or one GPU."""

    def __init__(self, comparison: Comparison, folder: ComparisonFolder, *, count: int, gpus: int = 0):
        self.comparison, self.folder, self.count = comparison, folder, count
        self.running: dict[Job, subprocess.Popen[bytes]] = {}
        self.failed: dict[Job, int] = {}
        self._stopping = threading.Event()
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._gpus = gpus
        for slot in range(count):
            self._slots.put(slot)

    def run(self, jobs: Sequence[Job], tick: Callable[[], None]) -> None:
        """Run the jobs; call `tick` about twice a second while they run.

        Raises:
            KeyboardInterrupt: after Ctrl-C, when every run has ended its step with a checkpoint.
        """
        asked = threading.Event()  # an exception out of the signal handler could get lost in a destructor
        before = signal.signal(signal.SIGINT, lambda *_: asked.set())
        try:
            with ThreadPoolExecutor(self.count) as pool:
                futures = [pool.submit(self._one, job) for job in jobs]
                while not all(future.done() for future in futures):
                    tick()
                    if asked.wait(0.5):
                        signal.signal(signal.SIGINT, before)  # a second Ctrl-C stops at once
                        self._stop()
                        raise KeyboardInterrupt
        finally:
            signal.signal(signal.SIGINT, before)
        for future in futures:
            future.result()
        tick()

    def _stop(self) -> None:
        self._stopping.set()
        for process in list(self.running.values()):
            process.send_signal(signal.SIGINT)

    def _one(self, job: Job) -> None:
        slot = self._slots.get()
        try:
            if not self._stopping.is_set():
                self._start(job, slot)
        finally:
            self._slots.put(slot)

    def _start(self, job: Job, slot: int) -> None:
        run, log = self.folder.run(job), self.folder.log(job)
        if (run.path / "config.yaml").exists():
            argv = ["--resume", str(run.path)]
        else:  # a folder without settings was cut off while it was made
            shutil.rmtree(run.path, ignore_errors=True)
            argv = [*self.comparison.argv(job), "--output_dir", str(run.path)]
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with log.open("ab") as out:
                self.running[job] = process = subprocess.Popen(
                    [sys.executable, "-m", "aent.training.worker", *argv],
                    env=self._environment(slot),
                    stdin=subprocess.PIPE,  # closed when this process ends, however it ends
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    process_group=0,  # Ctrl-C comes through this process, once
                )
            code = process.wait()
        finally:
            self.running.pop(job, None)
        if code:
            self.failed[job] = code

    def _environment(self, slot: int) -> dict[str, str]:
        one = {"CUDA_VISIBLE_DEVICES": str(slot % self._gpus)} if self._gpus else {"OMP_NUM_THREADS": "1"}
        return {**os.environ, **one}
