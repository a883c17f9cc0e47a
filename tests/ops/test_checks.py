"""Arguments that the doors refuse, each with what was given and what to do."""

import math

import pytest
import torch

from aent.errors import InputError
from aent.ops import linear_token_stats, token_stats

Z, T = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)


@pytest.mark.parametrize(
    ("logits", "targets", "options", "message"),
    [
        (Z, torch.zeros(3, dtype=torch.long), {}, r"`targets` has shape \(3,\), `logits` \(2, 3\)"),
        (Z.long(), T, {}, r"`logits` is torch.int64; it must be a floating point"),
        (Z, T.float(), {}, r"`targets` is torch.float32; it must hold token ids"),
        (Z, torch.tensor([0, 3]), {}, r"from 0 to 3; token ids must lie in \[0, 3\)"),
        (Z, torch.tensor([-100, 1]), {}, r"from -100 to 1; .* mask the results"),
        (Z[:, :0], T, {}, r"its last dimension is empty"),
        (Z, T, {"temperature": 0.0}, r"`temperature` is 0.0; it must be finite and above 0"),
        (Z, T, {"temperature": -1.0}, r"`temperature` is -1.0"),
        (Z, T, {"temperature": math.nan}, r"`temperature` is nan"),
        (Z.clone().requires_grad_(), T, {"overwrite": True}, r"these are a leaf. Leave it off"),
        (Z[:1].expand(2, 3), T, {"overwrite": True}, r"these are expanded. Leave it off"),
        (Z, T, {"overwrite": True, "backend": "reference"}, r"does not work with backend='reference'"),
        (Z, T, {"backend": "triton"}, r"the backend 'triton' works on CUDA tensors"),
        (Z, T, {"backend": "chunks"}, r"unknown backend 'chunks'. Did you mean 'chunked'\?"),
    ],
)
def test_token_stats_refuses(logits, targets, options, message):
    with pytest.raises(InputError, match=message):
        token_stats(logits, targets, **options)


H, W = torch.zeros(2, 4), torch.zeros(3, 4)


@pytest.mark.parametrize(
    ("hidden", "weight", "targets", "options", "message"),
    [
        (H, W[:, :2], T, {}, r"`weight` must be \[vocab, dim\]"),
        (H, W[0], T, {}, r"`weight` must be \[vocab, dim\]"),
        (H, W.double(), T, {}, r"are \['torch.float32', 'torch.float64'\]"),
        (H.long(), W, T, {}, r"`hidden` is torch.int64"),
        (H, W, T[:1], {}, r"`targets` has shape \(1,\), `hidden` \(2, 4\)"),
        (H, W, torch.tensor([0, 3]), {}, r"token ids must lie in \[0, 3\)"),
        (H, W, T, {"bias": torch.zeros(4)}, r"`bias` has shape \(4,\); it must be \[3\]"),
        (H, W, T, {"softcap": 0.0}, r"`softcap` is 0.0; it must be finite and above 0"),
        (H, W, T, {"temperature": math.inf}, r"`temperature` is inf"),
        (H, W, T, {"backend": "x"}, r"unknown backend 'x'. Known: auto, chunked, native, reference, triton"),
    ],
)
def test_linear_token_stats_refuses(hidden, weight, targets, options, message):
    with pytest.raises(InputError, match=message):
        linear_token_stats(hidden, weight, targets, **options)
