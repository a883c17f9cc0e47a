"""verl's trainers with an entropy method: only the hooks into verl, all of them on the driver.

verl imports this file in every run, so what the hooks need of aent is imported where it is used.
"""

from typing import Any

import ray  # pyright: ignore[reportMissingImports]
from verl.trainer.ppo.utils import Role  # pyright: ignore[reportMissingImports]
from verl.trainer.ppo.v1 import (  # pyright: ignore[reportMissingImports]
    PPOTrainerColocateAsync,
    PPOTrainerSeparateAsync,
    PPOTrainerSync,
    register_trainer,
)

ACTORS = (Role.Actor, Role.ActorRollout, Role.ActorRolloutRef)
"""The roles of verl that train the policy."""


class AEntMixin:
    """Adds an entropy method to a trainer of verl. List it before the trainer.

    ``+aent.method`` is a name, a mapping or a list of these (see `aent.methods.load.load_method`); the
    default is ``aent``. Metrics, per training step: ``aent/entropy`` (over the method's subset, nats per
    token; what the controller sees), ``aent/full_entropy``, and for a method with a controller ``aent/coef``
    and, if it has a band, ``aent/low`` and ``aent/high``.

    Raises:
        InputError: for an unknown method, one that does not go with verl's options, or an unsupported verl.
    """

    worker = "AEntActorRolloutRefWorker"
    """The class of `aent.verl.worker` that trains the policy."""

    def __init__(self, config: Any):
        from aent.verl.config import prepare, read_settings
        from aent.verl.host import check_verl
        from aent.verl.refusals import refuse
        from aent.verl.window import Window

        check_verl()
        settings = read_settings(config)
        refuse(config, settings)
        prepare(config, settings)
        self.method = settings.method
        self.aent_window = Window(self.method)
        super().__init__(config)  # type: ignore[call-arg]

    def _init_resource_pool_mgr(self) -> None:
        from aent.verl import worker

        super()._init_resource_pool_mgr()  # type: ignore[misc]
        host: Any = self
        for role in ACTORS:
            if role in host.role_worker_mapping:
                host.role_worker_mapping[role] = ray.remote(getattr(worker, self.worker))

    # Once per batch of rollouts

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        method = self.method
        if not (method.rewards or method.group_advantages or method.needs_group_reward):
            return super()._compute_advantage(batch, metrics)  # type: ignore[misc]
        from aent.verl.rollouts import RolloutScores, put

        host: Any = self
        scores = RolloutScores.read(method, batch, host.config.actor_rollout_ref.rollout.n)
        fields = scores.columns()
        if method.rewards:
            fields["rm_scores"] = scores.scores  # back again after the estimator: verl logs them
            put(batch, {"rm_scores": scores.changed_scores()})
        batch = super()._compute_advantage(batch, metrics)  # type: ignore[misc]
        if method.group_advantages:
            fields["advantages"] = scores.advantages()
        return put(batch, fields)

    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        if self.method.parts:
            host: Any = self
            batch.extra_info["aent"] = {
                "coef": self.aent_window.coef,
                "band": self.aent_window.band,
                "last_entropy": self.aent_window.last_entropy,
                "remaining": _remaining(host, host.global_steps - 1),
            }
        batch = super()._update_actor(batch, metrics)  # type: ignore[misc]
        if self.method.parts:
            self.aent_window.take(metrics)
        return batch

    # Once per training step

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, Any]) -> Any:
        """Train on a batch of rollouts as verl does, then move the coefficient."""
        host: Any = self
        batch = super().step(metrics, timing_raw)  # type: ignore[misc]
        metrics |= self.aent_window.close(_remaining(host, host.global_steps))
        return batch

    def _save_checkpoint(self) -> None:
        from aent.verl.checkpoint import folder_of_step, save

        host: Any = self
        save(folder_of_step(host.config, host.global_steps), self.aent_window.state_dict())
        super()._save_checkpoint()  # type: ignore[misc]

    def _load_checkpoint(self) -> None:
        from aent.verl.checkpoint import folder_to_resume, load

        host: Any = self
        folder = folder_to_resume(host.config)
        state = None if folder is None else load(folder)
        super()._load_checkpoint()  # type: ignore[misc]
        if state is not None:
            self.aent_window.load_state_dict(state)


@register_trainer("aent_sync")
class AEntTrainerSync(AEntMixin, PPOTrainerSync):
    """verl's ``sync`` trainer with an entropy method."""


@register_trainer("aent_colocate_async")
class AEntTrainerColocateAsync(AEntMixin, PPOTrainerColocateAsync):
    """verl's ``colocate_async`` trainer with an entropy method."""


@register_trainer("aent_separate_async")
class AEntTrainerSeparateAsync(AEntMixin, PPOTrainerSeparateAsync):
    """verl's ``separate_async`` trainer with an entropy method."""

    worker = "AEntDetachActorWorker"


def _remaining(host: Any, done: int) -> float:
    """The share of the training that is left after so many steps. verl ends with its steps or its epochs."""
    epochs = host.steps_per_epoch * host.config.trainer.total_epochs
    return 1 - done / min(host.total_training_steps, epochs)
