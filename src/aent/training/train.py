"""Starting or resuming a run from the words of a command line."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from aent.errors import InputError
from aent.lock import locked
from aent.progress import say
from aent.runs.folder import RunFolder
from aent.spec import take_flags
from aent.training.interrupts import StopRequest, terminated_as_interrupted
from aent.training.prepare import build_run, prepare, read_request
from aent.training.ranks import is_main
from aent.training.run import Interrupted, Run


def train(argv: Sequence[str]) -> int:
    """Start a run, or resume one with ``--resume RUN``, and return the exit code.

    Args:
        argv: the words after ``aent train``.

    Returns:
        0, or 130 after Ctrl-C, SIGTERM or SIGHUP; the message on the screen then says how to resume.

    Raises:
        InputError: for a mistake in recipe or flags, or a folder that cannot be written.
    """
    with terminated_as_interrupted():
        if any(word.partition("=")[0] == "--resume" for word in argv):
            return _start(*_resume(argv))
        request = read_request(argv)
        run, stop = prepare(request), StopRequest()
        with stop.listening():  # a folder is created completely, so that the run can be resumed
            path = _on_main(lambda: RunFolder.create(request.output_dir, request.stem, run.recipe).path)
            run = build_run(run.recipe, path)
        return _start(run, RunFolder(path), interrupted=stop.asked)


def _start(run: Run, folder: RunFolder, *, interrupted: bool = False) -> int:
    say(run.console, f"run folder: {folder.path}")
    hint = f"Continue with: {folder.resuming}"
    try:
        if interrupted:
            raise KeyboardInterrupt
        with _locked(folder):
            run.start(folder)
    except Interrupted as stop:
        say(run.console, str(stop))
        return 130
    except KeyboardInterrupt:
        say(run.console, f"interrupted; what was done is kept. {hint}")
        return 130
    except OSError as error:
        raise InputError(f"{error}. What was written before is kept. {hint}") from error
    return 0


def _locked(folder: RunFolder) -> AbstractContextManager[None]:
    busy = f"another aent train is at work in {folder.path}; wait for it or stop it"
    return locked(folder.path, busy) if is_main() else nullcontext()


def _resume(argv: Sequence[str]) -> tuple[Run, RunFolder]:
    own, rest = take_flags(argv, ("resume",))
    if rest:
        raise InputError(
            "--resume takes a run folder and no other flag: the run continues as it was configured. "
            "Give: aent train --resume RUN_FOLDER"
        )
    folder = RunFolder.open(Path(own["resume"]))
    run = build_run(folder.recipe, folder.path)
    if not folder.finished:
        run.check_model()
    return run, folder


def _on_main(create: Callable[[], Path]) -> Path:
    """Let the main process create the run folder and tell the others its name."""
    from accelerate.utils import broadcast_object_list

    paths = [create() if is_main() else None]
    return broadcast_object_list(paths)[0]  # type: ignore[index,return-value]
