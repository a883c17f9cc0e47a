"""Softmax policies over very many actions, exact and cheap: equal actions share one slot.

All non-optimal actions start with the same logit and keep it until they are sampled. The estimated gradient
of the reward ignores actions that were not sampled, and the gradient of the entropy treats equal logits
equally. So a policy over 100,000 actions is stored as a few slots per row:

    slot 0                 all non-optimal actions that were never sampled: their logit and their number
    slots 1 .. optimal     the optimal actions
    later slots            the other actions, in the order in which they were first sampled

Everything computed from the slots equals the result of the dense policy, up to rounding. This is a symmetry,
not an approximation; tests/study/test_lumped.py compares the two.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

_EMPTY = -1e4  # the logit of a slot not in use: its exponential is 0, and 0 times it is 0
_BLOCK = 64


class LumpedPolicy:
    """`rows` softmax policies over `actions` actions, of which `optimal` are optimal.

    ``pi(a) = exp(logits_a - shift) / total``; call `refresh` after every change of the logits.

    Args:
        rows: number of policies.
        actions: size of the vocabulary.
        optimal: number of optimal actions.
        prior: probability of all optimal actions together at the start. They share it equally, and the
            other actions share the rest equally.
        samples: number of actions that will be sampled per row; it determines the memory.
    """

    def __init__(self, *, rows: int, actions: int, optimal: int, prior: float, samples: int):
        room = -(-(1 + optimal + samples) // _BLOCK) * _BLOCK
        self.optimal = optimal
        self._logits = np.full((rows, room), _EMPTY)
        self._logits[:, 0] = 0.0
        odds = prior / (1 - prior)
        self._logits[:, 1 : 1 + optimal] = np.log(odds * (actions - optimal) / optimal)
        self.untouched = np.full(rows, actions - optimal)
        self.used = np.full(rows, 1 + optimal)
        self._shifted, self._mass = np.empty_like(self._logits), np.empty_like(self._logits)
        self._cut = np.zeros(rows, dtype=int)  # the slot at which `subset` cut last
        self._shift = np.log(actions) * np.ones((rows, 1))
        self.refresh()

    def refresh(self) -> None:
        """Exponentiate the logits, in place, because these buffers take most of the memory and time."""
        width = -(-self.used.max() // _BLOCK) * _BLOCK
        self.logits = self._logits[:, :width]
        self.shifted = np.subtract(self.logits, self._shift, out=self._shifted[:, :width])
        self.mass = np.exp(self.shifted, out=self._mass[:, :width])
        self.mass[:, 0] *= self.untouched
        self.blocks = self.mass.reshape(len(self.mass), -1, _BLOCK).sum(2)
        self.total = self.blocks.sum(1, keepdims=True)
        self._shift = self._shift + np.log(self.total)  # near the next total: no overflow, no search

    def expected_reward(self) -> Float[np.ndarray, " rows"]:
        """Return the probability of the optimal actions, which is the expected reward."""
        return self.mass[:, 1 : 1 + self.optimal].sum(1) / self.total[:, 0]

    def sample(self, uniforms: Float[np.ndarray, "rows size"]) -> Int[np.ndarray, "rows size"]:
        """Draw slots with replacement; slot 0 stands for one of its actions, see `open`."""
        row = np.arange(len(self.mass))[:, None]
        drawn = uniforms * self.total
        ends = self.blocks.cumsum(1)
        block = np.minimum((ends[:, None, :] <= drawn[:, :, None]).sum(2), ends.shape[1] - 1)
        inside = drawn - (ends - self.blocks)[row, block]
        within = self.mass.reshape(len(row), -1, _BLOCK)[row, block].cumsum(2)
        slot = block * _BLOCK + (within <= inside[:, :, None]).sum(2)
        return np.minimum(slot, self.used[:, None] - 1)  # rounding may go past the last slot

    def open(
        self, slots: Int[np.ndarray, "rows size"], uniforms: Float[np.ndarray, "rows size"]
    ) -> Int[np.ndarray, "rows size"]:
        """Give each action drawn from slot 0 its own slot; return the slots of all draws.

        Two draws from slot 0 are the same action with probability 1 / (actions in it).
        """
        draws = np.arange(slots.shape[1])
        member = (uniforms * self.untouched[:, None]).astype(np.int64)
        member = np.where(slots == 0, member, -1 - draws)
        first = (member[:, :, None] == member[:, None, :]).argmax(2)
        new = (slots == 0) & (first == draws)
        fresh = self.used[:, None] + np.cumsum(new, 1) - 1
        row, draw = np.nonzero(new)
        self._logits[row, fresh[row, draw]] = self._logits[row, 0]
        self.untouched = self.untouched - new.sum(1)
        self.used = self.used + new.sum(1)
        return np.where(slots == 0, np.take_along_axis(fresh, first, 1), slots)

    def push(self, slots: Int[np.ndarray, "rows size"], steps: Float[np.ndarray, "rows size"]) -> None:
        """Add `steps` to the logits of sampled actions; an action drawn twice gets both of its steps."""
        np.add.at(self._logits, (np.arange(len(slots))[:, None], slots), steps)

    def subset(self, kept: int) -> Float[np.ndarray, "rows slots"]:
        """Return the weight of each slot's actions in the subset of the `kept` largest logits.

        1 above the cut, 0 below. Actions tied at the cut share the places left there equally, as in
        `aent.subsets.Fraction`.
        """
        cut = np.take_along_axis(self.logits, self._cut[:, None], 1)
        weights = (self.logits > cut).astype(float)
        row, slot = np.nonzero(self.logits == cut)
        tied = np.bincount(row, np.where(slot == 0, self.untouched[row], 1))
        places = kept - weights[:, 1:].sum(1) - weights[:, 0] * self.untouched
        stale = (places <= 0) | (places > tied)  # rare, because a step changes the order of few logits
        if stale.any():
            self._cut[stale] = self._find_cut(kept, stale)
            return self.subset(kept)
        weights[row, slot] = (places / tied)[row]
        return weights

    def _find_cut(self, kept: int, rows: Bool[np.ndarray, " rows"]) -> Int[np.ndarray, " found"]:
        """Return a slot that holds the smallest kept logit, for some of the rows."""
        logits, untouched = self.logits[rows], self.untouched[rows]
        higher = (logits > logits[:, :1]).sum(1)
        # Slot 0 is one place in the sorted row, but `untouched` places among the actions.
        place = np.where(kept <= higher, kept, np.maximum(higher, kept - untouched) + 1)
        at = logits.shape[1] - place
        smallest = np.take_along_axis(np.partition(logits, np.unique(at), axis=1), at[:, None], 1)
        return (logits == smallest).argmax(1)

    def entropy(
        self, weights: Float[np.ndarray, "rows slots"] | None
    ) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, "rows slots"]]:
        """Return the clamped entropy (nats) of each row, and its gradient for one action of each slot.

        With ``q_a = e_a / Σ w e`` over all actions, ``H = -Σ w q log q`` and ``dH / dlogit_a = -w_a q_a (log
        q_a + H)``. With `weights` None, every action is kept. No gradient flows through the choice of the
        weights. The gradient overwrites `shifted`, until the next `refresh`.

        Source: arXiv 2509.03493, the clamped entropy; docs/method.md, "Gradient".
        """
        mass = self.mass if weights is None else self.mass * weights
        total = self.total if weights is None else mass.sum(1, keepdims=True)
        log_total = np.log(total)
        entropy = log_total[:, 0] - np.einsum("rs,rs->r", mass, self.shifted) / total[:, 0]
        gradient = np.subtract(self.shifted, log_total - entropy[:, None], out=self.shifted)
        gradient *= mass
        gradient /= -total
        gradient[:, 0] /= np.maximum(self.untouched, 1)  # the mass of slot 0 is that of all its actions
        return entropy, gradient
