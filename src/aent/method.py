"""What a method is made of, and what its parts are shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from aent.controllers import Controller
from aent.ops import EntropySlopes
from aent.subsets import Full, Subset

Edge = float | Float[Tensor, "batch tokens"]


@dataclass(frozen=True)
class Paper:
    """Where a method comes from."""

    title: str
    arxiv: str
    citation: str
    """BibTeX."""


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """The completions of a batch of rollouts, over all ranks, in the groups of their prompts."""

    rewards: Float[Tensor, "groups size"]
    """One reward per completion, the reward functions summed with their weights.

    A completion that no function scored counts as its group's mean, and never gets an advantage.
    """
    mean_logp: Callable[[], Float[Tensor, "groups size"]]
    """Mean log-probability per token (nats) of each completion under the policy that is trained.

    A function, as it may cost a forward pass.
    """


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A micro-batch of completions on one rank, token by token, in nats."""

    logp: Float[Tensor, "batch tokens"]
    """Log-probability of each token; it carries gradient."""
    old_logp: Float[Tensor, "batch tokens"]
    """The same under the policy that the rollouts came from, as far as the ratio is concerned."""
    entropy: Float[Tensor, "batch tokens"]
    """Entropy over the method's subset. It carries gradient in `Method.bonus` only."""
    advantages: Float[Tensor, "batch tokens"]
    """Advantages as the algorithm has them, the same for all tokens of a completion but with a critic.

    `Method.clip` and `Method.penalty` see what `Method.token_advantages` made of them.
    """
    mask: Float[Tensor, "batch tokens"]
    """1 for the tokens that count, 0 for padding, truncated completions and what a tool wrote."""
    ref_logp: Float[Tensor, "batch tokens"] | None = None
    """Log-probability under the reference policy; None where the host keeps none (``beta`` 0)."""
    group_reward: Float[Tensor, " batch"] | None = None
    """Mean reward of the completion's group; None where rollouts come in no groups."""
    solved: Float[Tensor, " batch"] | None = None
    """That mean between the worst and the best reward of the batch of rollouts, 0 to 1.

    Where a reward says right or wrong, the share of the group that is right.
    """
    remaining: float = 1.0
    """The share of the training that is still to come: 1 at its start, 0 after its last step."""
    clip: tuple[Edge, Edge] = (0.2, 0.2)
    """The host's clipping of the ratio to [1 - low, 1 + high]; in `Method.penalty`, that of `Method.clip`."""
    slopes: EntropySlopes | None = None
    """How the entropy answers to the logits; None unless the controller looks ahead."""
    weight: float | Float[Tensor, "batch #tokens"] = 1.0
    """What the host multiplies the policy's loss of each token with: vLLM's importance correction."""
    coef: float = 0.0
    """The controller's coefficient."""
    last_entropy: float | None = None
    """The entropy the controller was last shown; None before the first window."""
    band: tuple[float, float] | None = None
    """The entropy that the controller aims at (low, high); None where it has no aim, or none yet."""
    gather: Callable[[Float[Tensor, " n"]], Float[Tensor, " m"]] = field(default=lambda values: values)
    """From values on this rank (as many as there are) to those of all ranks."""

    @property
    def ratio(self) -> Float[Tensor, "batch tokens"]:
        """The importance ratio pi / pi_old of each token; it carries gradient."""
        return torch.exp(self.logp - self.old_logp)

    def everywhere(self, values: Float[Tensor, "batch tokens"]) -> Float[Tensor, " n"]:
        """Return the values at the tokens that count, of all ranks."""
        return self.gather(values.detach()[self.mask.bool()].float())


def scaled_entropy(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """The bonus that most methods give: ``coef * H_t``, H in nats, over the method's subset.

    Source: A3C (arXiv 1602.01783) with the full entropy; arXiv 2509.03493 with the clamped one, where the
    objective L_PO + lambda * H~ is maximised.
    """
    return tokens.coef * tokens.entropy


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way of controlling entropy: any of the parts below, each None where the host is left alone.

    The parts are pure functions, shown here in the order in which they act (see `aent.objective`). A
    trainer runs a copy of the controller, so a method can be handed to several trainers.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the host that this method is, or that it needs."""
    rewards: Callable[[Rollouts], Float[Tensor, "groups size"]] | None = None
    """Other rewards in place of those given, before the algorithm's baseline."""
    group_advantages: Callable[[Rollouts], Float[Tensor, "groups size"]] | None = None
    """Advantages in place of the algorithm's."""
    token_advantages: Callable[[Tokens], Float[Tensor, "batch tokens"]] | None = None
    """Advantages of single tokens; those given times 0 leave a token out of the policy gradient."""
    clip: Callable[[Tokens], tuple[Edge, Edge]] | None = None
    """Where the ratio of each token is clipped: (low, high) for [1 - low, 1 + high]."""
    penalty: Callable[[Tokens], Float[Tensor, "batch tokens"]] | None = None
    """A loss per token, added to the host's and averaged like it."""
    subset: Subset = Full()
    """The tokens of the vocabulary over which the entropy is taken."""
    bonus: Callable[[Tokens], Float[Tensor, "batch tokens"]] | None = scaled_entropy
    """What is subtracted from the loss, as a mean over tokens; without a controller, nothing is."""
    controller: Controller | None = None
    """How the coefficient moves."""
    measure: Callable[[Tokens], Float[Tensor, "batch tokens"]] | None = None
    """The weight of each token in the mean entropy that the controller is shown; 1 where None."""
    needs_clip: bool = False
    """Whether the method is about the clipping of single tokens, so that the algorithm must do that."""
    paper: Paper | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts that this method fills, in the order in which they act."""
        filled = [name for name in PARTS if getattr(self, name)]
        if self.controller is None:
            return tuple(name for name in filled if name != "bonus")
        return (*filled, "controller")


PARTS = ("options", "rewards", "group_advantages", "token_advantages", "clip", "penalty", "bonus")
