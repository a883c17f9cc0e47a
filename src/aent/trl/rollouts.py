"""Once per batch of rollouts: the method's rewards and advantages, and what its loss will need.

A batch of rollouts is what one call of TRL's `_generate_and_score_completions` returns on a rank; rewards are
those of all ranks.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from aent.advantages import right
from aent.method import Method, Rollouts
from aent.objective import changed_rewards, rollout_advantages
from aent.trl.host import (
    VISION,
    Host,
    Kind,
    gathered,
    group_baseline,
    log_advantages,
    passes_per_rollouts,
    reduced,
    summed_rewards,
    token_mask,
)

OLD_LOGP, GROUP_REWARD, SOLVED = "aent_old_logp", "aent_group_reward", "aent_solved"
OLD_ENTROPY = "aent_old_entropy"
"""Columns added to the rollouts, which TRL shuffles and splits with the rest."""


class RolloutScores:
    """Scores batches of rollouts for a method.

    The trainer sets `rewards`, reports every scoring pass with `note`, and wraps the host's generation in
    `recording`; `complete` then adds to what the host returned.
    """

    def __init__(self, host: Host, kind: Kind, method: Method):
        self.host, self.kind, self.method = host, kind, method
        self.rewards: Float[Tensor, "all functions"] = torch.empty(0, 0)
        """What `_calculate_rewards` returned last."""
        self.tokens_per_rank = 1.0
        """Tokens that count in the current batch of rollouts, divided by the number of ranks."""
        self._logps: list[Float[Tensor, "batch tokens"]] | None = None
        self._old_entropy: Float[Tensor, "batch tokens"] | None = None
        self._buffer: Any = None

    @contextmanager
    def recording(self) -> Iterator[list[Float[Tensor, "batch tokens"]]]:
        """Collect the log-probabilities the host computes: the old policy's, then the reference's."""
        self._logps = logps = []
        try:
            yield logps
        finally:
            self._logps = None

    def wants_entropy(self, model: Any) -> bool:
        """Whether a pass of this model scores with the old policy, and the method needs its entropy.

        The old policy's pass is the first; if there is none, the first is that of a reference policy, which
        may be the same model with its adapters switched off. `complete` then leaves the entropy out.
        """
        return self.method.needs_old_entropy and self._logps == [] and model is self.host.model

    def note(
        self, logp: Float[Tensor, "batch tokens"], entropy: Float[Tensor, "batch tokens"] | None
    ) -> None:
        """Keep the result of a scoring pass, if within `recording`."""
        if self._logps == []:
            self._old_entropy = entropy
        if self._logps is not None:
            self._logps.append(logp)

    def complete(self, output: dict[str, Any], logps: list[Tensor]) -> dict[str, Any]:
        """Add the columns the loss needs to a batch of rollouts, and put in the method's advantages."""
        if "old_per_token_logps" not in output and "old_logps" in output:  # RLOO stores only their sums
            output[OLD_LOGP] = logps[0]
        if self.method.needs_old_entropy and ("old_per_token_logps" in output or OLD_LOGP in output):
            output[OLD_ENTROPY] = self._old_entropy
        rewards = self.grouped()
        if self.method.needs_group_reward and rewards.size(1) > 1:
            known = filled(rewards)
            output[GROUP_REWARD] = self._local(group_mean(known))
            output[SOLVED] = self._local(group_mean(right(known)))
        if self.method.group_advantages or (self.method.rewards and not self.kind.critic):
            kl = logps[0] - logps[1] if OLD_LOGP in output and len(logps) > 1 else None
            self._set_advantages(output, rewards, kl)
        return output

    def changed(self, output: Mapping[str, Any]) -> Float[Tensor, " all"]:
        """Return the method's rewards of all completions; NaN where nothing scored the completion."""
        rewards = self.grouped()
        changed = changed_rewards(self.method, self._shown(output, rewards))
        return changed.masked_fill(rewards.isnan(), torch.nan).flatten()

    def grouped(self) -> Float[Tensor, "groups size"]:
        """Return the summed reward of every completion of all ranks; NaN where nothing scored it."""
        return summed_rewards(self.host, self.rewards).view(-1, self.host.num_generations)

    def count_tokens(self) -> None:
        """Count the tokens of the buffered rollouts, if they are new; a collective."""
        host = self.host
        buffer = host._buffered_inputs
        if not host.model.training or buffer is None or buffer is self._buffer:
            return
        self._buffer = buffer
        count = torch.stack([token_mask(batch).sum() for batch in buffer]).sum()
        total = reduced(host.accelerator, count.float()).item()
        self.tokens_per_rank = max(total, 1.0) / host.accelerator.num_processes

    def save(self, checkpoint: Path) -> None:
        """Store the buffered rollouts, unless all steps on them are done.

        TRL stores none. A run resumed in the middle of a batch would generate another one, and its later
        batches would begin at other steps.
        """
        host = self.host
        if host._step % passes_per_rollouts(host) != 0:
            torch.save({"step": host._step, "rollouts": host._buffered_inputs}, self._file(checkpoint))

    def load(self, checkpoint: Path) -> None:
        """Restore what `save` stored, if anything, and continue in the middle of the batch.

        Settings that cut rollouts into other micro-batches cannot use it: the host generates anew.
        """
        file = self._file(checkpoint)
        if not file.exists():
            return
        saved = torch.load(file, map_location=self.host.accelerator.device, weights_only=True)
        sizes = [len(batch["completion_ids"]) for batch in saved["rollouts"]]
        args = self.host.args
        if sizes == [args.per_device_train_batch_size] * args.steps_per_generation:
            self.host._step, self.host._buffered_inputs = saved["step"], saved["rollouts"]

    def _file(self, checkpoint: Path) -> Path:
        """The file of this rank; another number of ranks finds none, and generates anew."""
        accelerator = self.host.accelerator
        name = f"aent_rollouts_{accelerator.process_index}_of_{accelerator.num_processes}.pt"
        return checkpoint / name

    def _set_advantages(
        self, output: dict[str, Any], rewards: Float[Tensor, "groups size"], kl: Tensor | None
    ) -> None:
        """Replace the host's advantages with the method's, in the host's log as well."""
        if kl is not None:
            summed = (kl * output["completion_mask"]).sum(1)
            kl = gathered(self.host.accelerator, summed).view_as(rewards)
        unscored = rewards.isnan()
        advantages = rollout_advantages(
            self.method,
            self._shown(output, rewards),
            lambda changed: group_baseline(
                self.host, self.kind, changed.masked_fill(unscored, torch.nan), kl
            ),
        )
        advantages = advantages.masked_fill(unscored, 0.0).nan_to_num(0.0)
        output["advantages"] = self._local(advantages)
        log_advantages(self.host, advantages.flatten().tolist())

    def _shown(self, output: Mapping[str, Any], rewards: Float[Tensor, "groups size"]) -> Rollouts:
        return Rollouts(rewards=filled(rewards), mean_logp=partial(self._mean_logp, output))

    def _local(self, values: Float[Tensor, "groups size"]) -> Float[Tensor, " batch"]:
        """Return this rank's part."""
        accelerator = self.host.accelerator
        return values.flatten().chunk(accelerator.num_processes)[accelerator.process_index]

    def _mean_logp(self, output: Mapping[str, Any]) -> Float[Tensor, "groups size"]:
        """Mean log-probability per token of all completions; computes them if the host did not."""
        logp = output.get("old_per_token_logps", output.get(OLD_LOGP))
        if logp is None:
            with torch.no_grad():
                logp = self._score(output)
        mask = token_mask(output)
        mean = (logp * mask).sum(1) / mask.sum(1).clamp(min=1)
        return gathered(self.host.accelerator, mean).view(-1, self.host.num_generations)

    def _score(self, output: Mapping[str, Any]) -> Float[Tensor, "batch tokens"]:
        """Log-probabilities of completions under the model, from the host's own forward pass."""
        host = self.host
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], 1)
        attention = torch.cat([output["prompt_mask"], output["completion_mask"]], 1)
        logp, _, _ = host._get_per_token_logps_and_entropies(
            host.model,
            ids,
            attention,
            output["completion_ids"].size(1),
            batch_size=host.args.per_device_train_batch_size,
            **{name: output[name] for name in VISION if name in output},
        )
        return logp


def filled(rewards: Float[Tensor, "groups size"]) -> Float[Tensor, "groups size"]:
    """Give completions that nothing scored the mean of their group."""
    return torch.where(rewards.isnan(), rewards.nanmean(1, keepdim=True), rewards).nan_to_num(0.0)


def group_mean(values: Float[Tensor, "groups size"]) -> Float[Tensor, "groups size"]:
    """Give every completion the mean of its group."""
    return values.mean(1, keepdim=True).expand_as(values)
