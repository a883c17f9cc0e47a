"""The grading process itself, spoken to over its pipes; its limits are tested in test_limits.py."""

import json
import subprocess
import sys

import pytest

MODULE = """
import os, sys

def double(value):
    return 2 * value

def fail():
    raise ValueError

def leave():
    os._exit(9)

def pid():
    return os.getpid()
"""
SERVE = "import sys; from aent.tasks.killable import serve; serve(sys.argv[1], 1 << 30)"


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Return the lines that a process replies to requests."""
    (tmp_path / "served.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(*requests, module="served"):
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        replies = [json.loads(process.stdout.readline())]
        for request in requests:  # one at a time, as the process expects them
            print(json.dumps([5, *request]), file=process.stdin, flush=True)
            replies.append(json.loads(process.stdout.readline()))
        process.communicate(timeout=60)  # closes its input, and it ends
        assert process.returncode == 0
        return replies

    return run


def test_a_reply_is_the_time_and_the_result(serve):
    ready, (seconds, result) = serve(["double", [21]])
    assert ready == ""
    assert result == 42
    assert 0 <= seconds < 5


def test_an_exception_is_null_and_a_fork_that_ends_is_replaced(serve):
    _, first, failed, ended, other = serve(["pid", []], ["fail", []], ["leave", []], ["pid", []])
    assert failed[1] is None
    assert ended is None
    assert other[1] != first[1]


def test_a_missing_module_is_named(serve):
    assert serve(module="no_such_module") == ["No module named 'no_such_module'"]
