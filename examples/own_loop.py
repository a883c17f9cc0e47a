"""aent in a training loop of your own: plain PyTorch and a tiny policy, in seconds on a CPU.

The policy gets a number and writes three numbers that should add up to it. Many answers are right, so a
policy can earn the full reward and still explore. The policy gradient alone settles on one answer per
question. AEnt moves the coefficient of an entropy bonus to keep the entropy in a band.

    python examples/own_loop.py                 # policy gradient alone, then AEnt
    python examples/own_loop.py aent-auto qae   # other methods that `aent methods` lists
"""

import sys
from dataclasses import replace

import torch
from torch import nn

from aent import (
    Rollouts,
    Steering,
    Tokens,
    clip_edges,
    load_method,
    logit_slopes,
    rollout_advantages,
    token_advantages,
    token_stats,
    window_sums,
    with_terms,
)
from aent.advantages import right

NUMBERS, LENGTH = 64, 3  # the vocabulary is 0 to 63; an answer is three of them
QUESTIONS = torch.arange(40, 104, 4)  # what the answers should add up to
SAMPLES, STEPS, EPOCHS, LEARNING_RATE = 16, 150, 2, 0.005
OPTIONS = {"epsilon": 0.2, "epsilon_high": 0.2}  # what a method may set in this loop: its clipping range

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
    options = {**OPTIONS, **method.options}
    if missing := options.keys() - OPTIONS:
        raise SystemExit(
            f"{method.name} sets {', '.join(sorted(missing))}, which this loop does not have; add that, or "
            "choose another method"
        )
    steering = Steering(method)  # moves a copy of the method's controller
    optimizer = torch.optim.Adam(policy.parameters(), lr=LEARNING_RATE)
    questions = QUESTIONS.repeat_interleave(SAMPLES)
    mask = torch.ones(len(questions), LENGTH)  # 0 would mean padding

    def mean(values):
        return (values * mask).sum() / mask.sum()

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
            logits = policy(questions, answers)
            stats = token_stats(logits, answers, subset=method.subset)
            tokens = Tokens(
                logp=stats.logp,
                old_logp=old.logp,
                entropy=stats.entropy,
                full_entropy=stats.full_entropy.detach(),
                old_entropy=old.entropy,
                advantages=advantages,
                mask=mask,
                group_reward=rewards.mean(1).repeat_interleave(SAMPLES),
                solved=right(rewards).mean(1).repeat_interleave(SAMPLES),
                slopes=logit_slopes(logits, answers, subset=method.subset) if method.needs_slopes else None,
                remaining=1 - step / (STEPS + 1),
                clip=(options["epsilon"], options["epsilon_high"]),
                coef=steering.coef,
                last_entropy=steering.last_entropy,
                band=steering.band,
            )

            # The policy-gradient loss is yours. The method may change its advantages and clipping range,
            tokens = replace(tokens, advantages=token_advantages(method, tokens))
            tokens = replace(tokens, clip=clip_edges(method, tokens))
            low, high = tokens.clip
            unclipped = tokens.ratio * tokens.advantages
            clipped = tokens.ratio.clamp(1 - low, 1 + high) * tokens.advantages
            loss = -mean(torch.minimum(unclipped, clipped))

            # and adds its own terms, such as the entropy bonus.
            averages = {"host_mean": mean, "count": mask.sum().item()}
            loss = with_terms(loss, method, tokens, **averages)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

            # What was measured moves the coefficient.
            sums = window_sums(method, tokens, **averages)
            steering.update(sums, remaining=1 - (step + 1) / (STEPS + 1))

        reward, measured = rewards.mean().item(), sums.metrics() | steering.metrics()
        if log:
            log({"step": step, "reward": reward, "entropy": old.entropy.mean().item(), **measured})
        if step % 25 == 0:
            print(f"{step:4d}  {reward:6.2f}  {measured['aent/entropy']:7.2f}  {steering.coef:11.3f}")
    return {"policy": policy, "entropy": measured["aent/entropy"], "coef": steering.coef, "reward": reward}


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ["none", AENT]:
        train(chosen)
