"""The child side of `aent.tasks.limits`: a process that answers requests until one exceeds its limits.

The first process imports the module and then only forks. A fork answers the requests; the kernel ends it
when a request exceeds its processor time, and the next fork takes over within milliseconds.
"""

import json
import os
import resource
import signal
import time
from contextlib import suppress
from importlib import import_module
from types import ModuleType

_ANSWERS_PER_FORK = 2000  # sympy's caches grow; a fresh fork starts from small ones

_CLOSED = 3

_RETIRED = 4


def serve(module: str, memory: int) -> None:
    """Call functions of `module` for every request on standard input until it closes.

    A request is one line of JSON, ``[seconds, function, arguments]``. A reply is one line of JSON,
    ``[seconds, result]`` with the processor time spent and null as the result if the function raised. It
    is null altogether if the function exceeded `seconds`, or `memory` bytes of address space.
    The first line ever sent says why the module cannot be imported; it is empty if it can.
    """
    requests, replies = _take_pipes()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process
    with suppress(OSError, ValueError):  # macOS refuses
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        functions = import_module(module)
    except ImportError as error:
        os.write(replies, json.dumps(str(error)).encode() + b"\n")
        return
    os.write(replies, b'""\n')
    while True:
        fork = os.fork()
        if fork == 0:
            _answer(functions, requests, replies)
        status = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
        if status == _CLOSED:
            return
        if status != _RETIRED:
            os.write(replies, b"null\n")


def _take_pipes() -> tuple[int, int]:
    """Move standard input and output elsewhere, so that nothing but `serve` reads or writes them."""
    pipes = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return pipes


def _answer(functions: ModuleType, requests: int, replies: int) -> None:
    """Answer requests in this process, then end it."""
    for _ in range(_ANSWERS_PER_FORK):
        line = _read_line(requests)
        if not line:
            os._exit(_CLOSED)
        seconds, function, arguments = json.loads(line)
        begin = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, seconds)
        result = _call(functions, function, arguments)
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(replies, json.dumps([time.process_time() - begin, result]).encode() + b"\n")
    os._exit(_RETIRED)


def _call(functions: ModuleType, function: str, arguments: list[object]) -> object:
    try:
        return getattr(functions, function)(*arguments)
    except MemoryError:
        os._exit(1)
    except Exception:  # whatever a parser raises on hostile text
        return None


def _read_line(pipe: int) -> bytes:
    """Return the next request, or nothing once the pipe is closed. One request waits at a time."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(pipe, 1 << 16)
        if not part:
            return b""
        line += part
    return line
