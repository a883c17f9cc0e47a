"""The critic of PPO: values from hidden states, and its share of an optimizer step.

The maths is in `aent.advantages`.
"""

import copy
import math
from typing import Any

from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import TrainerCallback
from trl.trainer.utils import disable_dropout_in_model

from aent.trl.finite import FiniteSteps
from aent.trl.host import reduced


class Critic(nn.Module):
    """The value before each token of a completion: a linear head on the hidden states of a body.

    The body is the critic's own, initially a copy of the policy's, or the policy's (then `body` is None). The
    head starts at 0, so that the first advantages are the rewards; it computes in fp32.
    """

    def __init__(self, policy: Any, *, own: bool):
        super().__init__()
        body: Any = policy.base_model
        self.body = copy.deepcopy(body) if own else None
        self.head = nn.Linear(body.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        disable_dropout_in_model(self)  # a value must not change between rollout and loss
        for module in self.modules():
            if hasattr(module, "attention_dropout"):  # a number, which the line above does not see
                setattr(module, "attention_dropout", 0.0)  # noqa: B010 - pyright takes it for a tensor

    def forward(
        self, hidden: Float[Tensor, "batch length width"], tokens: int
    ) -> Float[Tensor, "batch tokens"]:
        """Return the values before the last `tokens` tokens."""
        return self.head(hidden[:, -tokens - 1 : -1].float()).squeeze(-1)

    def join(self, optimizer: Optimizer, *, decaying: set[str], lr: float, weight_decay: float) -> None:
        """Add the parameters to an optimizer that lacks them: a group with weight decay, and one without."""
        known = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if id(self.head.weight) in known:
            return
        for decays in (True, False):
            chosen = [p for name, p in self.named_parameters() if (name in decaying) is decays]
            decay = weight_decay if decays else 0.0
            optimizer.add_param_group({"params": chosen, "lr": lr, "weight_decay": decay})


class CriticStep(TrainerCallback):
    """Does for the critic what TRL does for the policy around a step: reduce, clip and clear gradients."""

    def __init__(self, critic: Critic, accelerator: Accelerator, finite: FiniteSteps):
        self.critic, self.accelerator, self.finite = critic, accelerator, finite

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Average gradients over ranks, and clip their norm; NaN or infinity in them is an `InputError`."""
        parameters = list(self.critic.parameters())
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = reduced(self.accelerator, parameter.grad, "mean")
        limit = args.max_grad_norm if args.max_grad_norm > 0 else math.inf
        self.finite.check_gradient(nn.utils.clip_grad_norm_(parameters, limit), "critic")

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Clear the gradients."""
        self.critic.zero_grad()
