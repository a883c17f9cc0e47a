"""Once per batch of rollouts, on the driver: the method's rewards and advantages, and what its loss needs.

A row of a batch is one output of an agent loop. A rollout is a session of such a loop, and its last row
stands for it, as in verl's own GRPO. Rows that verl adds to fill up a batch belong to no rollout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transfer_queue as tq  # pyright: ignore[reportMissingImports]
from jaxtyping import Float, Int
from torch import Tensor
from verl.utils import tensordict_utils as tu  # pyright: ignore[reportMissingImports]

from aent.advantages import right
from aent.method import Method, Rollouts
from aent.objective import changed_rewards, rollout_advantages
from aent.verl.loss import GROUP_REWARD, SOLVED

Nested = Any
"""A nested tensor in torch's jagged layout, whose methods torch does not declare."""
SCORES, OF_ADVANTAGES = "rm_scores", ("old_log_probs", "response_mask")
"""What is read of each row, as nested tensors of shape (rows, tokens of the response)."""


@dataclass(frozen=True)
class Rows:
    """Which rollout and which prompt each row of a batch belongs to."""

    last: Int[Tensor, " rollouts"]
    """The row that stands for each rollout."""
    rollout: Int[Tensor, " rows"]
    """The rollout of each row; -1 for rows that only fill up the batch."""
    prompt: Int[Tensor, " rollouts"]
    """The prompt of each rollout, as a number from 0."""

    @classmethod
    def of(cls, keys: Sequence[str], tags: Sequence[Mapping[str, Any]]) -> "Rows":
        """Read verl's keys, ``{prompt}_{session}_{index}``."""
        rollouts: dict[str, int] = {}
        prompts: dict[str, int] = {}
        last, newest, prompt, rollout = list[int](), list[int](), list[int](), list[int]()
        for row, (key, tag) in enumerate(zip(keys, tags, strict=True)):
            if tag.get("is_padding", False):
                rollout.append(-1)
                continue
            session, _, index = key.rpartition("_")
            number = rollouts.setdefault(session, len(rollouts))
            if number == len(last):
                last.append(row)
                newest.append(-1)
                prompt.append(prompts.setdefault(session.rpartition("_")[0], len(prompts)))
            if int(index) > newest[number]:
                last[number], newest[number] = row, int(index)
            rollout.append(number)
        return cls(torch.tensor(last), torch.tensor(rollout), torch.tensor(prompt))

    def groups(self, size: int) -> Int[Tensor, "groups size"]:
        """Return the rollouts of each prompt that has exactly `size` of them."""
        order = self.prompt.argsort(stable=True)
        counts = self.prompt.bincount()
        return order[(counts == size)[self.prompt[order]]].view(-1, size)

    def spread(self, values: Float[Tensor, " rollouts"]) -> Float[Tensor, " rows"]:
        """Give each row the value of its rollout; 0 to rows without one."""
        return torch.cat([values, values.new_zeros(1)])[self.rollout]


class RolloutScores:
    """The scores of one batch of rollouts, and what a method makes of them.

    Groups that lost a rollout keep their rewards; the method's group advantages leave them out with 0.
    """

    def __init__(self, method: Method, rows: Rows, fields: Mapping[str, Nested], size: int):
        self.method, self.rows, self.size = method, rows, size
        self.fields = fields
        self.scores = fields[SCORES]
        self.rewards = _row_sums(self.scores)[rows.last]
        """One reward per rollout."""
        self.groups = rows.groups(size)

    @classmethod
    def read(cls, method: Method, batch: Any, size: int) -> "RolloutScores":
        """Read the scores of a batch, and the rest only for a method that changes rewards or advantages.

        `size` is the number of rollouts per prompt.
        """
        more = OF_ADVANTAGES if method.rewards or method.group_advantages else ()
        fields = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=[SCORES, *more]
        )
        return cls(method, Rows.of(batch.keys, batch.tags), fields, size)

    def columns(self) -> dict[str, Tensor]:
        """Return what the loss is told of each row, if the method reads it and there are groups."""
        if self.size < 2 or not self.method.needs_group_reward:
            return {}
        of_completion = {GROUP_REWARD: self.rewards, SOLVED: right(self.rewards)}
        return {
            name: self.rows.spread(self._group_mean(values))[:, None]
            for name, values in of_completion.items()
        }

    def _group_mean(self, values: Float[Tensor, " rollouts"]) -> Float[Tensor, " rollouts"]:
        """Give every rollout the mean of its prompt."""
        prompt = self.rows.prompt
        count = prompt.bincount().clamp(min=1)
        return (torch.zeros(len(count)).index_add(0, prompt, values) / count)[prompt]

    def changed_scores(self) -> Nested:
        """Return verl's scores with the method's reward as the sum of each rollout.

        The last token of a rollout takes up the difference.
        """
        change = torch.zeros_like(self.rewards)
        change[self.groups] = changed_rewards(self.method, self._rollouts()) - self.rewards[self.groups]
        values = self.scores.values().clone()
        ends = self.scores.offsets()[1:] - 1
        values[ends[self.rows.last]] += change.to(values.dtype)
        return _nested(values, self.scores)

    def advantages(self) -> Nested:
        """Return the method's advantages, the same for all tokens of a rollout, as verl keeps them."""
        of_rollouts = torch.zeros_like(self.rewards)
        of_rollouts[self.groups] = rollout_advantages(
            self.method, self._rollouts(), lambda rewards: rewards
        ).to(of_rollouts.dtype)
        of_rows = self.rows.spread(of_rollouts)
        mask = self.fields["response_mask"]
        values = of_rows.repeat_interleave(mask.offsets().diff()) * mask.values()
        return _nested(values, mask)

    def _rollouts(self) -> Rollouts:
        return Rollouts(rewards=self.rewards[self.groups], mean_logp=self._mean_logp)

    def _mean_logp(self) -> Float[Tensor, "groups size"]:
        logp, mask = (self.fields[name] for name in OF_ADVANTAGES)
        means = _row_sums(logp, mask) / _row_sums(mask).clamp(min=1)
        return means[self.rows.last][self.groups]


def put(batch: Any, fields: Mapping[str, Tensor]) -> Any:
    """Write fields of every row of a batch, and return the batch as verl goes on with it."""
    if not fields:
        return batch
    return tq.kv_batch_put(
        keys=batch.keys, partition_id=batch.partition_id, fields=tu.get_tensordict(dict(fields))
    )


def _nested(values: Float[Tensor, " tokens"], like: Nested) -> Nested:
    """Return values one after the other as the rows of a nested tensor, as long as those of another."""
    longest = int(like.offsets().diff().max())
    return torch.nested.nested_tensor_from_jagged(values, like.offsets(), max_seqlen=longest)


def _row_sums(nested: Nested, weights: Nested | None = None) -> Float[Tensor, " rows"]:
    """Return the (weighted) sum of each row of a nested tensor."""
    values = nested.values().float()
    if weights is not None:
        values = values * weights.values()
    return torch.segment_reduce(values, "sum", lengths=nested.offsets().diff(), initial=0.0)
