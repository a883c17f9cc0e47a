"""Whether a method and verl's options go together; checked on the driver before a GPU is taken."""

from typing import Any

from aent.errors import InputError
from aent.method import Method
from aent.subsets import Full
from aent.verl.config import Settings

STRATEGIES = ("fsdp2", "megatron")
OWN_BASELINE = ("gdpo", "remax")
"""Advantage estimators that look past the summed reward of a rollout."""
WHITENED = ("reinforce_plus_plus", "reinforce_plus_plus_baseline")
"""Advantage estimators that normalize over the batch, which is all they add to a group's baseline."""
GROUPED = ("rewards", "group_advantages")


def refuse(config: Any, settings: Settings) -> None:
    """Refuse what aent cannot honor in verl, naming the option to change.

    Raises:
        InputError: see the list in docs/verl.md.
    """
    if not settings.method.parts:
        return
    _refuse_engine(config, settings)
    _refuse_forward(config, settings)
    _refuse_second_control(config, settings.method)
    _refuse_other_clipping(config, settings.method)
    _refuse_groups(config, settings.method)
    _refuse_old_entropy(config, settings.method)


def _refuse_old_entropy(config: Any, method: Method) -> None:
    correction = config.algorithm.get("rollout_correction") or {}
    if method.needs_old_entropy and correction.get("bypass_mode", False):
        raise InputError(
            f"method {method.name!r} compares entropies with those of the old policy, which verl does not "
            "compute with algorithm.rollout_correction.bypass_mode=True; set it to False"
        )


def _refuse_engine(config: Any, settings: Settings) -> None:
    actor, model = config.actor_rollout_ref.actor, config.actor_rollout_ref.model
    if actor.strategy not in STRATEGIES:
        raise InputError(
            f"actor_rollout_ref.actor.strategy={actor.strategy} is not supported by aent; set it to "
            f"{' or '.join(STRATEGIES)}"
        )
    if model.get("use_fused_kernels", False):
        raise InputError(
            "actor_rollout_ref.model.use_fused_kernels=True hides the logits and has no clamped entropy; "
            "set it to False (with fsdp2, +aent.head=true computes entropies without logits)"
        )
    if actor.strategy == "fsdp2" and not model.get("use_remove_padding", False):
        raise InputError(
            "actor_rollout_ref.model.use_remove_padding=False pads batches, for which aent has no forward "
            "pass; set it to True"
        )
    if actor.strategy == "megatron":
        _refuse_megatron(actor, settings)


def _refuse_megatron(actor: Any, settings: Settings) -> None:
    if settings.head:
        raise InputError(
            "aent.head=True needs actor_rollout_ref.actor.strategy=fsdp2; with megatron the logits are "
            "split over the tensor-parallel ranks already: leave aent.head out"
        )
    if actor.megatron.get("dynamic_context_parallel", False):
        raise InputError(
            "actor_rollout_ref.actor.megatron.dynamic_context_parallel=True gives every rank all tokens, "
            "which aent's sums over ranks do not expect; set it to False"
        )
    if settings.method.needs_slopes:
        raise InputError(
            f"method {settings.method.name!r} measures how the entropy responds to the logits, which needs "
            "whole rows of logits; with megatron they are split: choose another method, or strategy=fsdp2"
        )


def _refuse_forward(config: Any, settings: Settings) -> None:
    actor = config.actor_rollout_ref.actor
    for name in ("calculate_sum_pi_squared", "use_prefix_grouper"):
        if actor.get(name, False):
            raise InputError(
                f"actor_rollout_ref.actor.{name}=True changes the forward pass that aent measures; set it "
                "to False"
            )
    if (config.get("distillation") or {}).get("enabled", False):
        raise InputError(
            "distillation.enabled=True replaces the loss that aent adds to; set it to False, or use verl's "
            "own trainers"
        )


def _refuse_second_control(config: Any, method: Method) -> None:
    coefficient = config.actor_rollout_ref.actor.entropy_coeff
    if coefficient == 0:
        return
    if not isinstance(method.subset, Full):
        raise InputError(
            f"actor_rollout_ref.actor.entropy_coeff={coefficient} needs the full entropy, but method "
            f"{method.name!r} takes it over {method.subset}; set entropy_coeff to 0"
        )
    if method.controller is not None:
        raise InputError(
            f"actor_rollout_ref.actor.entropy_coeff={coefficient} switches on verl's own entropy bonus "
            f"beside the method {method.name!r}; set it to 0, or choose the method 'none'"
        )


def _refuse_other_clipping(config: Any, method: Method) -> None:
    mode = config.actor_rollout_ref.actor.policy_loss.get("loss_mode", "vanilla")
    if (method.clip or method.needs_clip) and mode != "vanilla":
        raise InputError(
            f"method {method.name!r} changes how the ratio of single tokens is clipped, but "
            f"actor_rollout_ref.actor.policy_loss.loss_mode={mode} clips in another way; set it to vanilla"
        )


def _refuse_groups(config: Any, method: Method) -> None:
    if not any(getattr(method, part) for part in GROUPED):
        return
    size = config.actor_rollout_ref.rollout.n
    if size < 2:
        raise InputError(
            f"method {method.name!r} compares the rewards of a group, but "
            f"actor_rollout_ref.rollout.n={size}; set it to 2 or more"
        )
    estimator = config.algorithm.adv_estimator
    if method.rewards and estimator in OWN_BASELINE:
        raise InputError(
            f"method {method.name!r} changes the reward of a rollout, but "
            f"algorithm.adv_estimator={estimator} reads rewards elsewhere too; choose another estimator, "
            "such as grpo"
        )
    if not method.group_advantages:
        return
    if estimator == "gae":
        raise InputError(
            f"method {method.name!r} makes advantages out of a group's rewards, which would replace the "
            "critic; set algorithm.adv_estimator to one without a critic, such as grpo"
        )
    if config.algorithm.use_kl_in_reward:
        raise InputError(
            f"method {method.name!r} makes advantages out of the rewards alone, but "
            "algorithm.use_kl_in_reward=True charges the KL to them; set it to False, or use "
            "actor_rollout_ref.actor.use_kl_loss, which has the KL in the loss"
        )
    if estimator in WHITENED:
        raise InputError(
            f"method {method.name!r} makes its own advantages out of the rewards, so that algorithm."
            f"adv_estimator={estimator} would not normalize them over the batch; set it to grpo or rloo"
        )
