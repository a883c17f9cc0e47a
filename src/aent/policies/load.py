"""Models by folder or hub id: checked before a run starts, loaded for an evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from aent.errors import InputError
from aent.policies.sampling import Sampler
from aent.policies.whole import flaw

Backend = Literal["transformers", "vllm"]
"""The library that samples answers."""

LOADING = {
    "model_revision": "revision",
    "dtype": "dtype",
    "attn_implementation": "attn_implementation",
    "trust_remote_code": "trust_remote_code",
}
"""Flags of TRL's ModelConfig, and their names in `from_pretrained`."""


def loading_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `from_pretrained` that the trainer section of a recipe sets."""
    return {theirs: settings[ours] for ours, theirs in LOADING.items() if ours in settings}


def check_model(name: str, **options: Any) -> None:
    """Check that a model of this name exists, without loading its weights.

    Raises:
        InputError: if a local folder has no config, weights or tokenizer, or a file that is cut short, if it
            is a PEFT adapter for another revision of its base model or of another kind of model, or the name
            is neither a folder here nor a model on the hub.
    """
    from transformers import AutoConfig, AutoTokenizer

    folder = Path(name)
    if folder.exists():
        _check_folder(folder)
    elif _is_path(name):
        raise InputError(f"model folder {name!r} does not exist")
    where = {key: options[key] for key in ("revision", "trust_remote_code") if key in options}
    try:
        if not is_adapter(name):
            AutoConfig.from_pretrained(name, **where)
        tokenizer = AutoTokenizer.from_pretrained(name, **where)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"model {name!r} has no usable config and tokenizer, as a folder here or on the hub: {reason} "
            "Check the name and the connection, or give a folder written by save_pretrained"
        ) from error
    if is_adapter(name):
        _adapter_base(name, options.get("revision"))
    if len(tokenizer) < 2:  # what transformers makes up for some architectures if no file is there
        raise InputError(f"model {name!r} has no tokenizer; save it there with its save_pretrained")


def _check_folder(folder: Path) -> None:
    has_weights = any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))
    is_model = (folder / "config.json").exists() or (folder / "adapter_config.json").exists()
    if is_model and has_weights:
        if cut := flaw(folder):
            raise InputError(f"model folder {str(folder)!r}: {cut}; copy or save the model again")
        return
    missing = "weights (*.safetensors)" if is_model else "config.json"
    hint = (
        f"this is a run folder; its policy is {folder / 'policy'}"
        if (folder / "policy").exists()
        else "give a folder written by save_pretrained, or make one with: aent warmstart"
    )
    raise InputError(f"{str(folder)!r} is not a model folder: it has no {missing}; {hint}")


def load_model(name: str, **options: Any) -> tuple[Any, Any]:
    """Load a causal language model (or PEFT adapter) and its tokenizer, onto the GPU if there is one.

    With an adapter, the options are those of its base model; PEFT keeps the adapter's own weights in float32.

    Raises:
        InputError: as `check_model`.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_model(name, **options)
    where = {key: options[key] for key in ("revision", "trust_remote_code") if key in options}
    tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left", **where)
    if is_adapter(name):
        base, revision = _adapter_base(name, options.get("revision"))
        model: Any = AutoModelForCausalLM.from_pretrained(base, **{**options, "revision": revision})
        model = _with_adapter(model, name, len(tokenizer))
    else:
        model = AutoModelForCausalLM.from_pretrained(name, **options)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def is_adapter(name: str) -> bool:
    """Whether a folder holds a PEFT adapter, and not a whole model."""
    return (Path(name) / "adapter_config.json").exists()


def _is_path(name: str) -> bool:
    """Whether a name can only be a folder here: a hub id is NAME or OWNER/NAME."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1


def _adapter_base(name: str, revision: str | None) -> tuple[str, str | None]:
    """Return the base model of a PEFT adapter, and its revision: the given one, or what the adapter names.

    Raises:
        InputError: if these two differ, or the adapter names no base, a folder that does not exist, or is not
            for a causal language model.
    """
    from peft import PeftConfig

    config = PeftConfig.from_pretrained(name)
    if config.task_type not in (None, "CAUSAL_LM") or not config.base_model_name_or_path:
        raise InputError(
            f"adapter {name!r} has task_type={config.task_type} and the base model "
            f"{config.base_model_name_or_path}; give an adapter of a named causal language model (CAUSAL_LM)"
        )
    base = config.base_model_name_or_path
    if _is_path(base) and not Path(base).exists():
        raise InputError(
            f"adapter {name!r} belongs to the base model {base!r}, a folder that does not exist; put the "
            f"model there, or its folder or hub id as base_model_name_or_path into {name}/adapter_config.json"
        )
    if revision and config.revision and revision != config.revision:
        raise InputError(
            f"model_revision={revision} was given, but adapter {name!r} belongs to revision "
            f"{config.revision} of its base model {config.base_model_name_or_path}; leave model_revision out"
        )
    return base, revision or config.revision


def _with_adapter(model: Any, name: str, tokens: int) -> Any:
    """Put an adapter on its base model; AutoPeftModelForCausalLM does, but takes no revision of the base."""
    from peft import PeftModelForCausalLM

    if tokens > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(tokens)
    return PeftModelForCausalLM.from_pretrained(model, name)


Dtype = Literal["float32", "bfloat16", "float16"]
"""The numbers that a model is loaded with."""


def load_sampler(name: str, backend: Backend = "transformers", dtype: Dtype | None = None) -> Sampler:
    """Load a model for sampling: with transformers, which reports entropy, or with vLLM.

    Without a `dtype` the model is loaded as it was saved.

    Raises:
        InputError: as `check_model`, or as `aent.policies.vllm.check_vllm`.
    """
    options = {} if dtype is None else {"dtype": dtype}
    if backend == "vllm":
        from aent.policies.vllm import load_vllm

        return load_vllm(name, **options)
    from aent.policies.generate import TransformersSampler

    return TransformersSampler(*load_model(name, **options))
