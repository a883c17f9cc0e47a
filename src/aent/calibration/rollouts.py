"""Rollouts of a policy, scored token by token for a calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from aent.advantages import grpo_advantages
from aent.calibration.reading import Reading, reading, token_sums
from aent.errors import InputError
from aent.policies.generate import generate
from aent.policies.sampling import Progress, Prompt, Sample, Sampling, encode
from aent.subsets import Subset
from aent.tasks import Row, Task, check_rewards

MOST_LOGITS = 1 << 27
"""Most logits of one forward pass: half a gigabyte in float32."""


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
    *,
    progress: Progress | None = None,
) -> tuple[list[Sample], Float[Tensor, "groups size"]]:
    """Sample completions of every row and score them; the reward of an unscored one is NaN.

    Raises:
        InputError: as `generate`, and as the task's reward.
    """
    prompts = [row["prompt"] for row in rows]
    samples = generate(policy, tokenizer, prompts, sampling, progress=progress)
    columns = {name: [rows[s.problem][name] for s in samples] for name in rows[0] if name != "prompt"}
    texts = [s.completion for s in samples]
    scores = check_rewards(
        task.reward(texts, prompts=[prompts[s.problem] for s in samples], **columns), len(samples), task.name
    )
    rewards = torch.tensor([torch.nan if r is None else r for r in scores])
    return samples, rewards.view(len(rows), sampling.samples)


@torch.no_grad()
def readings(
    policy: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    samples: Sequence[Sample],
    rewards: Float[Tensor, "groups size"],
    subsets: Mapping[str, Subset],
    *,
    temperature: float,
    progress: Progress | None = None,
) -> dict[str, Reading]:
    """Score rollouts with forward passes and return the readings of every subset.

    The samples of a prompt stand next to each other.

    Raises:
        InputError: as `aent.calibration.reading`.
    """
    policy.eval()
    advantages = grpo_advantages(rewards)
    sums = torch.zeros(len(prompts), len(subsets), 6, dtype=torch.float64)
    size = rewards.size(1)
    for group, prompt in enumerate(prompts):
        head = encode(tokenizer, prompt)
        answers = [s.tokens for s in samples[group * size : (group + 1) * size]]
        for answer_rows in _micro_batches(answers, len(head), policy.config.get_text_config().vocab_size):
            logits, targets = _scored(policy, head, [answers[i] for i in answer_rows])
            each = torch.repeat_interleave(
                advantages[group, answer_rows], torch.tensor([len(answers[i]) for i in answer_rows])
            ).to(logits.device)
            sums[group] += token_sums(logits, targets, each, list(subsets.values()), temperature)
        if progress is not None:
            progress(group + 1, len(prompts))
    return {name: reading(sums[:, place]) for place, name in enumerate(subsets)}


def _micro_batches(answers: Sequence[Sequence[int]], prompt: int, vocab: int) -> list[list[int]]:
    longest = prompt + max(map(len, answers))
    step = max(1, MOST_LOGITS // (longest * vocab))
    return [list(range(i, min(i + step, len(answers)))) for i in range(0, len(answers), step)]


def _scored(policy: Any, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return the logits that predict each token of the answers, and the tokens, one row each.

    Padding is on the right, where a causal model does not see it, so positions are those of generation.
    """
    whole = [torch.tensor([*prompt, *answer]) for answer in answers]
    ids = pad_sequence(whole, batch_first=True)
    lengths = torch.tensor([len(x) for x in whole])
    place = torch.arange(ids.size(1))
    seen = place < lengths[:, None]
    logits = policy(
        input_ids=ids.to(policy.device), attention_mask=seen.long().to(policy.device), use_cache=False
    ).logits
    answer = (seen & (place >= len(prompt)))[:, 1:].to(logits.device)
    return logits[:, :-1][answer], ids[:, 1:].to(logits.device)[answer]
