"""The clamped entropy, measured within the host's own forward pass.

TRL computes log-probabilities in a fused LM head: ``model(..., labels=..., fused_lm_head=True)`` runs the
backbone and passes hidden states and the head's weight to one autograd function. During such a call we
replace that function with the arithmetic of `token_stats`. Everything around it (sharded heads, MoE losses,
vision inputs, PEFT) stays the host's.
"""

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from trl.trainer import utils as host

from aent.errors import InputError
from aent.ops import EntropySlopes, entropy_slopes, linear_token_stats
from aent.subsets import Full, Subset
from aent.trl.host import COMPACT, KERNEL

T = TypeVar("T")
FILLED = ("log_probs", "entropy")
"""Fields of the host's output that our pass computes."""
WEIGHTS = (nn.Parameter, Tensor, DTensor)
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def check_head(model: Any) -> None:
    """Check that the logits are hidden states times the output layer's weight, plus its bias.

    A fused head computes nothing but that product, so anything else the layer does would be silently lost.

    Raises:
        InputError: if the output layer is not a `torch.nn.Linear`, or its weight is quantized.
    """
    head = model.get_output_embeddings()
    linear = head.original_module if isinstance(head, ModulesToSaveWrapper) else head
    if not isinstance(linear, nn.Linear):
        raise InputError(
            f"the output layer of {type(model).__name__} is a {type(head).__name__}, but it must be a "
            "torch.nn.Linear, of which the fused LM head reads weight and bias; keep it out of PEFT's "
            "target_modules and trainable_token_indices (modules_to_save=['lm_head'] trains it whole) and "
            "out of quantization, or choose a method without a coefficient, such as 'none'"
        )
    if type(linear.weight) not in WEIGHTS or linear.weight.dtype not in DTYPES:
        raise InputError(
            f"the weight of the output layer of {type(model).__name__} is quantized: it is a "
            f"{type(linear.weight).__name__} of {linear.weight.dtype}; it must be one of "
            f"{', '.join(map(str, DTYPES))}: leave 'lm_head' out of the quantization (for bitsandbytes "
            "BitsAndBytesConfig(llm_int8_skip_modules=['lm_head']))"
        )


def check_sharding(model: Any) -> None:
    """Check, after a forward pass, that the gradient of the output layer will be summed over ranks.

    The check is only possible after the pass: before it, the layer is sharded either way, unless a pass
    without gradient has gathered it.

    Raises:
        InputError: if FSDP2 put the output layer in a unit of its own. A fused head never calls that layer,
            so the unit stays sharded, and the weight that TRL gathers gets the gradient of one rank only.
    """
    head = model.get_output_embeddings()
    if isinstance(head, FSDPModule) and isinstance(cast(nn.Linear, head).weight, DTensor):
        raise InputError(
            f"FSDP2 shards the output layer of {type(model).__name__} in a unit of its own, which in TRL's "
            "fused LM head leaves every rank with its own gradient; leave its class out of "
            "transformer_layer_cls_to_wrap in fsdp_config, and the layer out of your own calls of fully_shard"
        )


@dataclass
class AEntOutput(host.FusedCausalLMOutput):
    """The host's output with the clamped entropy added, so that sharding hooks see that tensor too."""

    clamped_entropy: Tensor | None = None


@dataclass(frozen=True)
class Recorded:
    """What one fused forward pass measured; each tensor has shape (batch, positions)."""

    entropy: Tensor
    """Over the subset, nats."""
    slopes: EntropySlopes | None
    """How the entropy responds to the logits; None if not measured."""


class EntropyHead:
    """Scores tokens in fused forward passes, and collects their clamped entropy (nats) while recording."""

    def __init__(self, subset: Subset):
        self.subset = subset
        self.bonus = False
        """Whether the loss will need the gradient of the entropy; if not, the host's own kernel scores."""
        self.slopes = False
        """Whether to measure the slopes of the entropy as well."""
        self._recorded: list[Recorded] | None = None

    @contextmanager
    def recording(self) -> Iterator[list[Recorded]]:
        """Collect what each fused forward pass measures, in the list that the context gives."""
        recorded: list[Recorded] = []
        self._recorded = recorded
        try:
            yield recorded
        finally:
            self._recorded = None

    @property
    def _sloping(self) -> bool:
        return self.slopes and self._recorded is not None

    def attach(self, model: nn.Module) -> None:
        """Wrap the forward of a model to which TRL has added a fused head.

        Raises:
            InputError: if it has no fused head, or an output layer that `check_head` refuses.
        """
        inner = model.forward
        if "fused_lm_head" not in inspect.signature(inner, follow_wrapped=False).parameters:
            raise InputError(
                f"{type(model).__name__} carries no fused LM head of TRL's; install trl>=1.16,<2 and "
                "give the trainer a causal language model of transformers"
            )
        check_head(model)

        # Keep the original signature: `generate` validates the model's keyword arguments against it
        @functools.wraps(type(model).forward)
        def forward(_: nn.Module, *args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
            if not fused_lm_head:
                return inner(*args, **kwargs)
            host_forward = functools.partial(inner, *args, fused_lm_head=True, **kwargs)
            slopes = None
            if self.bonus or self._sloping:
                output, clamped, slopes = self._score(host_forward)
            elif self._recorded is None:
                return host_forward()
            elif isinstance(self.subset, Full):  # the host computes this entropy anyway
                output = host_forward()
                clamped = output.entropy
            else:
                output, clamped = self._measure(host_forward, _labelled(**kwargs))
            check_sharding(model)
            if self._recorded is not None:
                self._recorded.append(Recorded(clamped, slopes))
            return AEntOutput(**output, clamped_entropy=clamped)

        model.forward = types.MethodType(forward, model)

    def _score(self, host_forward: Callable[[], Any]) -> tuple[Any, Tensor, EntropySlopes | None]:
        """Run the host's forward with our kernel instead of its own; return output, entropy and slopes."""
        kernel, measured = getattr(host, KERNEL), list[Tensor]()

        def apply(*args: Any) -> tuple[Tensor | None, ...]:
            stats = self._through(linear_token_stats, *args)
            measured.append(stats.entropy)
            if self._sloping:
                measured.extend(self._through(entropy_slopes, *args))
            *operands, outputs = args
            others = tuple(name for name in outputs if name not in FILLED)
            full_entropy = stats.full_entropy if "entropy" in outputs else None
            if not others:
                return stats.logp, full_entropy, None, None, None
            with torch.no_grad():  # the fields that carry no gradient in the host either
                return stats.logp, full_entropy, *kernel.apply(*operands, others)[2:]

        # On any device, score only the positions that have a label
        with _in_place(apply, **{COMPACT: lambda device: True}):
            output = host_forward()
        clamped, *slopes = (_spread(flat, output.label_mask) for flat in measured)
        return output, clamped, EntropySlopes(*slopes) if slopes else None

    def _measure(self, host_forward: Callable[[], Any], labelled: Tensor) -> tuple[Any, Tensor]:
        """Run the host's forward with its own kernel, and ours beside it without gradient."""
        kernel, measured = getattr(host, KERNEL), list[Tensor]()

        def apply(hidden: Tensor, weight: Any, bias: Any, targets: Tensor, *rest: Any) -> Any:
            every = len(targets) == labelled.numel()
            rows = labelled.flatten().to(targets.device) if every else slice(None)
            with torch.no_grad():
                args = hidden[rows], weight, bias, targets[rows], *rest
                stats = self._through(linear_token_stats, *args)
            measured.append(stats.entropy)
            return kernel.apply(hidden, weight, bias, targets, *rest)

        with _in_place(apply):
            output = host_forward()
        (flat,) = measured  # the kernel is called once per forward
        return output, _spread(flat, output.label_mask)

    def _through(
        self, door: Callable[..., T], hidden: Tensor, weight: Any, bias: Any, targets: Tensor,
        temperature: float, _: int, softcap: float | None, scale: float, *__: Any,
    ) -> T:  # fmt: skip
        """Call a function of `aent.ops` with the arguments of the host's kernel.

        The host's logits are ``c tanh(s z / c) / T``. We compute them as ``c' tanh(z / c') / T'`` with
        ``c' = c / s`` and ``T' = T / s``, so that hidden states in low precision need no scaling.
        """
        head: tuple[Any, ...] = (weight, bias)
        device = hidden.device.type
        # As in the host: products in the dtype of autocast, else of the hidden states (float32 in Mamba)
        operands: list[Any] = [
            x if x is None or torch.is_autocast_enabled(device) else x.to(hidden.dtype) for x in head
        ]
        return door(
            hidden,
            operands[0],
            targets,
            bias=operands[1],
            subset=self.subset,
            temperature=temperature / scale,
            softcap=None if softcap is None else softcap / scale,
            gather=lambda: host.maybe_gather_lm_head_ctx(*head),
        )


@contextmanager
def _in_place(apply: Callable[..., Any], **others: Any) -> Iterator[None]:
    """Replace the host's kernel with `apply`, and other names of its module, within the context."""
    swapped = {KERNEL: types.SimpleNamespace(apply=apply), **others}
    originals = {name: getattr(host, name) for name in swapped}
    try:
        for name, value in swapped.items():
            setattr(host, name, value)
        yield
    finally:
        for name, value in originals.items():
            setattr(host, name, value)


def _labelled(labels: Tensor | None = None, shift_labels: Tensor | None = None, **_: Any) -> Tensor:
    """Mask of the positions that the host scores: those whose next token has a label."""
    if shift_labels is None:
        assert labels is not None, "the host scores without labels"
        shift_labels = labels[:, 1:]
    return shift_labels != -100


def _spread(flat: Tensor, mask: Tensor) -> Tensor:
    """Put the values of the labelled positions in their places, with zeros everywhere else."""
    return flat.new_zeros(mask.shape).masked_scatter(mask, flat)
