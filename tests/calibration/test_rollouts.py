import pytest
import torch

from aent.advantages import grpo_advantages
from aent.calibration.reading import token_terms, weighted
from aent.calibration.rollouts import readings, rollouts
from aent.policies.generate import generate
from aent.policies.load import load_model
from aent.policies.sampling import Sampling
from aent.subsets import Full, TopK
from aent.tasks import load_task

SUBSETS = {"full": Full(), "top-3": TopK(k=3)}
SAMPLING = Sampling(samples=4, temperature=0.7, top_k=20, max_tokens=24, batch_size=6, seed=3)


def test_the_figures_are_those_of_the_policy_token_by_token(policy):
    """Prompts and answers of unequal length: the sums of forward passes over each answer alone."""
    model, tokenizer = load_model(str(policy))
    task = load_task("countdown")
    rows = [{**task.dataset("train")[0], "prompt": prompt} for prompt in ("1,2,3=6:", "10,20,30=60:", "7:")]
    rewards, sums = rollouts(model, tokenizer, task, rows, SAMPLING, list(SUBSETS.values()))
    answers = generate(model, tokenizer, [row["prompt"] for row in rows], SAMPLING)
    rewards = torch.arange(12.0).square().view(3, 4)  # the policy solves nothing
    found = readings(rewards, sums, list(SUBSETS))
    assert len({len(answer.tokens) for answer in answers}) > 1
    advantages = grpo_advantages(rewards)
    total = torch.zeros(2, 6, dtype=torch.float64)
    for answer in answers:
        prompt = tokenizer(rows[answer.problem]["prompt"])["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *answer.tokens]])).logits
        logits = logits[0, len(prompt) - 1 : -1]
        terms = token_terms(logits, torch.tensor(answer.tokens), list(SUBSETS.values()), temperature=0.7)
        total += weighted(terms.sum(0), advantages[answer.problem, answer.sample].expand(2))
    assert total[0, 0] == sum(len(answer.tokens) for answer in answers)
    for place, name in enumerate(SUBSETS):
        tokens, entropy, dropped, pull, push, size = total[place].tolist()
        each = found[name]
        assert each.entropy.value == pytest.approx(entropy / tokens, rel=1e-5)
        assert each.dropped.value == pytest.approx(dropped / tokens, rel=1e-5)
        assert each.pull.value == pytest.approx(pull / tokens, rel=1e-4)
        assert each.push.value == pytest.approx(push / tokens, rel=1e-5)
        assert each.size == pytest.approx((size / tokens) ** 0.5, rel=1e-5)
