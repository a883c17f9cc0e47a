"""Once per optimizer step: from the sums over a window of tokens, of all ranks, to the next coefficient."""

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor

from aent.method import Method
from aent.steering import Steering, Sums
from aent.trl.host import Host, passes_per_rollouts, reduced


class Window(Steering):
    """Accumulates sums, and moves the coefficient once per window.

    A rank has its own sums, and the main process has those of all ranks from earlier steps of the window.
    """

    def __init__(self, method: Method):
        super().__init__(method)
        self._sums = torch.zeros(len(Sums._fields))

    @property
    def sums(self) -> Sums[Tensor]:
        """What has been accumulated so far; the sum over ranks is that of the window."""
        return Sums(*self._sums)

    def add(self, sums: Sums[Tensor]) -> None:
        """Add the sums of a micro-batch, on their device and without waiting for it."""
        added = _stacked(sums)
        self._sums = self._sums.to(added.device) + added

    def ends(self, host: Host) -> bool:
        """Whether the window ends with this optimizer step: always, or with the batch of rollouts."""
        if getattr(host.args, "aent_update", "step") == "step":
            return True
        passes, before = passes_per_rollouts(host), host._step - host.current_gradient_accumulation_steps
        return host._step // passes > before // passes

    def close(self, accelerator: Accelerator, remaining: float) -> Sums[float]:
        """Return the sums of the window over all ranks, move the coefficient, and start a new window.

        `remaining` is that of `Steering.update`.
        """
        total = over_ranks(self.sums, accelerator)
        self.clear()
        self.update(total, remaining=remaining)
        return total

    def share(self, accelerator: Accelerator) -> None:
        """Move the sums of all ranks to the main process, whose state a checkpoint stores.

        A collective, for the end of each step that leaves the window open.
        """
        if accelerator.num_processes == 1:
            return
        self._sums = reduced(accelerator, self._sums)
        if not accelerator.is_main_process:
            self.clear()

    def clear(self) -> None:
        """Forget what this rank has accumulated."""
        self._sums = torch.zeros_like(self._sums)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint stores, as JSON values: a window may be open."""
        return {**super().state_dict(), "window": self._sums.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            InputError: if the checkpoint belongs to another method.
        """
        super().load_state_dict(state)
        self._sums = torch.tensor(state["window"])


def over_ranks(sums: Sums[Tensor], accelerator: Accelerator) -> Sums[float]:
    """Add up the sums of all ranks; a collective, so every rank has to call it."""
    return Sums[float](*reduced(accelerator, _stacked(sums)).tolist())


def _stacked(sums: Sums[Tensor]) -> Float[Tensor, " sums"]:
    """One tensor in the order of the fields, so that adding and reducing take one operation each."""
    return torch.stack([s.detach().float() for s in sums])
