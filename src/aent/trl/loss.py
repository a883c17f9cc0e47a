"""Once per micro-batch: what the method sees between the host's forward pass and its loss, and what it adds.

The maths is in `aent.objective`.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Method, Tokens
from aent.objective import clip_edges, token_advantages, with_terms
from aent.ops import EntropySlopes
from aent.steering import Sums, window_sums
from aent.trl.finite import FiniteSteps
from aent.trl.head import EntropyHead, Recorded
from aent.trl.host import Host, Kind, gather_all, host_mean, remaining, token_mask
from aent.trl.rollouts import GROUP_REWARD, OLD_ENTROPY, OLD_LOGP, SOLVED, RolloutScores
from aent.trl.window import Window


class MicroBatch:
    """A micro-batch between the host's forward pass and its loss."""

    tokens: Tokens
    """What the method sees."""

    def __init__(self, inputs: dict[str, Any], recorded: list[Recorded]):
        self.inputs = inputs
        """What the host reads; the method's advantages are written here."""
        self.recorded = recorded
        """What the entropy head measured, one entry per forward pass of the model."""

    def statistics(self, length: int) -> tuple[Float[Tensor, "batch tokens"], EntropySlopes | None]:
        """Return clamped entropy and its slopes at the last `length` positions."""
        entropy = torch.cat([part.entropy for part in self.recorded])[:, -length:]
        slopes = [part.slopes for part in self.recorded if part.slopes is not None]
        whole = (torch.cat(parts)[:, -length:] for parts in zip(*slopes, strict=True))
        return entropy, EntropySlopes(*whole) if slopes else None


@dataclass
class MethodLoss:
    """The method's part in the loss of each micro-batch.

    The trainer wraps the host's `_compute_loss` in `watching` and passes every scoring pass through
    `before_loss`. With the host's loss in hand, it adds the method's terms with `with_terms`.
    """

    host: Host
    kind: Kind
    method: Method
    rollouts: RolloutScores
    window: Window
    head: EntropyHead | None
    """None if TRL's own entropy is the one the method needs."""
    finite: FiniteSteps
    _current: MicroBatch | None = field(default=None, init=False)

    @contextmanager
    def watching(self, inputs: dict[str, Any]) -> Iterator[MicroBatch]:
        """Show the next forward pass to the method; restore the host's clipping range afterwards."""
        host = self.host
        edges = host.epsilon_low, host.epsilon_high
        recording = nullcontext(list[Recorded]()) if self.head is None else self.head.recording()
        try:
            with recording as recorded:
                self._current = MicroBatch({**inputs}, recorded)
                yield self._current
        finally:
            self._current = None
            host.epsilon_low, host.epsilon_high = edges

    def before_loss(self, logp: Float[Tensor, "batch tokens"], full_entropy: Any) -> Tensor:
        """Show the tokens to the method, and put what it changes where the host will read it.

        Returns the log-probabilities that the host's loss should use. Outside `watching` they are `logp`.

        Raises:
            InputError: in training, if one of them is NaN or infinite.
        """
        if self._current is None:
            return logp
        host, inputs = self.host, self._current.inputs
        self._current.tokens = tokens = self.see(self._current, logp, full_entropy)
        if not host.model.training:
            return logp
        self.finite.check_scores(logp, tokens.mask)
        unseen = replace(tokens, logp=logp.detach(), entropy=tokens.entropy.detach())
        shaped = token_advantages(self.method, unseen)
        edges = clip_edges(self.method, replace(unseen, advantages=shaped))
        self._current.tokens = replace(tokens, advantages=shaped, clip=edges)
        host.epsilon_low, host.epsilon_high = edges
        if self.method.token_advantages is None:
            return logp
        if self.kind.token_ratio:
            inputs["advantages"] = shaped
            return logp
        # One ratio per completion: the weight of a token multiplies its gradient only
        if bool(((tokens.advantages == 0) & (shaped != 0) & (tokens.mask != 0)).any()):
            raise InputError(
                f"token_advantages of method {self.method.name!r} gave an advantage to tokens for which the "
                "algorithm's is 0; with one ratio per completion, tokens can only be weighed: multiply the "
                "advantages, or choose an algorithm with a ratio per token, such as grpo"
            )
        weight = torch.where(tokens.advantages == 0, 1.0, shaped / tokens.advantages)
        return logp.detach() + weight * (logp - logp.detach())

    def see(
        self,
        micro: MicroBatch,
        logp: Float[Tensor, "batch tokens"],
        full: Float[Tensor, "batch tokens"],
    ) -> Tokens:
        """Return what the method sees of a micro-batch, before it changes anything."""
        host, inputs = self.host, micro.inputs
        mask, advantages = token_mask(inputs), inputs["advantages"]
        entropy, slopes = (full, None) if self.head is None else micro.statistics(mask.size(1))
        if entropy.shape != mask.shape:
            raise InputError(
                f"TRL scored tokens of shape {tuple(entropy.shape)} for a mask of {tuple(mask.shape)}; "
                "this version of TRL is not one aent knows, install trl>=1.16,<2"
            )
        return Tokens(
            logp=logp,
            old_logp=inputs.get("old_per_token_logps", inputs.get(OLD_LOGP, logp.detach())),
            entropy=entropy,
            full_entropy=full.detach(),
            slopes=slopes if host.model.training else None,
            advantages=(advantages if advantages.dim() == 2 else advantages[:, None]).expand_as(logp),
            mask=mask,
            old_entropy=inputs.get(OLD_ENTROPY),
            ref_logp=inputs.get("ref_per_token_logps"),
            group_reward=inputs.get(GROUP_REWARD),
            solved=inputs.get(SOLVED),
            remaining=remaining(host),
            clip=(host.epsilon_low, host.epsilon_high),
            weight=inputs.get("importance_sampling_ratio", 1.0),
            coef=self.window.coef,
            last_entropy=self.window.last_entropy,
            band=self.window.band,
            gather=partial(gather_all, host.accelerator),
        )

    def sums(self, micro: MicroBatch) -> Sums[Tensor]:
        """Return what a micro-batch adds to the window."""
        return window_sums(self.method, micro.tokens, **self._averages(micro))

    def with_terms(self, loss: Float[Tensor, ""], micro: MicroBatch) -> Float[Tensor, ""]:
        """Add the method's penalty and bonus to the host's loss."""
        return with_terms(loss, self.method, micro.tokens, **self._averages(micro))

    def _averages(self, micro: MicroBatch) -> dict[str, Any]:
        """How the terms of a loss are averaged: as the host does, and per token of the optimizer step."""
        return {
            "host_mean": partial(host_mean, self.host, self.kind, micro.inputs),
            "count": self._tokens_per_step(),
        }

    def _tokens_per_step(self) -> float:
        """Tokens per rank in one optimizer step.

        Where the trainer divides the loss by the number of micro-batches afterwards, they are divided too.
        """
        host = self.host
        if not host.model.training:
            return 1.0  # no step is taken, and before the first there is no number of micro-batches yet
        accumulated = host.current_gradient_accumulation_steps
        tokens = self.rollouts.tokens_per_rank * (accumulated / host.args.steps_per_generation)
        return tokens if host.loss_is_scaled_for_ga else tokens / accumulated
