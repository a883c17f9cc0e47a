"""From a recipe, which is written for TRL, to verl's options."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any

from aent.algorithms import load_algorithm, with_options
from aent.errors import InputError

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
NO_CLIP = 1_000_000.0
"""A range that nothing leaves: TRL clips a negative advantage on one side only, unless told so."""
COMMON: Mapping[str, Any] = {
    "epsilon": 0.2,
    "gradient_accumulation_steps": 1,
    "learning_rate": 1e-6,
    "lr_scheduler_type": "linear",
    "max_completion_length": 512,
    "max_steps": -1,
    "num_iterations": 1,
    "num_train_epochs": 3.0,
    "per_device_train_batch_size": 8,
    "temperature": 1.0,
    "top_p": 1.0,
    "max_grad_norm": 1.0,
    "weight_decay": 0.0,
}
TRL_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "GRPO": {**COMMON, "beta": 0.0, "loss_type": "dapo", "num_generations": 8, "scale_rewards": "group"},
    "RLOO": {**COMMON, "beta": 0.05, "num_generations": 2},
    "PPO": {**COMMON, "beta": 0.0, "loss_type": "dapo", "num_generations": 8, "gamma": 1.0, "lam": 0.95,
            "value_clip": 0.2},
}  # fmt: skip
"""What each trainer takes where a recipe is silent and verl takes something else; a test holds it to TRL."""
TOKEN_SUMS = f"{ACTOR}.loss_agg_mode=seq-mean-token-sum"
"""RLOO's average: the log-probability of a completion is a sum."""
ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "grpo": ("algorithm.adv_estimator=grpo",),
    "rloo": ("algorithm.adv_estimator=rloo", TOKEN_SUMS),
    "ppo": ("algorithm.adv_estimator=gae",),
    "a2c": ("algorithm.adv_estimator=gae",),
    "reinforce++": ("algorithm.adv_estimator=reinforce_plus_plus_baseline", TOKEN_SUMS),
    "gspo": ("algorithm.adv_estimator=grpo", f"{ACTOR}.policy_loss.loss_mode=gspo"),
    "dr-grpo": ("algorithm.adv_estimator=grpo",),
    "dapo": ("algorithm.adv_estimator=grpo",),
    "cispo": ("algorithm.adv_estimator=grpo", f"{ACTOR}.policy_loss.loss_mode=cispo"),
}
"""verl's options for each algorithm, beside those that follow from the recipe's own."""
AVERAGES: Mapping[str, str] = {
    "grpo": "seq-mean-token-mean",
    "bnpo": "token-mean",
    "dapo": "token-mean",
    "cispo": "token-mean",
    "dr_grpo": "seq-mean-token-sum-norm",
    "luspo": "seq-mean-token-sum",
}
"""verl's `loss_agg_mode` for TRL's `loss_type`."""
RENAMED: Mapping[str, str] = {
    "learning_rate": f"{ACTOR}.optim.lr",
    "max_completion_length": "data.max_response_length",
    "model_name_or_path": "actor_rollout_ref.model.path",
    "num_generations": f"{ROLLOUT}.n",
    "num_iterations": f"{ACTOR}.ppo_epochs",
    "seed": "data.seed",
    "temperature": f"{ROLLOUT}.temperature",
    "top_p": f"{ROLLOUT}.top_p",
    "top_k": f"{ROLLOUT}.top_k",
    "weight_decay": f"{ACTOR}.optim.weight_decay",
    "gamma": "algorithm.gamma",
    "lam": "algorithm.lam",
    "epsilon": f"{ACTOR}.clip_ratio_low",
    "critic_learning_rate": "critic.optim.lr",
}
"""Options that are the same thing under another name."""
OF_BATCHES = ("epsilon_high", "delta", "steps_per_generation", "importance_sampling_level", "aent_update")
"""Options that `_batches`, `_clipping`, the algorithm's own options and `_coefficient` take in."""
OF_ADAPTERS = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules")
"""Options that `_adapter` and `_of_the_adapter` take in."""
OF_CRITIC: Mapping[str, str] = {
    f"{ACTOR}.optim.": "critic.optim.",
    f"{ACTOR}.ppo_micro_batch_size_per_gpu": "critic.ppo_micro_batch_size_per_gpu",
    f"{ACTOR}.strategy": "critic.strategy",
    "actor_rollout_ref.model.": "critic.model.",
}
"""Options of the policy that the critic has too, by how they begin: in TRL both share them."""
COUNTS = (
    "num_generations",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "steps_per_generation",
)
"""Options that a batch is counted in."""
SCHEDULES: Mapping[str, str] = {
    "constant": "constant",
    "constant_with_warmup": "constant",
    "cosine": "cosine",
}
"""verl's learning-rate schedules by TRL's names; another one is left out."""
RATIO = "the ratio of whole completions: verl clips that of each token"
OF_THE_HOST = ("logging_steps", "report_to", "disable_tqdm", "bf16", "fp16", "use_vllm", "output_dir")
"""Options about TRL's own running, which have no counterpart to carry over."""


@dataclass
class Export:
    """A command of verl."""

    options: list[str]
    """Overrides for ``python -m verl.trainer.main_ppo``."""
    left_out: list[str] = field(default_factory=list)
    """Options of the recipe that verl does not have, or that depend on your cluster."""


def export(
    algorithm: str,
    method: Mapping[str, Any],
    trainer: Mapping[str, Any],
    *,
    gpus: int = 1,
    data: str = "data",
) -> Export:
    """Return the options of verl that a recipe's algorithm, method and trainer section amount to.

    `gpus` is the number of processes that the recipe runs on in TRL, of which its batch sizes are multiples,
    and of GPUs that verl gets. `data` is the folder of ``train.parquet`` and ``test.parquet``.

    Raises:
        InputError: for an unknown algorithm, batches that are empty or not whole groups, or a loss or a
            scaling of rewards that verl does not have.
    """
    trainer_name = load_algorithm(algorithm).trainer
    options = with_options(algorithm, trainer)
    given = {**TRL_DEFAULTS[trainer_name], **options}
    if trainer_name == "PPO":
        given.setdefault("critic_learning_rate", given["learning_rate"])
    renamed = {name: verl for name, verl in RENAMED.items() if given.get(name) is not None}
    converted = {**CONVERTED, "beta": _kl_in_reward} if trainer_name == "RLOO" else CONVERTED
    lines = [
        "trainer.v1.trainer_mode=aent_sync",
        f"+aent.method={written(dict(method))}",
        *ALGORITHMS[algorithm],
        f"{ACTOR}.strategy=fsdp2",
        "actor_rollout_ref.model.use_remove_padding=True",
        *(f"{verl}={written(given[name])}" for name, verl in renamed.items()),
        *_batches(given, gpus),
        *_length(given),
        *_clipping(given),
        *(line for name, convert in converted.items() if name in given for line in convert(given)),
        f"data.train_files={data}/train.parquet",
        f"data.val_files={data}/test.parquet",
        f"trainer.n_gpus_per_node={gpus}",
    ]
    if trainer_name == "PPO":
        lines += _critic(lines)
    made = Export(lines, [RATIO] if trainer_name == "RLOO" else [])
    carried = {*RENAMED, *converted, *COMMON, *OF_THE_HOST, *OF_BATCHES, *OF_ADAPTERS}
    left_out = {name: value for name, value in options.items() if name not in carried}
    if not _has_schedule(given):
        left_out["lr_scheduler_type"] = given["lr_scheduler_type"]
    made.left_out += [f"{name}={written(value)}" for name, value in left_out.items()]
    made.left_out += [*_coefficient(method, given), *_of_the_adapter(given)]
    return made


def _has_schedule(given: Mapping[str, Any]) -> bool:
    return str(given["lr_scheduler_type"]) in SCHEDULES


def _batches(given: Mapping[str, Any], gpus: int) -> list[str]:
    """Prompts per batch of rollouts and per optimizer step; TRL counts completions per process."""
    for name in COUNTS:
        if (count := given.get(name)) is not None and count < 1:
            raise InputError(f"{name}={count} must be at least 1")
    size, each = given["num_generations"], given["per_device_train_batch_size"]
    accumulated = given["gradient_accumulation_steps"]
    generated = given.get("steps_per_generation") or accumulated
    prompts = {}
    for what, steps in (("data.train_batch_size", generated), (f"{ACTOR}.ppo_mini_batch_size", accumulated)):
        completions = each * steps * gpus
        if completions % size:
            raise InputError(
                f"{completions} completions are no whole groups of num_generations={size}; change "
                "per_device_train_batch_size, or --gpus"
            )
        prompts[what] = completions // size
    micro = f"micro_batch_size_per_gpu={each}"
    return [
        *(f"{name}={count}" for name, count in prompts.items()),
        f"{ACTOR}.ppo_{micro}",
        f"{ROLLOUT}.log_prob_{micro}",
        f"actor_rollout_ref.ref.log_prob_{micro}",
    ]


def _steps_per_batch(given: Mapping[str, Any]) -> Fraction:
    """Return the number of optimizer steps on one batch of rollouts: TRL counts steps, verl batches."""
    accumulated = given["gradient_accumulation_steps"]
    generated = given.get("steps_per_generation") or accumulated
    return Fraction(given["num_iterations"] * generated, accumulated)


def _length(given: Mapping[str, Any]) -> list[str]:
    """How long verl trains. It also stops after its epochs, 30 by default; each has at least one batch."""
    if given["max_steps"] <= 0:
        return [f"trainer.total_epochs={ceil(given['num_train_epochs'])}"]
    batches = ceil(given["max_steps"] / _steps_per_batch(given))
    return [f"trainer.total_training_steps={batches}", f"trainer.total_epochs={batches}"]


def _save_steps(given: Mapping[str, Any]) -> list[str]:
    steps = given["save_steps"]
    if 0 < steps < 1:  # TRL reads a fraction as a share of the training
        if given["max_steps"] <= 0:
            raise InputError(f"save_steps={steps} is a share of max_steps; set max_steps, or whole steps")
        steps *= given["max_steps"]
    return [f"trainer.save_freq={ceil(steps / _steps_per_batch(given))}"]


def _warmup_steps(given: Mapping[str, Any]) -> list[str]:
    steps, verl = given["warmup_steps"], f"{ACTOR}.optim.lr_warmup_steps"
    if 0 < steps < 1:  # a share of the training here as well
        return [f"{verl}_ratio={steps}"]
    return [f"{verl}={ceil(steps / _steps_per_batch(given))}"]


def _coefficient(method: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Say that verl moves the coefficient less often than TRL, where it does."""
    each = _steps_per_batch(given)
    if each == 1 or method["name"] == "none" or given.get("aent_update") == "rollout":
        return []
    return [
        f"aent_update=step: verl moves the coefficient once per batch of rollouts, here every {each} steps"
    ]


def _critic(lines: Sequence[str]) -> list[str]:
    """Return what the critic shares with the policy, under verl's names for it; its rate is its own."""
    shared = (line for line in lines if not line.startswith(f"{ACTOR}.optim.lr="))
    return [
        of_critic + line.removeprefix(of_policy)
        for line in shared
        for of_policy, of_critic in OF_CRITIC.items()
        if line.startswith(of_policy)
    ]


def _clipping(given: Mapping[str, Any]) -> list[str]:
    high = given.get("epsilon_high")
    delta = given.get("delta")
    return [
        f"{ACTOR}.clip_ratio_high={written(given['epsilon'] if high is None else high)}",
        f"{ACTOR}.clip_ratio_c={written(NO_CLIP if delta is None else delta)}",
    ]


def _loss_type(given: Mapping[str, Any]) -> list[str]:
    kind = given["loss_type"]
    if kind not in AVERAGES:
        raise InputError(f"verl does not have loss_type {kind!r}; it has {', '.join(AVERAGES)}")
    options = [f"{ACTOR}.loss_agg_mode={AVERAGES[kind]}"]
    if kind == "dr_grpo":
        options.append(f"{ACTOR}.loss_scale_factor={given['max_completion_length']}")
    return options


def _scale_rewards(given: Mapping[str, Any]) -> list[str]:
    scaling = {"group": True, True: True, "none": False, False: False}
    if given["scale_rewards"] not in scaling:
        raise InputError(
            f"verl does not have scale_rewards={given['scale_rewards']!r}; it has 'group' and 'none'"
        )
    return [f"algorithm.norm_adv_by_std_in_grpo={scaling[given['scale_rewards']]}"]


def _beta(given: Mapping[str, Any]) -> list[str]:
    if not given["beta"]:
        return [f"{ACTOR}.use_kl_loss=False"]
    return [f"{ACTOR}.use_kl_loss=True", f"{ACTOR}.kl_loss_coef={written(given['beta'])}"]


def _kl_in_reward(given: Mapping[str, Any]) -> list[str]:
    """RLOO charges the KL to the reward of a completion."""
    if not given["beta"]:
        return ["algorithm.use_kl_in_reward=False", f"{ACTOR}.use_kl_loss=False"]
    coefficient = f"algorithm.kl_ctrl.kl_coef={written(given['beta'])}"
    return ["algorithm.use_kl_in_reward=True", coefficient, f"{ACTOR}.use_kl_loss=False"]


def _value_clip(given: Mapping[str, Any]) -> list[str]:
    return [f"critic.cliprange_value={written(min(given['value_clip'], NO_CLIP))}"]


def _max_grad_norm(given: Mapping[str, Any]) -> list[str]:
    """In TRL a norm of 0 does not clip; in verl it would make every gradient 0."""
    return [f"{ACTOR}.optim.clip_grad={written(given['max_grad_norm'] or NO_CLIP)}"]


def _schedule(given: Mapping[str, Any]) -> list[str]:
    if not _has_schedule(given):
        return []
    return [f"{ACTOR}.optim.lr_scheduler_type={SCHEDULES[str(given['lr_scheduler_type'])]}"]


def _checkpointing(given: Mapping[str, Any]) -> list[str]:
    on = bool(given["gradient_checkpointing"])
    return [f"actor_rollout_ref.model.enable_gradient_checkpointing={on}"]


def _adapter(given: Mapping[str, Any]) -> list[str]:
    """A LoRA adapter, with TRL's defaults; without target modules verl adapts every linear layer."""
    if not given["use_peft"]:
        return []
    options = {"lora_rank": given.get("lora_r", 16), "lora_alpha": given.get("lora_alpha", 32)}
    if targets := given.get("lora_target_modules"):
        options["target_modules"] = targets
    return [f"actor_rollout_ref.model.{name}={written(value)}" for name, value in options.items()]


def _of_the_adapter(given: Mapping[str, Any]) -> list[str]:
    """Say what verl does otherwise with an adapter."""
    if not given.get("use_peft"):
        return []
    dropout = given.get("lora_dropout", 0.05)
    said = [f"lora_dropout={dropout}: verl has no dropout in adapters"] if dropout else []
    if not given.get("lora_target_modules"):
        said.append("lora_target_modules: TRL takes peft's choice for the model, verl every linear layer")
    return said


CONVERTED: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "loss_type": _loss_type,
    "scale_rewards": _scale_rewards,
    "beta": _beta,
    "max_grad_norm": _max_grad_norm,
    "save_steps": _save_steps,
    "warmup_steps": _warmup_steps,
    "lr_scheduler_type": _schedule,
    "gradient_checkpointing": _checkpointing,
    "value_clip": _value_clip,
    "use_peft": _adapter,
}
"""Options that become others."""


def written(value: Any) -> str:
    """Return a value as Hydra's command line reads it back."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return str(value)
    text = str(value)
    if re.fullmatch(r"[A-Za-z_][\w./-]*", text) and text.lower() not in ("null", "true", "false"):
        return text
    return "'" + text.replace("'", "\\'") + "'"
