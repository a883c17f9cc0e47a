"""aent in a training loop of your own: plain PyTorch and a tiny policy, in seconds on a CPU.

The policy gets a number and writes three numbers that should add up to it. Many answers are right, so a
policy can earn the full reward and still explore. The policy gradient alone settles on one answer per
question. AEnt moves the coefficient of an entropy bonus to keep the entropy in a band.

    python examples/own_loop.py                 # policy gradient alone, then AEnt
    python examples/own_loop.py clip-higher qae # other methods that `aent methods` lists
"""

import copy
import sys
from dataclasses import replace

import torch
from torch import nn

from aent import (
    Rollouts,
    Tokens,
    clip_edges,
    entropy_sum,
    load_method,
    rollout_advantages,
    token_advantages,
    token_stats,
    with_terms,
)

NUMBERS, LENGTH = 64, 3  # the vocabulary is 0 to 63; an answer is three of them
QUESTIONS = torch.arange(40, 104, 4)  # what the answers should add up to
SAMPLES, STEPS, EPOCHS, LEARNING_RATE = 16, 150, 2, 0.005

AENT = {
    "name": "aent", "drop": 0.33, "low": 0.5, "high": 0.8, "coef": 0.1,
    "lr": 0.02, "coef_min": 0.05, "coef_max": 0.4, "warmup": 0,
}  # fmt: skip


class Policy(nn.Module):
    """Logits of the next number, from its place in the answer and the rest that is still missing."""

    def __init__(self):
        super().__init__()
        self.place = nn.Embedding(LENGTH, 64)
        self.rest = nn.Embedding(int(QUESTIONS.max()) + LENGTH * NUMBERS, 64)  # from minus 3 * 63 up
        self.head = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, NUMBERS))

    def forward(self, questions, answers):
        """Return the logits before each number of the answers."""
        before = answers.cumsum(1) - answers
        rest = questions[:, None] - before + LENGTH * NUMBERS - 1
        return self.head(self.rest(rest) + self.place.weight)

    @torch.no_grad()
    def answer(self, questions):
        """Sample one answer to each question."""
        answers = torch.zeros(len(questions), LENGTH, dtype=torch.long)
        for t in range(LENGTH):
            logits = self(questions, answers)[:, t]
            answers[:, t] = torch.distributions.Categorical(logits=logits).sample()
        return answers


def group_baseline(rewards):
    """Return GRPO's advantages: the distance from the group's mean in standard deviations."""
    return (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)


def train(spec, seed=0, log=None):
    """Train a policy with a method, printing as it goes.

    Returns the policy, and its last entropy, coefficient and reward. `log` is called with one row per step,
    under the names that `aent diagnose` and `aent report` read.
    """
    torch.manual_seed(seed)
    policy, method = Policy(), load_method(spec)
    controller = copy.deepcopy(method.controller)  # it has state, and the method can be reused
    optimizer = torch.optim.Adam(policy.parameters(), lr=LEARNING_RATE)
    questions = QUESTIONS.repeat_interleave(SAMPLES)
    mask, entropy = torch.ones(len(questions), LENGTH), None  # a mask of 0 would mean padding
    print(f"\n{method.name}\nstep  reward  entropy  coefficient")

    for step in range(STEPS + 1):
        # Roll out and score: 1 for a right answer, at most 0.3 for a close one
        answers = policy.answer(questions)
        error = (answers.sum(1) - questions).abs()
        rewards = (0.3 * torch.exp(-error / 10) + 0.7 * (error == 0)).view(-1, SAMPLES)
        with torch.no_grad():
            old = token_stats(policy(questions, answers), answers)
        mean_logp = old.logp.mean(1).view(-1, SAMPLES)
        rollouts = Rollouts(rewards=rewards, mean_logp=lambda logp=mean_logp: logp)
        advantages = rollout_advantages(method, rollouts, group_baseline).view(-1, 1).expand(-1, LENGTH)

        for _ in range(EPOCHS):
            stats = token_stats(policy(questions, answers), answers, subset=method.subset)
            tokens = Tokens(
                logp=stats.logp,
                old_logp=old.logp,
                entropy=stats.entropy,
                old_entropy=old.entropy,
                advantages=advantages,
                mask=mask,
                remaining=1 - step / (STEPS + 1),
                coef=controller.coef if controller else 0.0,
                last_entropy=entropy,
                band=controller.band if controller else None,
            )

            # The policy-gradient loss is yours. The method may change its advantages and clipping range,
            tokens = replace(tokens, advantages=token_advantages(method, tokens))
            tokens = replace(tokens, clip=clip_edges(method, tokens))
            low, high = tokens.clip
            unclipped = tokens.ratio * tokens.advantages
            clipped = tokens.ratio.clamp(1 - low, 1 + high) * tokens.advantages
            loss = -(torch.minimum(unclipped, clipped) * mask).sum() / mask.sum()

            # and adds its own terms, such as the entropy bonus.
            loss = with_terms(
                loss,
                method,
                tokens,
                host_mean=lambda values: (values * mask).sum() / mask.sum(),
                count=mask.sum().item(),
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

            # The controller turns the measured entropy into the next coefficient
            total, weight = entropy_sum(method, tokens)
            entropy = (total / weight).item()
            if controller:
                controller.update(entropy)

        coef = controller.coef if controller else 0.0
        if log:
            row = {"step": step, "reward": rewards.mean().item(), "entropy": old.entropy.mean().item()}
            if controller:
                row |= {"aent/entropy": entropy, "aent/coef": coef}
            if controller and controller.band:
                row |= dict(zip(("aent/low", "aent/high"), controller.band, strict=True))
            log(row)
        if step % 25 == 0:
            print(f"{step:4d}  {rewards.mean():6.2f}  {entropy:7.2f}  {coef:11.3f}")
    return {"policy": policy, "entropy": entropy, "coef": coef, "reward": rewards.mean().item()}


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ["none", AENT]:
        train(chosen)
