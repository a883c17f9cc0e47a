"""Rollouts of a policy, measured token by token for a calibration."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from aent.advantages import grpo_advantages
from aent.calibration.reading import Reading, reading, token_terms, weighted
from aent.errors import InputError
from aent.policies.generate import generate
from aent.policies.sampling import Place, Progress, Sampling
from aent.subsets import Subset
from aent.tasks import Row, Task, check_rewards


def training_rows(task: Task, count: int, seed: int) -> list[Row]:
    """Draw training problems.

    Raises:
        InputError: if the task has fewer.
    """
    data = task.dataset("train")
    if len(data) < count:
        raise InputError(
            f"task {task.name!r} has {len(data)} training problems, not {count}; lower --prompts"
        )
    return data.shuffle(seed=seed).select(range(count)).to_list()


def rollouts(
    policy: Any,
    tokenizer: Any,
    task: Task,
    rows: Sequence[Row],
    sampling: Sampling,
    subsets: Sequence[Subset],
    *,
    progress: Progress | None = None,
) -> tuple[Float[Tensor, "groups size"], Float[Tensor, "groups size subsets 6"]]:
    """Sample completions of every row, score them, and add up their `token_terms`.

    The terms come from the logits that each token was drawn from, so measuring takes no forward pass of its
    own. The reward of an unscored completion is NaN.

    Raises:
        InputError: as `generate`, and as the task's reward.
    """
    prompts = [row["prompt"] for row in rows]
    sums = torch.zeros(len(rows), sampling.samples, len(subsets), 6, dtype=torch.float64)

    def add(places: Sequence[Place], logits: Tensor, tokens: Tensor) -> None:
        problems, samples = torch.tensor(places).unbind(1)
        sums[problems, samples] += token_terms(logits, tokens, subsets, sampling.temperature)

    answers = generate(policy, tokenizer, prompts, sampling, progress=progress, watch=add)
    columns = {name: [rows[s.problem][name] for s in answers] for name in rows[0] if name != "prompt"}
    texts = [s.completion for s in answers]
    scores = check_rewards(
        task.reward(texts, prompts=[prompts[s.problem] for s in answers], **columns), len(answers), task.name
    )
    rewards = torch.tensor([torch.nan if r is None else r for r in scores])
    return rewards.view(len(rows), sampling.samples), sums


def readings(
    rewards: Float[Tensor, "groups size"],
    sums: Float[Tensor, "groups size subsets 6"],
    subsets: Sequence[str],
) -> dict[str, Reading]:
    """Return the readings of every subset, by the names given.

    Raises:
        InputError: as `aent.calibration.reading`.
    """
    advantages = grpo_advantages(rewards)[..., None].expand(sums.shape[:-1])
    of_prompts = weighted(sums, advantages).sum(1)
    return {name: reading(of_prompts[:, place]) for place, name in enumerate(subsets)}
