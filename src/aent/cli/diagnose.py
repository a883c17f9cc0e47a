"""``aent diagnose``: what the log of any run says about its entropy, and what to try."""

from collections.abc import Sequence
from pathlib import Path

from aent.errors import InputError
from aent.spec import take_flags

PICTURE = "diagnosis.png"
HELP = f"""\
usage: aent diagnose RUN_OR_LOG [--output FILE.png]

Say in plain words how the entropy of a run moved, when it will be gone at this rate, whether reward still
pays for it, what is suspicious, and which setting to try, ready to paste for TRL and verl. The run need not
be one of aent: nothing but its log is read, and nothing is trained.

RUN_OR_LOG     a run folder of aent; trainer_state.json, or a folder of checkpoints that hold it; TensorBoard
               event files or their folder; CSV or JSON (lines) exported from wandb or trackio; verl's console
               output or file log
--output FILE  the picture (default: {PICTURE} in the current folder); an earlier picture is replaced
"""


def main(argv: Sequence[str]) -> int:
    """Print the diagnosis, and write the picture."""
    if "-h" in argv or "--help" in argv or not argv:
        print(HELP, end="")
        return 0 if argv else 2
    own, words = take_flags(argv, ("output",))
    if flags := [word for word in words if word.startswith("-")]:
        raise InputError(f"{flags[0]} is not a flag of aent diagnose; it takes one log and --output FILE")
    if len(words) != 1:
        raise InputError(f"aent diagnose reads one run or log, got {len(words)}: {', '.join(words)}")
    from aent.diagnosis.diagnose import diagnose, draw
    from aent.logs.read import read_log

    log = read_log(Path(words[0]))
    output = Path(own.get("output", PICTURE))
    print(diagnose(log).text)
    draw(log, output)  # last, because it alone needs matplotlib
    print(f"\n{output}")
    return 0
