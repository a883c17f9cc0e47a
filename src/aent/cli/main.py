"""The ``aent`` command."""

import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from aent.errors import exit_code, unknown

COMMANDS = {
    "train": "train a policy: aent train [RECIPE] [--any-trl-flag VALUE]",
    "compare": "methods x algorithms x seeds on one recipe: aent compare RECIPE --methods none,aent",
    "plan": "estimate the memory and time a recipe needs on each kind of GPU: aent plan RECIPE",
    "calibrate": "entropy, what moves it, and the settings that follow: aent calibrate --model M --task T",
    "eval": "pass@k, maj@k and entropy of a model on a task",
    "export": "a recipe as a command of verl: aent export verl RECIPE",
    "diagnose": "what any run's log says about its entropy, and what to try: aent diagnose RUN_OR_LOG",
    "report": "runs or a comparison as one HTML page: aent report RUN...",
    "warmstart": "make a small policy from scratch",
    "import-gguf": "a transformers folder from a GGUF file: aent import-gguf FILE FOLDER",
    "study": "the paper's synthetic experiment and its propositions: aent study mdp|theory",
    "methods": "list the ways of controlling entropy, with paper and formula",
}
HELP = "usage: aent COMMAND [--help]\n\n" + "\n".join(
    f"  {name:<11} {what}" for name, what in COMMANDS.items()
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. A user's mistake is one message, not a stack trace."""
    words = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", category=FutureWarning)  # between the libraries, not for users
    return exit_code(lambda: _run(words))


def _run(words: Sequence[str]) -> int:
    try:
        return _command(words[0], words[1:]) if words else _usage(2)
    finally:
        print(end="", flush=True)  # a reader that is gone is noticed here, not when Python ends


def _usage(code: int) -> int:
    print(HELP)
    return code


def _command(command: str, argv: Sequence[str]) -> int:
    if command in ("-h", "--help"):
        return _usage(0)
    if command == "--version":
        from aent import __version__

        print(__version__)
        return 0
    if command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    return import_module(f"aent.cli.{command.replace('-', '_')}").main(argv)


if __name__ == "__main__":
    sys.exit(main())
