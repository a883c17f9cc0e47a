"""What ops.py compares: aent's own ways, and others, to a token's log-probability and entropy.

A method takes leaves (logits; or hidden states and output weight) and returns log-probabilities,
entropies and the gradients of ``Σ up_0 logp + up_1 entropy`` with respect to the leaves.
"""

import importlib
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aent import Fraction, Full, linear_token_loss, linear_token_stats, token_stats

Leaves = tuple[Tensor, ...]


class Case(NamedTuple):
    """What is computed: the same for all methods of a table."""

    leaves: Leaves
    targets: Tensor
    up: Tensor
    drop: float


class Method(NamedTuple):
    """One way of computing it."""

    name: str
    run: Callable[[Case, Leaves], tuple[Tensor, Tensor, Sequence[Tensor]]]
    clamped: bool = True
    """Whether it clamps; if not, it computes only the full entropy."""
    overwrites: bool = False
    """Whether it spoils its leaves, which are then copied anew, untimed."""


def logits_methods(case: Case) -> tuple[list[Method], list[str]]:
    """Return what works here on logits, and why the rest does not."""
    methods, skipped = [], []
    for backend, reason in _backends(case.leaves[0]).items():
        if reason:
            skipped.append(f"aent {backend}: {reason}")
            continue
        ours = partial(_ours, backend=backend)
        in_place = partial(_ours, backend=backend, overwrite=True)
        methods.append(Method(f"aent {backend}", _differentiated(ours)))
        methods.append(Method(f"aent {backend}, in place", _differentiated(in_place), overwrites=True))
    for name, threshold in {"topk": _topk, "kthvalue": _kthvalue, "sort": _sort}.items():
        methods.append(Method(f"naive {name}", _differentiated(partial(naive, threshold=threshold))))
    methods.append(Method("recipe, eager", _differentiated(recipe)))
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler:
        compiled = torch.compile(partial(naive, threshold=_topk))
        methods.append(Method("naive topk, torch.compile", _differentiated(compiled)))
    else:
        skipped.append("naive topk, torch.compile: no C++ compiler here (looked for CXX, g++ and clang++)")
    _add_host(methods, skipped, "trl.trainer.utils", "TRL, two functions", _trl)
    _add_host(methods, skipped, "verl.utils.torch_functional", "verl, two functions", _verl)
    return methods, skipped


def linear_methods(case: Case) -> tuple[list[Method], list[str]]:
    """Return what works here on hidden states and output weight, and why the rest does not."""
    methods, skipped = [], []
    for backend, reason in _backends(case.leaves[0]).items():
        if reason:
            skipped.append(f"aent {backend}: {reason}")
            continue
        ours = partial(_ours_linear, backend=backend)
        methods.append(Method(f"aent {backend}", partial(_ours_loss, backend=backend)))
        methods.append(Method(f"aent {backend}, recomputing", _differentiated(ours)))
    methods.append(Method("naive kthvalue on all logits", _differentiated(_naive_linear)))
    _add_host(methods, skipped, "trl.kernels", "TRL, fused head", _trl_head)
    name = "verl.utils.experimental.torch_functional"
    _add_host(methods, skipped, name, "verl, FusedLinearForPPO", _verl_head)
    return methods, skipped


def _backends(leaf: Tensor) -> dict[str, str]:
    """Return the backends for this device, with what is missing for each."""
    native, triton = (
        "" if importlib.util.find_spec(x) else f"{x} is not installed" for x in ("numba", "triton")
    )
    return {"triton": triton, "chunked": ""} if leaf.is_cuda else {"native": native, "chunked": ""}


def _differentiated(
    forward: Callable[..., tuple[Tensor, Tensor]],
) -> Callable[[Case, Leaves], tuple[Tensor, Tensor, Sequence[Tensor]]]:
    def run(case: Case, leaves: Leaves) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        logp, entropy = forward(*leaves, case.targets, case.drop)
        loss = (case.up[0] * logp + case.up[1] * entropy).sum()
        return logp.detach(), entropy.detach(), torch.autograd.grad(loss, leaves)

    return run


def _ours(
    logits: Tensor, targets: Tensor, drop: float, *, backend: str, overwrite: bool = False
) -> tuple[Tensor, Tensor]:
    logits = logits.view_as(logits) if overwrite else logits  # not a leaf
    subset = Fraction(drop=drop)
    return token_stats(logits, targets, subset=subset, backend=backend, overwrite=overwrite)[:2]


def _ours_linear(
    hidden: Tensor, weight: Tensor, targets: Tensor, drop: float, *, backend: str
) -> tuple[Tensor, Tensor]:
    return linear_token_stats(hidden, weight, targets, subset=Fraction(drop=drop), backend=backend)[:2]


def _ours_loss(case: Case, leaves: Leaves, *, backend: str) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
    def loss(logp: Tensor, entropy: Tensor, up_logp: Tensor, up_entropy: Tensor) -> Tensor:
        return up_logp * logp + up_entropy * entropy

    subset = Fraction(drop=case.drop)
    made = linear_token_loss(
        *leaves, case.targets, loss, columns=list(case.up), subset=subset, backend=backend
    )
    return *made.stats[:2], torch.autograd.grad(made.loss, leaves)


def exact(case: Case, rows: slice, *, clamped: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-probability, entropy and the gradient of logits or hidden of a few rows, in float64."""
    first, *rest = (x.detach().double() for x in (case.leaves[0][rows], *case.leaves[1:]))
    first.requires_grad_()
    logits = first @ rest[0].t() if rest else first
    subset = Fraction(drop=case.drop) if clamped else Full()
    stats = token_stats(logits, case.targets[rows], subset=subset, backend="reference")
    loss = (case.up[0, rows] * stats.logp + case.up[1, rows] * stats.entropy).sum()
    return stats.logp.detach(), stats.entropy.detach(), torch.autograd.grad(loss, first)[0]


# ---- the obvious way: select, mask, log-softmax, and autograd


def naive(
    logits: Tensor, targets: Tensor, drop: float, threshold: Callable[[Tensor, int], Tensor]
) -> tuple[Tensor, Tensor]:
    """Mask what lies below the smallest kept logit; of tied ones it keeps all."""
    z = logits.float()
    logp = z.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    with torch.no_grad():
        dropped = z < threshold(z, int(drop * z.shape[-1]))
    log_q = z.masked_fill(dropped, -torch.inf).log_softmax(-1)
    return logp, -(log_q.exp() * log_q.masked_fill(dropped, 0)).sum(-1)


def _topk(z: Tensor, dropped: int) -> Tensor:
    return z.topk(z.shape[-1] - dropped, dim=-1).values[:, -1:]


def _kthvalue(z: Tensor, dropped: int) -> Tensor:
    return z.kthvalue(dropped + 1, dim=-1, keepdim=True).values


def _sort(z: Tensor, dropped: int) -> Tensor:
    return z.sort(dim=-1).values[:, dropped : dropped + 1]


def _naive_linear(hidden: Tensor, weight: Tensor, targets: Tensor, drop: float) -> tuple[Tensor, Tensor]:
    return naive(hidden @ weight.t(), targets, drop, _kthvalue)


def recipe(logits: Tensor, targets: Tensor, drop: float) -> tuple[Tensor, Tensor]:
    """Select as the author's recipe for AReaL does: the smallest, on the CPU, into a mask by index.

    Written from its formula: https://github.com/inclusionAI/AReaL, recipe/AEnt. It goes 1,024 rows at
    a time.
    """
    parts = [_recipe(*x, drop) for x in zip(logits.split(1024), targets.split(1024), strict=True)]
    logp, entropy = (torch.cat(x) for x in zip(*parts, strict=True))
    return logp, entropy


def _recipe(logits: Tensor, targets: Tensor, drop: float) -> tuple[Tensor, Tensor]:
    logp = logits.float().log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    z = logits.float()
    with torch.no_grad():
        on_cpu = z.cpu()
        smallest = on_cpu.topk(int(drop * z.shape[-1]), dim=-1, largest=False).indices
        mask = torch.zeros_like(on_cpu, dtype=torch.bool)
        mask[torch.arange(len(z))[:, None], smallest] = True
        mask = mask.to(z.device)
    clamped = z.masked_fill(mask, -torch.inf)
    log_q = torch.where(mask, 0.0, clamped.log_softmax(-1))
    if z.is_cuda:
        torch.cuda.empty_cache()
    return logp, -(clamped.softmax(-1) * log_q).sum(-1)


# ---- what trainers have: the full entropy


def _add_host(
    methods: list[Method], skipped: list[str], module: str, name: str, forward: Callable[..., Any]
) -> None:
    package = module.split(".")[0]
    if importlib.util.find_spec(package) is None:
        skipped.append(f"{name}: {package} is not installed")
        return
    bound = partial(forward, importlib.import_module(module))
    methods.append(Method(name, _differentiated(bound), clamped=False))


def _trl(utils: Any, logits: Tensor, targets: Tensor, _: float) -> tuple[Tensor, Tensor]:
    return utils.selective_log_softmax(logits, targets), utils.entropy_from_logits(logits)


def _verl(functional: Any, logits: Tensor, targets: Tensor, _: float) -> tuple[Tensor, Tensor]:
    return functional.logprobs_from_logits(logits, targets), functional.entropy_from_logits(logits)


def _trl_head(
    kernels: Any, hidden: Tensor, weight: Tensor, targets: Tensor, _: float
) -> tuple[Tensor, Tensor]:
    head = kernels.ChunkedLogProbFunction
    return head.apply(hidden, weight, None, targets, 1.0, 8192, None, 1.0, ("entropy",))[:2]


def _verl_head(
    functional: Any, hidden: Tensor, weight: Tensor, targets: Tensor, _: float
) -> tuple[Tensor, Tensor]:
    return functional.FusedLinearForPPO()(hidden, weight, targets)
