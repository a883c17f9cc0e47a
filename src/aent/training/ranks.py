"""The processes of one run, as ``accelerate launch`` starts them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from aent.errors import InputError

PATIENCE = timedelta(days=7)
"""How long the others wait while the main process evaluates or makes a policy."""


def is_main() -> bool:
    """Whether this is the main process of the run, or the only one."""
    from accelerate import PartialState

    return PartialState().is_main_process


@contextmanager
def main_first() -> Iterator[None]:
    """Let the main process run the block first, and then the others, however long it takes.

    They wait in a process group of their own; in the default one ``ddp_timeout`` would end the run.

    Raises:
        InputError: in the others, if the main process ended before its block did.
    """
    import torch.distributed as dist
    from accelerate import PartialState

    if PartialState().num_processes == 1:
        yield
        return
    group: Any = dist.new_group(backend="gloo", timeout=PATIENCE)
    if is_main():
        yield
        dist.barrier(group)
    else:
        try:
            dist.barrier(group)
        except RuntimeError as error:
            raise InputError("the main process ended first; see its message") from error
        yield
