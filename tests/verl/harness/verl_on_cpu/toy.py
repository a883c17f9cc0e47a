"""A toy run of verl on CPUs: a random policy, prompts, a reward, and the command that trains on them.

Run it yourself: ``python -m verl_on_cpu.toy FOLDER STEPS [verl's overrides...]``.
"""

import os
import subprocess
import sys
from pathlib import Path

CHARACTERS = "0123456789+-*/= abcdefghijkl\n"
TOKENS = ["<pad>", "<eos>", "<unk>", *CHARACTERS]
ENVIRONMENT = {
    "TORCHDYNAMO_DISABLE": "1",
    "VERL_PLATFORM": "cpu",
    "VERL_ENGINE_DEVICE": "cuda",  # the engines are registered for no other
    "VERL_ENGINE_VENDOR": "none",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # else Ray's workers yield to everything else on the machine
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARN",
    "HYDRA_FULL_ERROR": "1",
}


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **_):
    """Reward, 0 to 1: the share of 8 characters that are even digits."""
    return sum(c in "02468" for c in solution_str[:8]) / 8


def tokenizer():
    """One token per character; the chat template ends a prompt with ``=``."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(TOKENS)}, merges=[], unk_token="<unk>"))
    core.decoder = decoders.Fuse()
    names = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>", "padding_side": "left"}
    fast = PreTrainedTokenizerFast(tokenizer_object=core, **names)
    fast.chat_template = (
        "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}={% endif %}"
    )
    return fast


def policy():
    """A random Llama with heads of 32, of which vLLM's attention on CPUs wants multiples."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "max_position_embeddings": 128,
    }
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": False}
    ids = {"vocab_size": len(TOKENS), "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None}
    return LlamaForCausalLM(LlamaConfig(**shape, **heads, **ids))


def write(folder):
    """Write policy, tokenizer and prompts into a folder."""
    import pandas

    tokenizer().save_pretrained(folder)
    policy().save_pretrained(folder)
    rows = [
        {
            "data_source": "toy",
            "prompt": [{"role": "user", "content": f"{a}+{b}"}],
            "ability": "toy",
            "reward_model": {"style": "rule", "ground_truth": str(a + b)},
            "extra_info": {"index": 10 * a + b},
        }
        for a in range(10)
        for b in range(10)
    ]
    pandas.DataFrame(rows).to_parquet(folder / "train.parquet")
    pandas.DataFrame(rows[:16]).to_parquet(folder / "test.parquet")


def overrides(folder, steps, gpus=1):
    """verl's options for the toy; see docs/verl.md for those of a cluster."""
    actor, rollout, model = (f"actor_rollout_ref.{part}" for part in ("actor", "rollout", "model"))
    fp32 = "{param_dtype: fp32, reduce_dtype: fp32, buffer_dtype: fp32}"
    return [
        *("trainer.device=cpu", f"trainer.n_gpus_per_node={gpus}", "trainer.nnodes=1"),
        *("trainer.logger=[console]", f"trainer.total_training_steps={steps}", "trainer.total_epochs=1000"),
        *("trainer.val_before_train=false", "trainer.test_freq=-1", "trainer.save_freq=-1"),
        *("trainer.resume_mode=disable", f"trainer.default_local_dir={folder}/checkpoints"),
        *("ray_kwargs.ray_init.num_cpus=16", f"+ray_kwargs.ray_init.num_gpus={gpus}"),
        *("+ray_kwargs.ray_init.include_dashboard=false", f"+ray_kwargs.ray_init._temp_dir={folder}/ray"),
        "+ray_kwargs.ray_init.object_store_memory=500000000",
        *(f"data.train_files={folder}/train.parquet", f"data.val_files={folder}/test.parquet"),
        *("data.train_batch_size=16", "data.max_prompt_length=16", "data.max_response_length=8"),
        *("data.dataloader_num_workers=0", "data.filter_overlong_prompts=false"),
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
        "algorithm.adv_estimator=grpo",
        *(f"reward.custom_reward_function.path={__file__}", "reward.num_workers=1"),
        "reward.custom_reward_function.name=compute_score",
        *(f"{model}.path={folder}", f"{model}.use_remove_padding=true"),
        *(
            f"{model}.enable_gradient_checkpointing=false",
            f"+{model}.override_config.attn_implementation=sdpa",
        ),
        *(f"{actor}.strategy=fsdp2", f"{actor}.fsdp_config.strategy=fsdp2"),
        *(f"{actor}.use_torch_compile=false", f"{actor}.fsdp_config.use_torch_compile=false"),
        *(f"{actor}.fsdp_config.model_dtype=fp32", f"+{actor}.fsdp_config.mixed_precision={fp32}"),
        *(f"{actor}.optim.lr=3e-3", f"{actor}.ppo_mini_batch_size=16"),
        *(f"{actor}.ppo_micro_batch_size_per_gpu=32", f"{actor}.use_dynamic_bsz=false"),
        *(
            f"{rollout}.name=hf",
            f"{rollout}.n=8",
            f"{rollout}.dtype=float32",
            f"{rollout}.enforce_eager=true",
        ),
        *(f"{rollout}.free_cache_engine=false", f"+{rollout}.enable_sleep_mode=false"),
        *(f"{rollout}.tensor_model_parallel_size=1", f"{rollout}.log_prob_micro_batch_size_per_gpu=64"),
        *(f"{rollout}.max_model_len=32", f"{rollout}.max_num_seqs=64"),
        *(f"{rollout}.max_num_batched_tokens=1024", f"{rollout}.gpu_memory_utilization=0.1"),
        *(
            f"{rollout}.agent.num_workers=1",
            f"{rollout}.checkpoint_engine.update_weights_bucket_megabytes=16",
        ),
    ]


def command(folder, steps, *more, gpus=1):
    """The command of a toy run; later overrides win over earlier ones."""
    return [sys.executable, "-m", "verl.trainer.main_ppo", *overrides(folder, steps, gpus), *more]


if __name__ == "__main__":
    place = Path(sys.argv[1]).absolute()
    if not (place / "train.parquet").exists():
        place.mkdir(parents=True, exist_ok=True)
        write(place)
    sys.exit(subprocess.call(command(place, *sys.argv[2:]), cwd=place, env={**os.environ, **ENVIRONMENT}))
