"""From logits, or from hidden states and an output weight, to the statistics of each token.

All backends compute the same numbers in different ways. "auto" takes ``native`` on a CPU if numba is
installed, and ``chunked`` everywhere else. You have to ask for ``triton`` by name until it has been tested on
a GPU. The choice depends on the device and on what is installed, never on shapes, so that the numbers of a
token do not depend on its batch. A backend that you name is used, or `InputError` says why it cannot be.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec

from jaxtyping import Float, Int
from torch import Tensor

from aent.errors import unknown
from aent.ops import autograd, reference
from aent.ops.autograd import Backend
from aent.ops.backends import chunked, native, triton
from aent.ops.checks import (
    require_columns,
    require_floating,
    require_head,
    require_overwritable,
    require_positive,
    require_targets,
)
from aent.ops.stats import TokenLoss, TokenStats
from aent.subsets import Full, Subset

BACKENDS: dict[str, Backend] = {
    "chunked": autograd.backend(lambda x, subset, head: chunked.Chunked(subset, head)),
    "native": autograd.backend(native.arithmetic),
    "reference": Backend(reference.token_stats, reference.linear_token_stats, reference.linear_token_loss),
    "triton": autograd.backend(triton.arithmetic),
}
"""``chunked`` runs anywhere; ``native`` is compiled for CPUs by numba; ``triton`` needs an NVIDIA GPU
(or Triton's interpreter); ``reference`` is the plain formulas, which the others are checked against."""


def token_stats(
    logits: Float[Tensor, "*batch vocab"],
    targets: Int[Tensor, "*batch"],
    *,
    subset: Subset = Full(),
    temperature: float = 1.0,
    backend: str = "auto",
    overwrite: bool = False,
) -> TokenStats:
    """Compute log-probability and entropy (nats) of each token from logits.

    With z = logits / temperature and weights w of the subset (see `aent.subsets.Cut`):
    ``logp = z_t - log Σ exp z``, ``entropy = -Σ w q log q`` with ``q = exp z / Σ w exp z``.
    Clamped entropy: arXiv 2509.03493. Padded positions need a valid target too; mask their results.

    With `overwrite`, backward writes the gradient over the logits and needs no further memory of their size.
    Use it for contiguous logits that nothing reads afterwards: neither you, nor the operation that computed
    them, nor a second backward. `aent.ops.doors` says what "auto" means.

    Raises:
        InputError: on shapes that do not fit, logits that are not floating point, targets outside
            the vocabulary, a temperature that is not positive, a backend that is unknown or cannot
            compute this; if `overwrite` is requested for a leaf, for expanded logits or for ``reference``.
    """
    require_floating("logits", logits)
    doors = _backend(backend, logits)
    require_positive("temperature", temperature)
    require_targets(targets, "logits", logits, vocab=logits.shape[-1])
    if overwrite:
        require_overwritable(logits, backend)
    rows = logits.reshape(-1, logits.shape[-1])
    stats = doors.token_stats(rows, targets.reshape(-1).long(), subset, temperature, overwrite)
    return TokenStats(*(x.view(targets.shape) for x in stats))


def linear_token_stats(
    hidden: Float[Tensor, "*batch dim"],
    weight: Float[Tensor, "vocab dim"],
    targets: Int[Tensor, "*batch"],
    *,
    bias: Float[Tensor, " vocab"] | None = None,
    subset: Subset = Full(),
    temperature: float = 1.0,
    softcap: float | None = None,
    backend: str = "auto",
    gather: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> TokenStats:
    """Compute `token_stats` (nats) of ``hidden @ weight.T + bias`` without holding all logits.

    `softcap` c replaces each logit z by ``c * tanh(z / c)`` before the temperature, as Gemma 2 does
    (arXiv 2408.00118). Logits are in the dtype of `hidden` (under autocast in its dtype), the
    statistics in float32. `gather` returns a context that is entered around the uses of `weight` and
    `bias`, once in forward and once in backward: for output weights sharded over ranks.

    Backward recomputes the logits. This costs one matrix product more than `linear_token_loss`, which is for
    losses that are known row by row.

    Raises:
        InputError: as `token_stats`; also if `hidden` and `weight` differ in dtype or width, or
            `softcap` is not positive.
    """
    doors = _linear_backend(backend, hidden, temperature, softcap)
    with gather():
        rows, ids = _rows(hidden, weight, bias, targets)
        stats = doors.linear_token_stats(rows, weight, bias, ids, subset, temperature, softcap, gather)
    return TokenStats(*(x.view(targets.shape) for x in stats))


def linear_token_loss(
    hidden: Float[Tensor, "*batch dim"],
    weight: Float[Tensor, "vocab dim"],
    targets: Int[Tensor, "*batch"],
    loss: Callable[..., Float[Tensor, " rows"]],
    *,
    columns: Sequence[Float[Tensor, "*batch"]] = (),
    bias: Float[Tensor, " vocab"] | None = None,
    subset: Subset = Full(),
    temperature: float = 1.0,
    softcap: float | None = None,
    backend: str = "auto",
    gather: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> TokenLoss:
    """Compute ``Σ_i loss(logp_i, entropy_i, *columns_i)`` and its gradients in one pass.

    For losses known row by row, with `logp` and `entropy` (nats) as in `linear_token_stats`. Forward computes
    the gradients of `hidden`, `weight` and `bias` while a chunk of logits exists: three matrix products, not
    four. Until backward, the gradients are held instead of saved inputs.

    `loss` is called with some of the rows at a time: float32 tensors of shape [rows], and the same rows of
    each of `columns` (advantages, masks, old log-probabilities: constants). It returns one loss per row,
    which may depend on that row only. Whatever else it uses gets no gradient. For a mean over tokens, divide
    by a constant or by a column::

        def loss(logp, entropy, advantage, mask):
            return -mask * (advantage * logp + 0.01 * entropy) / tokens

        result = linear_token_loss(hidden, weight, targets, loss, columns=[advantages, mask])
        result.loss.backward()

    The result can be differentiated once. Its statistics are measurements without gradient. If a coefficient
    depends on the entropy of the same batch, use `linear_token_stats`.

    Raises:
        InputError: as `linear_token_stats`; also on columns that do not have the shape of `targets` or
            require a gradient, and if `loss` returns anything but one differentiable value per row.
        RuntimeError: on a second backward.
    """
    doors = _linear_backend(backend, hidden, temperature, softcap)
    require_columns(columns, targets)
    flat = [x.reshape(-1) for x in columns]
    with gather():
        rows, ids = _rows(hidden, weight, bias, targets)
        total, stats = doors.linear_token_loss(
            rows, weight, bias, ids, subset, temperature, softcap, loss, flat
        )
    return TokenLoss(total, TokenStats(*(x.view(targets.shape) for x in stats)))


def _linear_backend(name: str, hidden: Tensor, temperature: float, softcap: float | None) -> Backend:
    require_floating("hidden", hidden)
    require_positive("temperature", temperature)
    if softcap is not None:
        require_positive("softcap", softcap)
    return _backend(name, hidden)


def _rows(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
) -> tuple[Float[Tensor, "rows dim"], Int[Tensor, " rows"]]:
    require_head(hidden, weight, bias)
    require_targets(targets, "hidden", hidden, vocab=weight.shape[0])
    return hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1).long()


def _backend(name: str, x: Tensor) -> Backend:
    if name == "auto":
        return BACKENDS[_auto(x)]
    if name not in BACKENDS:
        raise unknown("backend", name, ["auto", *BACKENDS])
    return BACKENDS[name]


def _auto(x: Tensor) -> str:
    """Return the backend that "auto" stands for; the docstring of this module has the rule."""
    return "native" if x.device.type == "cpu" and _has_numba() else "chunked"


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None
