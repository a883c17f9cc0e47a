"""The runs of a comparison, in processes of their own."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aent.runs.comparison import Comparison, ComparisonFolder, Job
from aent.runs.folder import RECIPE
from aent.training.interrupts import StopRequest

ENVIRONMENT = {
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore::FutureWarning",
    # Memory of tensors that a step frees is kept for the next one; glibc would give it back to the system.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
}
"""What `aent.cli.main` sets, for processes that start without it, and how they allocate memory."""

VISIBLE = "CUDA_VISIBLE_DEVICES"


class Workers:
    """Runs jobs in processes of their own, `count` at a time, each with one thread or one GPU."""

    def __init__(
        self, comparison: Comparison, folder: ComparisonFolder, *, count: int, gpus: Sequence[str] = ()
    ):
        self.comparison, self.folder, self.count = comparison, folder, count
        self.running: dict[Job, subprocess.Popen[bytes]] = {}
        self.failed: dict[Job, int] = {}
        """The exit codes of failed runs."""
        self._stopping = False
        self._starting = threading.Lock()
        """Held while a process starts: a request to stop finds it running, or keeps it from starting."""
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._gpus = gpus
        for slot in range(count):
            self._slots.put(slot)

    def run(self, jobs: Sequence[Job], tick: Callable[[], None]) -> None:
        """Run the jobs; call `tick` about twice a second while they run.

        Raises:
            KeyboardInterrupt: after Ctrl-C, SIGTERM or SIGHUP, once every run has finished its step and
                written a checkpoint; after a second one at once, and the runs are killed.
        """
        request = StopRequest()  # an exception raised by the handler could get lost in a destructor
        try:
            with request.listening(), ThreadPoolExecutor(self.count) as pool:
                futures = [pool.submit(self._one, job) for job in jobs]
                try:
                    while not all(future.done() for future in futures):
                        tick()
                        time.sleep(0.5)
                        if request.asked:
                            raise KeyboardInterrupt
                except KeyboardInterrupt:  # of a second request too, wherever it comes
                    self._stop()
                    raise
        except KeyboardInterrupt:
            for process in list(self.running.values()):  # none but after a second request
                process.kill()
            raise
        for future in futures:
            future.result()
        tick()

    def _stop(self) -> None:
        with self._starting:
            self._stopping = True
            for process in list(self.running.values()):
                process.send_signal(signal.SIGINT)

    def _one(self, job: Job) -> None:
        slot = self._slots.get()
        try:
            if not self._stopping:
                self._start(job, slot)
        finally:
            self._slots.put(slot)

    def _start(self, job: Job, slot: int) -> None:
        run, log = self.folder.run(job), self.folder.log(job)
        if (run.path / RECIPE).exists():
            argv = ["--resume", str(run.path)]
        else:  # a folder without settings: it was being created when the process was killed
            shutil.rmtree(run.path, ignore_errors=True)
            argv = [*self.comparison.argv(job), "--output_dir", str(run.path)]
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with log.open("ab") as out, self._starting:
                if self._stopping:
                    return
                self.running[job] = process = subprocess.Popen(
                    [sys.executable, "-m", "aent.training.worker", *argv],
                    env=self._environment(slot),
                    stdin=subprocess.PIPE,  # closed when this process ends, however it ends
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    process_group=0,  # Ctrl-C reaches the run through this process, once
                )
            code = process.wait()
        finally:
            self.running.pop(job, None)
        if code:
            self.failed[job] = code

    def _environment(self, slot: int) -> dict[str, str]:
        gpus = self._gpus
        one = {VISIBLE: gpus[slot % len(gpus)]} if gpus else {"OMP_NUM_THREADS": "1"}
        return {**ENVIRONMENT, **os.environ, **one}


def visible_gpus() -> list[str]:
    """Return the GPUs of this process as a process that it starts has to name them."""
    import torch

    count = torch.cuda.device_count()
    listed = os.environ.get(VISIBLE)
    return listed.split(",")[:count] if listed else [str(number) for number in range(count)]


def usable_cores() -> int:
    """Return how many cores this process may use, which SLURM, taskset and cpusets limit."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
