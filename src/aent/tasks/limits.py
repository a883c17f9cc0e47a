"""Limits on grading: processor time, memory, and the size of numbers.

An answer is hostile until it has been read: a parser can need hours or gigabytes for a line of text, and
Python cannot interrupt it reliably from within. `Killable` therefore runs such code in a process of its
own, which the kernel ends at its limits.
"""

import atexit
import json
import math
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from aent.errors import InputError

SECONDS = 2.0
"""Processor time that one call may take, and all calls within one `budget` together."""

_MEMORY = 1 << 30  # bytes of address space of the grading process

_START = 300.0  # seconds that imports may take on a busy machine

_PATIENCE = 60.0  # seconds without a reply, busy machine or not, after which the process is replaced

_SOURCE = "import sys; from aent.tasks.killable import serve; serve(sys.argv[1], int(sys.argv[2]))"


_BUDGET: ContextVar[list[float] | None] = ContextVar("budget", default=None)


class LimitError(Exception):
    """A call exceeded its processor time or memory. `whole`: although it had all of `SECONDS`."""

    def __init__(self, whole: bool):
        super().__init__("a call exceeded its limits")
        self.whole = whole


@contextmanager
def budget() -> Iterator[None]:
    """Let all calls in the block, in this thread, share `SECONDS` of processor time."""
    token = _BUDGET.set([SECONDS])
    try:
        yield
    finally:
        _BUDGET.reset(token)


class Killable:
    """Calls functions of a module in another process, under limits of processor time and memory.

    The process starts with the first call and imports `module`, but never torch. It may be called from any
    thread. After a fork, parent and child have separate processes. Arguments and results are JSON.
    """

    def __init__(self, module: str):
        self.module = module
        self._reset()
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._forget)

    def call(self, function: str, *arguments: Any) -> Any:
        """Return ``module.function(*arguments)``, or None if it raises.

        The limits are `SECONDS` of processor time, however busy the machine is, or what is left of the
        `budget`, and 1 GiB of address space.

        Raises:
            LimitError: if the call exceeds a limit.
            InputError: if the process cannot import the module.
        """
        left = _BUDGET.get() or [SECONDS]
        if left[0] <= 0:
            raise LimitError(whole=False)
        whole = left[0] >= SECONDS
        reply = self._asked(json.dumps([left[0], function, arguments]).encode() + b"\n")
        if reply is None:
            left[0] = 0
            raise LimitError(whole)
        spent, result = reply
        left[0] -= spent
        return result

    def _asked(self, request: bytes) -> list[Any] | None:
        """Return the reply to a request, None if it exceeded a limit."""
        with self._lock:
            try:
                pipe = self._started().stdin
                assert pipe is not None
                pipe.write(request)
                reply = self._reply(_PATIENCE)
            except BrokenPipeError:  # ended from outside, between two calls
                reply = b""
            except BaseException:  # such as Ctrl-C: the reply would be taken for that to the next request
                self._stop()
                raise
            if not reply:
                self._stop()
                return None
            return json.loads(reply)

    def close(self) -> None:
        """End the process. The next call starts another one."""
        with self._lock:
            self._stop()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def _forget(self) -> None:
        """In a forked child: leave the parent's process alone."""
        process = self._process
        self._reset()
        if process is not None:
            process.returncode = 0  # not a child of this process, so never to be waited for
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _SOURCE, self.module, str(_MEMORY)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C and a closed terminal reach this process only
        )
        reason = json.loads(self._reply(_START) or '"it ended before it was ready"')
        if reason:
            self._stop()
            raise InputError(
                f"the grading process cannot start: {reason}. Install math-verify (aent's extra 'tasks')."
            )
        return self._process

    def _reply(self, seconds: float) -> bytes:
        """Return the next line of the process, or nothing if it ends or stays silent for `seconds`."""
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(pipe, select.POLLIN | select.POLLHUP)
        end, line = time.monotonic() + seconds, b""
        while not line.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not poll.poll(1000 * left):
                return b""
            part = os.read(pipe, 1 << 16)
            if not part:
                return b""
            line += part
        return line

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()


_POWER = re.compile(r"([)}]?)\s*(?:\^|\*\*)\s*")

_NUMERIC_POWER = re.compile(r"[0-9)}]\s*(?:\^|\*\*)|!", re.ASCII)

_EXPONENT = re.compile(r"[-+]?\w*", re.ASCII)

_FACTORIAL = re.compile(r"(?:[0-9]{4}|[)}!])\s*!", re.ASCII)

_MAX_POWER = 10_000


def is_huge(text: str) -> bool:
    """Whether a text contains a number that would take sympy seconds or gigabytes to compute.

    Such a number is a power of a power of numbers, a large factorial, or an exponent above 10000.
    """
    largest, nested = 1, 1
    for power in _POWER.finditer(text):
        exponent = _exponent(text, power.end())
        after = text[power.end() + len(exponent) :].lstrip()
        numbers = re.findall("[0-9]+", exponent)
        if _NUMERIC_POWER.search(exponent) or (numbers and after.startswith(("^", "**", "!"))):
            return True
        size = math.prod(max(1, int(number[:6])) for number in numbers)
        if power[1]:  # a power of something in brackets, perhaps of a power
            nested *= size
        else:
            largest = max(largest, size)
    return largest * nested > _MAX_POWER or bool(_FACTORIAL.search(text))


def _exponent(text: str, start: int) -> str:
    """Return the exponent that begins at `start`: in balanced brackets, or one number or word."""
    if text[start : start + 1] not in ("(", "{"):
        match = _EXPONENT.match(text, start)
        return match[0] if match else ""
    depth = 0
    for position in range(start, len(text)):
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start : position + 1]
    return text[start:]
