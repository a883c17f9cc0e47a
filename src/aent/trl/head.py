"""The clamped entropy out of the forward pass that the host makes anyway.

TRL computes log-probabilities in a fused LM head: ``model(..., labels=..., fused_lm_head=True)`` runs the
backbone and hands hidden states and the head's weight to one autograd function. For the length of such a
call we put `token_stats`' arithmetic in that function's place, so that everything around it (sharded
heads, MoE losses, vision inputs, PEFT) stays the host's.
"""

import functools
import inspect
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from trl.trainer import utils as host

from aent.errors import InputError
from aent.ops import linear_token_stats
from aent.subsets import Subset

KERNEL = "_ChunkedLogProbFunction"
COMPACT = "_use_triton"
HOST_NAMES = (
    KERNEL,
    COMPACT,
    "FusedCausalLMOutput",
    "add_fused_lm_head",
    "maybe_gather_lm_head_ctx",
)


def check_host() -> None:
    """Raise if TRL's fused head is not the one this module knows how to fill."""
    missing = [name for name in HOST_NAMES if not hasattr(host, name)]
    if missing:
        raise InputError(
            f"this TRL has no {', '.join('trl.trainer.utils.' + name for name in missing)}, which aent "
            "builds on; install trl>=1.16,<2"
        )


@dataclass
class AEntOutput(host.FusedCausalLMOutput):
    """The host's output with the clamped entropy, so that sharding hooks see that tensor too."""

    clamped_entropy: Tensor | None = None


class EntropyHead:
    """Scores the tokens of a fused forward and keeps their clamped entropy (nats) while recording."""

    def __init__(self, subset: Subset):
        self.subset = subset
        self.bonus = False
        """Whether the loss will carry the entropy; if not, the host's own kernel stays in charge."""
        self._recorded: list[tuple[Tensor, Tensor]] | None = None
        self._flat: Tensor | None = None

    @contextmanager
    def recording(self) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """Collect clamped and full entropy of every fused forward, each of shape (batch, positions)."""
        recorded: list[tuple[Tensor, Tensor]] = []
        self._recorded = recorded
        try:
            yield recorded
        finally:
            self._recorded = None

    def attach(self, model: nn.Module) -> None:
        """Wrap the forward of a model that TRL has given a fused head."""
        inner = model.forward
        if "fused_lm_head" not in inspect.signature(inner, follow_wrapped=False).parameters:
            raise InputError(
                f"{type(model).__name__} carries no fused LM head of TRL's; install trl>=1.16,<2 and "
                "give the trainer a causal language model of transformers"
            )

        # Keep the original signature: `generate` validates its model kwargs against it
        @functools.wraps(type(model).forward)
        def forward(_: nn.Module, *args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
            if not fused_lm_head:
                return inner(*args, **kwargs)
            if not self.bonus and self._recorded is None:
                return inner(*args, fused_lm_head=True, **kwargs)
            with self._kernel_in_place():
                output = inner(*args, fused_lm_head=True, **kwargs)
            return self._record(output)

        model.forward = types.MethodType(forward, model)

    @contextmanager
    def _kernel_in_place(self) -> Iterator[None]:
        kernel, compact = getattr(host, KERNEL), getattr(host, COMPACT)
        apply = self._score if self.bonus else functools.partial(self._measure, kernel.apply)
        setattr(host, KERNEL, types.SimpleNamespace(apply=apply))
        if self.bonus:  # only the positions that carry a label need a score, on any device
            setattr(host, COMPACT, lambda device: True)
        try:
            yield
        finally:
            setattr(host, KERNEL, kernel)
            setattr(host, COMPACT, compact)

    def _score(
        self, hidden: Tensor, weight: Any, bias: Any, targets: Tensor,
        temperature: float, _: int, softcap: float | None, scale: float, outputs: tuple[str, ...],
    ) -> tuple[Tensor | None, ...]:  # fmt: skip
        """Stand in for the host's kernel: same arguments, same five results."""
        head: tuple[Any, ...] = (weight, bias)
        stats = linear_token_stats(
            hidden * scale if scale != 1.0 else hidden,
            weight,
            targets,
            bias=None if bias is None else bias * scale,
            subset=self.subset,
            temperature=temperature,
            softcap=softcap,
            gather=lambda: host.maybe_gather_lm_head_ctx(*head),
        )
        self._flat = stats.entropy
        return stats.logp, stats.full_entropy if "entropy" in outputs else None, None, None, None

    def _measure(self, apply: Any, *args: Any) -> tuple[Tensor | None, ...]:
        """Run the host's kernel, and ours beside it without gradient."""
        results = apply(*args)
        with torch.no_grad():
            self._score(*args)
        return results

    def _record(self, output: Any) -> AEntOutput:
        flat, mask = self._flat, output.label_mask
        self._flat = None
        assert flat is not None, "the host's fused forward did not call its kernel"
        entropy = (
            flat.view(mask.shape).masked_fill(~mask, 0)
            if flat.numel() == mask.numel()
            else flat.new_zeros(mask.shape).masked_scatter(mask, flat)
        )
        if self._recorded is not None:
            self._recorded.append((entropy, output.entropy))
        return AEntOutput(**output, clamped_entropy=entropy)
