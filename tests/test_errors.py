"""Messages instead of stack traces."""

import subprocess
import sys

import pytest

from aent.errors import InputError, contradiction, exit_code, unknown


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (InputError("low=2 is above high=1"), 1, "error: low=2 is above high=1\n"),
        (ImportError("No module named 'trl'"), 1, "pip install -e '.[all]'"),
        (OSError(28, "No space left on device"), 1, "What was written before is kept"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_mistake_is_one_message_and_an_exit_code(raised, code, message, capsys):
    def program():
        raise raised

    assert exit_code(program) == code
    assert message in capsys.readouterr().err


def test_what_is_nobodys_mistake_stays_a_trace():
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 // 0)
    assert exit_code(lambda: 7) == 7


def test_unknown_names_come_with_the_known_ones_or_the_nearest():
    names = ["aent", "none", "siren", "stare", "steer"]
    assert str(unknown("method", "sirem", names, "See docs.")) == (
        "unknown method 'sirem'. Did you mean 'siren'? Known: aent, none, siren, stare, steer. See docs."
    )
    assert str(unknown("method", "xyz", names)) == (
        "unknown method 'xyz'. Known: aent, none, siren, stare, steer."
    )
    nearest = str(unknown("method", "sirem", names, nearest=3))
    assert nearest == "unknown method 'sirem'. The nearest are siren, stare, steer."


def test_a_contradiction_names_both_sides():
    message = str(contradiction("beta", 0.1, "algorithm 'dapo'", 0.0))
    assert message == "beta=0.1 was given, but algorithm 'dapo' sets beta=0.0; leave one out"


def test_a_reader_that_has_read_enough_is_no_error():
    """``aent methods | head -1``: no message, and the exit code that a shell gives for SIGPIPE."""
    code = (
        "import sys; from aent.errors import exit_code\n"
        "sys.exit(exit_code(lambda: [print('x' * 999) for _ in range(999)] and 0))"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer.stdout.readline()
    writer.stdout.close()
    assert (writer.wait(60), writer.stderr.read()) == (141, b"")
    writer.stderr.close()
