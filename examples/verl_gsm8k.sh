#!/usr/bin/env bash
# verl with aent-auto on one node: three options switch it on (docs/verl.md). Arguments are passed on to verl.
#   PYTHON=.venv-verl/bin/python examples/verl_gsm8k.sh trainer.n_gpus_per_node=8
# The data and the reward function come from docs/verl.md, "Moving a recipe over". Not run on a GPU.
set -euo pipefail
"${PYTHON:-python}" -m verl.trainer.main_ppo \
    trainer.v1.trainer_mode=aent_sync \
    +aent.method=aent-auto \
    actor_rollout_ref.actor.strategy=fsdp2 \
    algorithm.adv_estimator=grpo actor_rollout_ref.rollout.name=vllm actor_rollout_ref.rollout.n=8 \
    actor_rollout_ref.model.path=Qwen/Qwen2.5-0.5B-Instruct \
    data.train_files=train.parquet data.val_files=test.parquet data.train_batch_size=64 \
    data.max_prompt_length=512 data.max_response_length=512 \
    actor_rollout_ref.actor.optim.lr=1e-6 actor_rollout_ref.actor.ppo_mini_batch_size=64 \
    actor_rollout_ref.actor.use_dynamic_bsz=True actor_rollout_ref.rollout.log_prob_use_dynamic_bsz=True \
    reward.custom_reward_function.path=reward.py reward.custom_reward_function.name=compute_score \
    trainer.total_training_steps=100 trainer.save_freq=20 \
    "$@"
