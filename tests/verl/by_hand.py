"""A method applied by hand to what an update of verl was given: dense logits, no engine, worker or trainer.

The policy-gradient loss is written out: per token max(-r A, -clip(r) A), at most -3 A where A is negative,
averaged over the tokens of the mini-batch. Log-probabilities are a log-softmax; entropies are those of the
reference of `aent.ops`; the method's parts act through `aent.objective`.
"""

import copy
from dataclasses import dataclass, replace

import pytest
import torch
from verl_on_cpu import toy

from aent import load_method
from aent.controllers import Effect, Foresighted
from aent.method import Rollouts, Tokens
from aent.objective import (
    changed_rewards,
    clip_edges,
    entropy_sum,
    first_order_effect,
    rollout_advantages,
    token_advantages,
    with_terms,
)
from aent.ops import EntropySlopes, logit_slopes, token_stats


def padded(rows):
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True).float()


@dataclass
class Sums:
    """What the controller will see of a training step."""

    entropy: float = 0.0
    weight: float = 0.0
    full_entropy: float = 0.0
    tokens: float = 0.0
    pull: float = 0.0
    push: float = 0.0


class ByHand:
    """One run of a method: its controller, and what a step has added up so far."""

    def __init__(self, spec):
        self.method = load_method(spec)
        self.controller = copy.deepcopy(self.method.controller)
        self.last_entropy, self.sums = None, Sums()

    @property
    def coef(self):
        return 0.0 if self.controller is None else self.controller.coef

    @property
    def band(self):
        return None if self.controller is None else self.controller.band

    def close(self, remaining):
        """Move the coefficient after a training step; returns the entropies it had: clamped, full."""
        sums, self.sums = self.sums, Sums()
        entropy = sums.entropy / sums.weight if sums.weight else None
        if self.controller is not None and entropy is not None:
            self.last_entropy = entropy
            if isinstance(self.controller, Foresighted):
                self.controller.foresee(Effect(pull=sums.pull, push=sums.push, remaining=remaining))
            self.controller.update(entropy)
        return entropy, sums.full_entropy / sums.tokens

    def advantages(self, fields):
        """One advantage per rollout: GRPO's, or the method's."""
        prompts = fields["uid"]
        order = sorted(range(len(prompts)), key=lambda row: str(prompts[row]))
        groups = torch.tensor(order).view(len(set(map(str, prompts))), -1)
        rewards = torch.stack([row.sum() for row in fields["rm_scores"]])
        logp = padded(fields["old_log_probs"])
        mask = padded(fields["response_mask"])
        means = (logp * mask).sum(1) / mask.sum(1)
        rollouts = Rollouts(rewards=rewards[groups], mean_logp=lambda: means[groups])

        def grpo(r):
            return (r - r.mean(1, keepdim=True)) / (r.std(1, keepdim=True) + 1e-6)

        result, solved, mean = (torch.empty(len(rewards)) for _ in range(3))
        result[groups] = rollout_advantages(self.method, rollouts, grpo).float()
        group_mean = rewards[groups].mean(1, keepdim=True).expand(groups.shape)
        mean[groups] = group_mean
        best = (rewards[groups] == rewards.max()).float()
        solved[groups] = best.mean(1, keepdim=True).expand(groups.shape)
        assert changed_rewards(self.method, rollouts).isfinite().all()
        return result, solved, mean

    def gradients(self, update, remaining):
        """The gradients of an update, by the name of the parameter, from the weights before it."""
        fields = update["fields"]
        model = toy.policy()
        model.load_state_dict(update["weights"], strict=False)
        advantages, solved, mean = self.advantages(fields)
        count = sum(int(row.sum()) for row in fields["response_mask"])
        torch.set_rng_state(update["random"])
        for start in range(0, len(advantages), update["micro"]):
            rows = slice(start, start + update["micro"])
            part = {name: values[rows] for name, values in fields.items()}
            tokens = self.tokens(model, part, update["temperature"])
            tokens = replace(
                tokens,
                advantages=advantages[rows, None] * tokens.mask,
                solved=solved[rows],
                group_reward=mean[rows],
                remaining=remaining,
            )
            self.loss(tokens, count).backward()
            self.sums.full_entropy += float((self.full_entropy * tokens.mask).sum())
            self.sums.tokens += float(tokens.mask.sum())
        return {name: parameter.grad for name, parameter in model.named_parameters()}

    def tokens(self, model, fields, temperature):
        """What the method sees, but for what comes from rewards."""
        columns = {"logp": [], "entropy": [], "full": []}
        slopes = []
        for ids, response in zip(fields["input_ids"], fields["responses"], strict=True):
            z = model(ids[None]).logits[0, -len(response) - 1 : -1] / temperature
            stats = token_stats(z, response, subset=self.method.subset, backend="reference")
            columns["logp"].append(z.log_softmax(-1).gather(-1, response[:, None])[:, 0])
            columns["entropy"].append(stats.entropy)
            columns["full"].append(stats.full_entropy.detach())
            slopes.append(torch.stack(logit_slopes(z.detach(), response, subset=self.method.subset), -1))
        self.full_entropy = padded(columns["full"])
        sloped = isinstance(self.method.controller, Foresighted)
        return Tokens(
            logp=padded(columns["logp"]),
            old_logp=padded(fields["old_log_probs"]),
            entropy=padded(columns["entropy"]),
            full_entropy=padded(columns["full"]),
            old_entropy=padded(fields["entropy"]),
            advantages=torch.zeros(()),
            mask=padded(fields["response_mask"]),
            ref_logp=padded(fields["ref_log_prob"]) if "ref_log_prob" in fields else None,
            slopes=EntropySlopes(*padded(slopes).unbind(-1)) if sloped else None,
            clip=tuple(self.method.options.get(name, 0.2) for name in ("epsilon", "epsilon_high")),
            coef=self.coef,
            band=self.band,
            last_entropy=self.last_entropy,
        )

    def loss(self, tokens, count):
        """The loss of a micro-batch, of which the mini-batch has `count` tokens; adds to the sums."""
        unseen = replace(tokens, logp=tokens.logp.detach(), entropy=tokens.entropy.detach())
        a = token_advantages(self.method, unseen)
        low, high = clip_edges(self.method, replace(unseen, advantages=a))
        tokens = replace(tokens, advantages=a, clip=(low, high))
        ratio = (tokens.logp - tokens.old_logp).clamp(-20, 20).exp()
        losses = torch.maximum(-a * ratio, -a * torch.clamp(ratio, 1 - low, 1 + high))
        losses = torch.where(a < 0, torch.minimum(losses, -3 * a), losses)
        averages = {"host_mean": lambda values: (values * tokens.mask).sum() / count, "count": count}
        total = averages["host_mean"](losses)
        if beta := self.method.options.get("beta"):
            gap = (tokens.ref_logp - tokens.logp).clamp(-20, 20)
            total = total + beta * averages["host_mean"]((gap.exp() - gap - 1).clamp(-10, 10))
        entropy, weight = entropy_sum(self.method, tokens)
        pull, push = first_order_effect(self.method, tokens, **averages)
        self.sums.entropy += float(entropy)
        self.sums.weight += float(weight)
        self.sums.pull += float(pull)
        self.sums.push += float(push)
        return with_terms(total, self.method, tokens, **averages)


UNDECIDED = "kl-cov"
"""Its penalty ``abs(log r)`` has no slope at 0. verl measures the old policy in a pass of its own, so in the
first update of a step log r is not 0 but rounding error, whose sign is the slope."""


def assert_by_hand(folder, spec, logged, updates_per_step=2):
    """What verl recorded in a folder is what the method gives by hand, to 1e-5; returns the coefficients.

    `logged` has the metrics of each step.
    """
    run, coefs = ByHand(spec), []
    for step, metrics in enumerate(logged):
        remaining = 1 - step / len(logged)
        for number in range(updates_per_step):
            update = torch.load(folder / f"{step * updates_per_step + number}.pt", weights_only=False)
            assert_state(update["aent"], run, remaining)
            expected, _, _ = run.advantages(update["fields"])
            for row, mask, a in zip(
                update["fields"]["advantages"], update["fields"]["response_mask"], expected, strict=True
            ):
                torch.testing.assert_close(row * mask, a * mask, atol=1e-5, rtol=1e-5)
            gradients = run.gradients(update, remaining)
            assert gradients.keys() == update["gradients"].keys()
            assert max(float(gradient.abs().max()) for gradient in gradients.values()) > 1e-3
            if run.method.name == UNDECIDED and number == 0:
                continue
            for parameter, gradient in gradients.items():
                torch.testing.assert_close(update["gradients"][parameter], gradient, atol=1e-5, rtol=1e-5)
        coefs.append(run.coef)
        entropy, full_entropy = run.close(1 - (step + 1) / len(logged))
        expected = {"aent/entropy": entropy, "aent/full_entropy": full_entropy, "aent/coef": coefs[-1]}
        compared = {key: value for key, value in metrics.items() if key in expected}
        assert compared == pytest.approx({key: expected[key] for key in compared}, rel=1e-4)
        assert bool(compared) == bool(run.method.parts)
    return coefs


def assert_state(state, run, remaining):
    """What the driver sent with the batch; verl's own run is sent nothing."""
    if not run.method.parts:
        assert state is None
        return
    expected = {
        "coef": run.coef,
        "band": run.band,
        "last_entropy": run.last_entropy,
        "remaining": remaining,
    }
    assert state.keys() == expected.keys()
    for name, value in state.items():
        assert (value is None) == (expected[name] is None)
        assert value is None or value == pytest.approx(expected[name], rel=1e-4)
