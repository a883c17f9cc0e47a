import subprocess
import sys

import pytest

from aent.errors import InputError
from aent.lock import locked

HOLD = (
    "import sys, time, pathlib; from aent.lock import locked\n"
    "with locked(pathlib.Path(sys.argv[1]), ''):\n    print('held', flush=True); time.sleep(60)"
)


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="in use"), locked(tmp_path, "in use"):
        pass
    first.kill()  # SIGKILL: it cannot clean up
    first.wait()
    with locked(tmp_path, "in use"):
        pass
    with locked(tmp_path, "in use"):  # and again
        pass
