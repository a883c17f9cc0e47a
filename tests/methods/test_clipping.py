from dataclasses import replace

import torch

from aent import Tokens
from aent.methods.clipping import clip_options, clipped

RATIO = torch.tensor([[0.5, 0.5, 0.75, 0.85, 1.0, 1.15, 1.25, 1.5, 1.5]], dtype=torch.float64)
TOKENS = Tokens(
    logp=RATIO.log(),
    old_logp=torch.zeros(1, 9, dtype=torch.float64),
    entropy=torch.zeros(1, 9, dtype=torch.float64),
    full_entropy=torch.zeros(1, 9, dtype=torch.float64),
    advantages=torch.tensor([[-1.0, 1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0]], dtype=torch.float64),
    mask=torch.ones(1, 9),
)


def places(tokens):
    return [clip.nonzero()[:, 1].tolist() for clip in clipped(tokens)]


def test_each_edge_clips_only_the_advantage_that_pushes_further():
    """[0.8, 1.2]: at the low edge ratios below 0.8 with A < 0, at the high one above 1.2 with A > 0."""
    assert places(TOKENS) == [[0, 2], [6, 7]]


def test_the_edges_are_low_and_high_in_that_order():
    """[0.9, 1.4] and [0.6, 1.1]: swapping the two would clip other tokens."""
    assert places(replace(TOKENS, clip=(0.1, 0.4))) == [[0, 2, 3], [7]]
    assert places(replace(TOKENS, clip=(0.4, 0.1))) == [[0], [5, 6, 7]]


def test_each_token_may_have_its_own_edges():
    low, high = torch.full((1, 9), 0.4).double(), torch.full((1, 9), 0.6).double()
    low[0, 2], high[0, 6] = 0.2, 0.2
    assert places(replace(TOKENS, clip=(low, high))) == [[0, 2], [6]]


def test_options():
    assert clip_options(0.1, 0.3) == {"epsilon": 0.1, "epsilon_high": 0.3}


def test_at_an_edge_and_with_advantage_0_nothing_is_clipped():
    """Ratios exactly at both edges, 0.5 and 1.5; then beyond both, with an advantage of 0."""
    ratio = torch.tensor([[0.5, 1.5, 0.25, 4.0]]).double()
    tokens = replace(
        TOKENS,
        logp=ratio.log(),
        old_logp=torch.zeros(1, 4).double(),
        advantages=torch.tensor([[-1.0, 1.0, 0.0, 0.0]]).double(),
        mask=torch.ones(1, 4),
        clip=(1 - ratio.log().exp()[0, 0].item(), ratio.log().exp()[0, 1].item() - 1),
    )
    assert places(tokens) == [[], []]
