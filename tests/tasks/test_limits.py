import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from aent.errors import InputError
from aent.tasks import limits
from aent.tasks.limits import Killable, LimitError, budget, is_huge

MODULE = """
import os, sys, time

def echo(value):
    return value

def fail():
    raise RuntimeError("no")

def pid():
    return os.getpid()

def leave():
    os._exit(0)

def work(seconds):
    begin = time.process_time()
    while time.process_time() < begin + seconds:
        pass
    return True

def spin():
    while True:
        pass

class SlowToFree:
    def __del__(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                while time.monotonic() < end:
                    pass
            except BaseException:
                pass

def slow_to_free():
    kept = SlowToFree()
    return 1

def swallow():
    while True:
        try:
            spin()
        except BaseException:
            pass

def fill():
    return len(bytearray(4 << 30))

def recurse(depth=0):
    return recurse(depth + 1)

def printed():
    print("this is no reply")
    sys.stdin.read()
    return "reply"

def imported():
    return [name for name in ("torch", "transformers", "datasets", "trl") if name in sys.modules]
"""


@pytest.fixture
def process(tmp_path, monkeypatch):
    (tmp_path / "called_in_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(limits, "SECONDS", 0.3)
    killable = Killable("called_in_test")
    yield killable
    killable.close()


def test_results_come_back(process):
    assert process.call("echo", {"a": [1, None, "ü\n"]}) == {"a": [1, None, "ü\n"]}
    assert process.call("imported") == []


@pytest.mark.parametrize("function", ["fail", "recurse"])
def test_what_raises_has_no_result(process, function):
    assert process.call(function) is None
    assert process.call("echo", 2) == 2


@pytest.mark.parametrize("function", ["spin", "slow_to_free", "swallow", "fill", "leave"])
def test_what_exceeds_a_limit_is_ended(process, function):
    assert process.call("echo", 1) == 1  # started
    begin = time.monotonic()
    with pytest.raises(LimitError):
        process.call(function)
    assert time.monotonic() - begin < 30  # 0.3 s of processor time on a busy machine
    assert process.call("echo", 2) == 2


def test_calls_share_a_budget(process, monkeypatch):
    monkeypatch.setattr(limits, "SECONDS", 1.0)
    with budget():
        process.call("work", 0.6)
        with pytest.raises(LimitError) as error:
            process.call("work", 0.6)
        assert not error.value.whole
        with pytest.raises(LimitError):
            process.call("echo", 1)
    assert process.call("work", 0.6) is True
    with budget(), pytest.raises(LimitError) as error:
        process.call("spin")
    assert error.value.whole


def test_after_an_exception_the_same_process_answers_and_after_a_limit_another(process):
    first = process.call("pid")
    process.call("fail")
    assert process.call("pid") == first
    with pytest.raises(LimitError):
        process.call("spin")
    assert process.call("pid") != first


def test_signals_and_timers_of_the_caller_are_left_alone(process):
    before = signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGPROF)
    with pytest.raises(LimitError):
        process.call("spin")
    assert (signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGPROF)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def test_what_a_function_prints_is_no_reply(process):
    assert process.call("printed") == "reply"


def test_threads_get_their_own_results(process):
    results = {}

    def work(index):
        try:
            results[index] = [process.call("spin") if index == 3 else process.call("echo", index)]
        except LimitError:
            results[index] = [None]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {index: [None if index == 3 else index] for index in range(8)}


def test_a_process_that_was_killed_is_started_again(process):
    process.call("echo", 1)
    os.killpg(process._process.pid, signal.SIGKILL)
    process._process.wait()
    assert process.call("echo", 2) == 2


def test_parent_and_fork_have_separate_processes(process):
    first = process.call("pid")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(process.call("pid")).encode())
            process.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    other = int(os.read(reader, 100))
    assert other != first
    assert process.call("pid") == first


def test_an_interrupt_while_waiting_does_not_mix_up_replies(process, monkeypatch):
    process.call("echo", 1)
    with monkeypatch.context() as patch:
        patch.setattr(process, "_reply", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            process.call("echo", "old")
    assert process.call("echo", "new") == "new"


def test_a_silent_process_is_replaced(process, monkeypatch):
    process.call("echo", 1)
    os.killpg(process._process.pid, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(limits, "_PATIENCE", 0.2)
        with pytest.raises(LimitError):
            process.call("echo", 2)
    assert process.call("echo", 3) == 3


def test_a_module_that_cannot_be_imported_is_named():
    with pytest.raises(InputError, match=r"cannot start: No module named 'no_such_module'\. Install"):
        Killable("no_such_module").call("echo", 1)


def test_nothing_is_left_when_the_caller_ends(tmp_path):
    (tmp_path / "called_in_test.py").write_text(MODULE)
    code = (
        "from aent.tasks.limits import Killable\n"
        "k = Killable('called_in_test'); print(k.call('pid'), k._process.pid, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    pids = [int(pid) for pid in run.stdout.split()]
    assert len(pids) == 2
    end = time.monotonic() + 30
    while any(map(_runs, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(_runs, pids))


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("text", "huge"),
    [
        ("9^{9^{9}}", True),
        ("9**(9)**9", True),
        ("9^{((9999)*(9999))}", True),
        ("99999999!", True),
        ("(99!)!", True),
        ("2^{9!}", True),
        ("(10^{9999})^{99999}", True),
        ("10^{99999999999}", True),
        ("2^{10}", False),
        ("(x^2)^3", False),
        ("x^{10}y^{12}z^{14}", False),
        ("e^{x^2}", False),
        ("20!", False),
        ("x^9+x^8+x^7+x^6+x^5+x^4", False),
    ],
)
def test_numbers_too_large_to_compute(text, huge):
    assert is_huge(text) is huge
