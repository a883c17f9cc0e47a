"""What a method is made of, and what its parts get to see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from aent.controllers import Controller, Foresighted
from aent.ops import EntropySlopes
from aent.ops.backend import statistics_dtype
from aent.pieces import CONTROLLER, require_members
from aent.subsets import Full, Subset

Edge = float | Float[Tensor, "batch tokens"]
"""One side of the clipping range: the same for all tokens, or one value for each."""


@dataclass(frozen=True)
class Paper:
    """The publication behind a method."""

    title: str
    arxiv: str
    citation: str
    """BibTeX."""


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """A batch of rollouts from all ranks, grouped by prompt."""

    rewards: Float[Tensor, "groups size"]
    """One reward per completion: the weighted sum of the reward functions.

    A completion that no function scored has its group's mean here; the host gives it no advantage.
    """
    mean_logp: Callable[[], Float[Tensor, "groups size"]]
    """Mean log-probability per token (nats) of each completion under the policy being trained.

    0 for a completion without a token that counts, such as a truncated one that is masked.

    A function, because it may cost a forward pass.
    """


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of one micro-batch on one rank. Entropies and log-probabilities are in nats."""

    logp: Float[Tensor, "batch tokens"]
    """Log-probability of each token under the policy being trained; carries gradient."""
    old_logp: Float[Tensor, "batch tokens"]
    """Log-probability of each token under the policy in the denominator of the importance ratio."""
    entropy: Float[Tensor, "batch tokens"]
    """Entropy over the method's subset. It carries gradient in `Method.bonus` only."""
    full_entropy: Float[Tensor, "batch tokens"]
    """Entropy over the whole vocabulary under the policy being trained, without gradient."""
    advantages: Float[Tensor, "batch tokens"]
    """The algorithm's advantages. Without a critic, all tokens of a completion share one value.

    `Method.clip` and `Method.penalty` see the result of `Method.token_advantages` instead.
    """
    mask: Float[Tensor, "batch tokens"]
    """1 for tokens that count; 0 for padding, masked truncated completions and the output of tools."""
    old_entropy: Float[Tensor, "batch tokens"] | None = None
    """Entropy over the whole vocabulary under the policy of `old_logp`, for `Method.needs_old_entropy`.

    None if that is the policy being trained, as in the first step on a batch of rollouts.
    """
    ref_logp: Float[Tensor, "batch tokens"] | None = None
    """Log-probability under the reference policy; None if the host keeps none (``beta`` is 0)."""
    group_reward: Float[Tensor, " batch"] | None = None
    """Mean reward of the completion's group, for `Method.needs_group_reward`; None without groups."""
    solved: Float[Tensor, " batch"] | None = None
    """Share of the completion's group that is right: that earns the best reward of the batch of rollouts.

    None where `group_reward` is; 0 where all rewards of the batch are equal. A near miss that earns a part
    of the reward is not right.
    """
    remaining: float = 1.0
    """Share of the training that is left: 1 before the first step, 0 after the last."""
    clip: tuple[Edge, Edge] = (0.2, 0.2)
    """The host's clipping range (low, high): the ratio is clipped to [1 - low, 1 + high].

    `Method.penalty` sees the result of `Method.clip` instead.
    """
    slopes: EntropySlopes | None = None
    """How the entropy responds to the logits; None unless `Method.needs_slopes`."""
    weight: float | Float[Tensor, "batch #tokens"] = 1.0
    """Factor on each token's policy-gradient loss in the host: vLLM's importance-sampling correction."""
    coef: float = 0.0
    """The controller's coefficient."""
    last_entropy: float | None = None
    """The entropy that the controller was last updated with; None before its first update."""
    band: tuple[float, float] | None = None
    """The entropy that the controller aims for (low, high); None if it has no aim, or none yet."""
    gather: Callable[[Float[Tensor, " n"]], Float[Tensor, " m"]] = field(default=lambda values: values)
    """Concatenate the values of all ranks; each rank may hold a different number of them."""

    @property
    def ratio(self) -> Float[Tensor, "batch tokens"]:
        """The importance ratio ``pi / pi_old`` of each token; carries gradient."""
        return torch.exp(self.logp - self.old_logp)

    def everywhere(self, values: Float[Tensor, "batch tokens"]) -> Float[Tensor, " n"]:
        """Return the values of the unmasked tokens of all ranks, without gradient, in at least float32."""
        return self.gather(values.detach()[self.mask.bool()].to(statistics_dtype(values)))


def scaled_entropy(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """Return ``coef * H_t`` in nats, H over the method's subset: the bonus of most methods.

    Source: A3C (arXiv 1602.01783) for the full entropy. arXiv 2509.03493 for the clamped one, where the
    objective to maximize is L_PO + lambda * H~.
    """
    return tokens.coef * tokens.entropy


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way of controlling entropy: any of the parts below. A part that is None changes nothing.

    The parts are pure functions, listed in the order in which they act (see `aent.objective`). Trainers
    copy the controller, so several trainers can share one method.

    Raises:
        InputError: if the subset or the controller lacks a member that trainers rely on.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the host that this method consists of or depends on."""
    rewards: Callable[[Rollouts], Float[Tensor, "groups size"]] | None = None
    """Rewards to use in place of those given, before the algorithm's baseline."""
    group_advantages: Callable[[Rollouts], Float[Tensor, "groups size"]] | None = None
    """Advantages of completions, in place of the algorithm's."""
    token_advantages: Callable[[Tokens], Float[Tensor, "batch tokens"]] | None = None
    """Advantages of single tokens. An advantage of 0 takes a token out of the policy gradient."""
    clip: Callable[[Tokens], tuple[Edge, Edge]] | None = None
    """The clipping range of each token's ratio: (low, high) for [1 - low, 1 + high]."""
    penalty: Callable[[Tokens], Float[Tensor, "batch tokens"]] | None = None
    """A loss per token, added to the host's and averaged the same way."""
    subset: Subset = Full()
    """The tokens of the vocabulary over which the entropy is taken."""
    bonus: Callable[[Tokens], Float[Tensor, "batch tokens"]] | None = scaled_entropy
    """What is subtracted from the loss, as a mean over tokens. Ignored without a controller."""
    controller: Controller | None = None
    """How the coefficient moves."""
    measure: Callable[[Tokens], tuple[Float[Tensor, ""], Float[Tensor, ""]]] | None = None
    """(Sum of entropies, weight behind it) of a micro-batch; the controller sees their ratio.

    None for the mean over tokens.
    """
    needs_clip: bool = False
    """Whether the method acts on the clipping of single tokens, so that the algorithm must clip them."""
    needs_old_entropy: bool = False
    """Whether the method reads `Tokens.old_entropy`."""
    needs_group_reward: bool = False
    """Whether the method reads `Tokens.group_reward` or `Tokens.solved`, which cost an exchange in verl."""
    paper: Paper | None = None

    def __post_init__(self) -> None:
        require_members(f"the subset of method {self.name!r}", self.subset, ("cut",))
        if self.controller is not None:
            require_members(f"the controller of method {self.name!r}", self.controller, CONTROLLER)

    @property
    def needs_slopes(self) -> bool:
        """Whether the controller looks ahead (`Foresighted`), so that it needs `Tokens.slopes`."""
        return isinstance(self.controller, Foresighted)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts that this method fills, in the order in which they act."""
        filled = [name for name in PARTS if getattr(self, name)]
        if self.controller is None:
            return tuple(name for name in filled if name != "bonus")
        return (*filled, "controller")


PARTS = ("options", "rewards", "group_advantages", "token_advantages", "clip", "penalty", "bonus")
