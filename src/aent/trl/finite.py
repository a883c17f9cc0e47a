"""A step that is not finite is not taken: the run stops with its weights intact, and keeps the batch."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.trl.host import Host


@dataclass(frozen=True)
class FiniteSteps:
    """Checks what a step is made from, before the optimizer moves a weight."""

    host: Host

    def check_scores(self, logp: Float[Tensor, "batch tokens"], mask: Float[Tensor, "batch tokens"]) -> None:
        """Check the log-probabilities (nats) of the tokens that count.

        Raises:
            InputError: if one is NaN or infinite; the batch of rollouts is saved.
        """
        if not bool((logp.detach().isfinite() | (mask == 0)).all()):
            raise self._refusal("log-probabilities of the policy hold NaN or infinity")

    def check_gradient(self, norm: Any, whose: str = "policy") -> None:
        """Check the norm of the gradient over all ranks. Under fp16 the gradient scaler skips such a step.

        Raises:
            InputError: if it is NaN or infinite; the batch of rollouts is saved.
        """
        if norm is None or self.host.accelerator.scaler is not None or math.isfinite(float(norm)):
            return
        raise self._refusal(f"the norm of the {whose}'s gradient is {float(norm)}")

    def _refusal(self, reason: str) -> InputError:
        host, step = self.host, self.host.state.global_step + 1
        file = Path(host.args.output_dir) / f"nonfinite-step-{step}-rank-{host.accelerator.process_index}.pt"
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"step": step, "rollouts": host._buffered_inputs}, file)
        return InputError(
            f"step {step} was not taken: {reason}. The weights are those after step {step - 1}, and the "
            f"batch is in {file} (torch.load with weights_only=True). The same settings repeat the step: "
            "start a new run from the last checkpoint with a lower learning rate or max_grad_norm, or in fp32"
        )
