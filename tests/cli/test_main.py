"""The ``aent`` command: what it prints at once, and what it does not load for that."""

import os
import subprocess
import sys

import pytest

import aent
from aent.cli.main import COMMANDS, main

HEAVY = ("torch", "transformers", "trl", "datasets", "peft", "numba")


@pytest.mark.parametrize("words", ["--help", "--version", "methods", "methods aent", "train --help",
                                   "compare --help", "plan --help", "calibrate --help"])  # fmt: skip
def test_the_first_second_loads_no_trainer(words):
    code = (
        "import sys; from aent.cli.main import main\n"
        f"code = main({words.split()!r})\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"
    assert len(done.stdout.splitlines()) > 1


def test_help_names_every_command_and_no_words_are_a_mistake(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)
    assert main([]) == 2
    assert capsys.readouterr().out == printed


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{aent.__version__}\n"


def test_an_unknown_command_names_the_nearest(capsys):
    assert main(["trian"]) == 1
    assert "unknown command 'trian'. Did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["--help", "diagnose --help", "eval --help"])
def test_a_reader_that_is_gone_ends_help_without_a_word(words):
    """What was printed waits in a buffer, so without a flush only the end of Python noticed."""
    to_read, to_write = os.pipe()
    os.close(to_read)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "aent.cli.main", *words.split()]
    done = subprocess.run(command, stdout=to_write, stderr=subprocess.PIPE, env=environment)
    os.close(to_write)
    assert (done.returncode, done.stderr) == (141, b"")
