"""verl's workers with a method in the actor's engine and loss. Ray starts these classes on every GPU."""

from functools import partial
from typing import Any

from verl.experimental.separation.engine_workers import (  # pyright: ignore[reportMissingImports]
    DetachActorWorker,
)
from verl.single_controller.base.decorator import Dispatch, register  # pyright: ignore[reportMissingImports]
from verl.workers.engine_workers import ActorRolloutRefWorker  # pyright: ignore[reportMissingImports]
from verl.workers.utils.losses import ppo_loss  # pyright: ignore[reportMissingImports]

from aent.errors import InputError
from aent.methods.load import load_method
from aent.verl.engine import Wanted, attach
from aent.verl.host import check_verl
from aent.verl.loss import MethodLoss
from aent.verl.version import ours


def give_method(worker: Any) -> None:
    """Put the method that the driver wrote into the configuration into the actor of a worker of verl.

    Raises:
        InputError: if this node has another version of aent or of verl, or verl's loss is not ``ppo_loss``.
    """
    check_verl()
    section = worker.config.aent
    if section.version != ours():
        raise InputError(
            f"this worker has aent {ours()}, the driver {section.version}; install the same version on "
            "every node of the Ray cluster"
        )
    method = load_method(_plain(section.method))
    if not method.parts or worker.actor is None:
        return
    host_loss = worker.loss_fn
    if not isinstance(host_loss, partial) or host_loss.func is not ppo_loss:
        raise InputError(f"the loss of verl's actor is {host_loss!r}; aent adds to ppo_loss only")
    wanted = Wanted(method.subset, slopes=method.needs_slopes)
    attach(worker.actor.engine, wanted, head=section.head)
    worker.actor.set_loss_fn(MethodLoss(method, host_loss))


def _plain(spec: Any) -> Any:
    from omegaconf import OmegaConf  # pyright: ignore[reportMissingImports]

    return OmegaConf.to_container(spec, resolve=True) if OmegaConf.is_config(spec) else spec


class AEntActorRolloutRefWorker(ActorRolloutRefWorker):
    """verl's worker for ``aent_sync`` and ``aent_colocate_async``."""

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def init_model(self) -> None:
        """Build verl's engines, then give the actor its method."""
        super().init_model()
        give_method(self)


class AEntDetachActorWorker(DetachActorWorker):
    """verl's worker for ``aent_separate_async``."""

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def init_model(self) -> None:
        """Build verl's engines, then give the actor its method."""
        super().init_model()
        give_method(self)
