"""What a run cannot be trained with, found before anything is written."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from math import inf, isnan
from typing import Any

from aent.errors import InputError
from aent.policies.load import is_adapter

AT_LEAST_1 = (lambda value: value >= 1, "at least 1")
ABOVE_0 = (lambda value: 0 < value < inf, "above 0")
NOT_NEGATIVE = (lambda value: 0 <= value < inf, "0 or above")
RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        (
            "per_device_train_batch_size",
            "per_device_eval_batch_size",
            "gradient_accumulation_steps",
            "steps_per_generation",
            "generation_batch_size",
            "num_generations",
            "num_generations_eval",
            "num_iterations",
            "max_completion_length",
            "lora_r",
        ),
        AT_LEAST_1,
    ),
    **dict.fromkeys(("temperature", "save_steps", "logging_steps"), ABOVE_0),
    **dict.fromkeys(
        ("learning_rate", "weight_decay", "max_grad_norm", "warmup_steps", "beta", "seed"), NOT_NEGATIVE
    ),
    "top_p": (lambda value: 0 < value <= 1, "above 0 and at most 1"),
    "max_steps": (lambda value: value >= 1 or value == -1, "at least 1, or -1 to count num_train_epochs"),
}
"""What TRL's options must be. TRL itself notices these late, as a stack trace, or not at all."""

PACKAGES = {
    "use_vllm": "vllm",
    "use_liger_kernel": "liger_kernel",
    "use_peft": "peft",
    "load_in_4bit": "bitsandbytes",
    "load_in_8bit": "bitsandbytes",
}
"""Options and the package that each needs."""


def check_numbers(options: Mapping[str, Any]) -> None:
    """Check the numbers among TRL's options.

    Raises:
        InputError: naming the first option that is out of range or NaN.
    """
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        holds, allowed = RULES.get(name, (lambda _: True, "a number"))
        if isnan(value) or not holds(value):
            raise InputError(f"{name}={value} must be {allowed}")


def check_whole(model: str) -> None:
    """Check that training starts from a whole model: on an adapter TRL would fail later.

    Raises:
        InputError: for a folder with a PEFT adapter.
    """
    if is_adapter(model):
        raise InputError(
            f"{model!r} is an adapter, and training starts from a whole model. Merge it into its base model "
            f"and save the tokenizer beside it: "
            f"AutoPeftModelForCausalLM.from_pretrained({model!r}).merge_and_unload().save_pretrained(FOLDER)"
        )


def check_resumable(args: Any) -> None:
    """Check that checkpoints will hold what a run is resumed from.

    Raises:
        InputError: for ``save_only_model``.
    """
    if args.save_only_model:
        raise InputError(
            "save_only_model=True leaves the optimizer and the learning rate's schedule out of checkpoints, "
            "so a stopped run would resume with new ones; leave it out (save_total_limit=1 keeps one "
            "checkpoint)"
        )


def check_length(args: Any, prompts: int) -> None:
    """Check that a run takes at least one step.

    Args:
        args: TRL's configuration.
        prompts: how many training problems there are.

    Raises:
        InputError: for no epochs, or fewer problems than a batch of rollouts takes: TRL drops such a batch.
    """
    if args.max_steps == -1 and not args.num_train_epochs > 0:
        raise InputError(
            f"num_train_epochs={args.num_train_epochs} trains nothing; give --max_steps, or epochs above 0"
        )
    needed = args.generation_batch_size // args.num_generations
    if prompts < needed:
        raise InputError(
            f"there are {prompts} training problems, but a batch of rollouts takes {needed}: "
            f"{args.generation_batch_size} completions, {args.num_generations} of each. Nothing would be "
            "trained. Lower per_device_train_batch_size or steps_per_generation (by default "
            "gradient_accumulation_steps), raise num_generations, or give more problems"
        )


def check_packages(*options: Any) -> None:
    """Check that the packages that TRL's configurations ask for are installed, trackers included.

    Raises:
        InputError: naming the option and the package.
    """
    from transformers.integrations import get_reporting_integration_callbacks

    for part in options:
        for option, package in PACKAGES.items():
            if getattr(part, option, False) and find_spec(package) is None:
                raise InputError(
                    f"{option} is set but {package} is not installed; install it, or leave {option} out"
                )
        if not hasattr(part, "report_to"):
            continue
        try:
            for tracker in get_reporting_integration_callbacks(part.report_to):
                tracker()
        except (RuntimeError, ImportError, ValueError) as error:
            raise InputError(f"report_to={part.report_to}: {error} Install it, or leave it out") from error
