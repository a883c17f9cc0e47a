"""One run of a comparison, in a process that ends when the process that started it does."""

import os
import sys
import threading

from aent.errors import exit_code
from aent.training.train import train


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing is ever sent: it returns when the other end is gone
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(exit_code(lambda: train(sys.argv[1:])))
