import pytest
import torch

from aent.calibration.reading import token_sums
from aent.calibration.rollouts import readings
from aent.policies.load import load_model
from aent.policies.sampling import Sample
from aent.subsets import Full


def test_the_figures_are_those_of_the_policy_token_by_token(policy):
    """Prompts and answers of unequal length, in one forward pass or alone: the same sums."""
    model, tokenizer = load_model(str(policy))
    prompts = ["1,2,3=6:", "10,20,30=60:"]
    answers = [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]]
    made = [Sample(i // 2, i % 2, "", tokens, None) for i, tokens in enumerate(answers)]
    rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = readings(model, tokenizer, prompts, made, rewards, {"full": Full()}, temperature=0.7)["full"]
    total = torch.zeros(6, dtype=torch.float64)
    for sample in made:
        prompt = tokenizer(prompts[sample.problem])["input_ids"]
        ids = torch.tensor([[*prompt, *sample.tokens]])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
        advantage = (1 if rewards[sample.problem, sample.sample] else -1) * 0.5 / (0.5**0.5 + 1e-4)
        each = torch.full((len(sample.tokens),), advantage)
        total += token_sums(logits, torch.tensor(sample.tokens), each, [Full()], temperature=0.7)[0]
    assert found.entropy.value == pytest.approx((total[1] / 10).item(), rel=1e-5)
    assert found.pull.value == pytest.approx((total[3] / 10).item(), rel=1e-4)
    assert found.push.value == pytest.approx((total[4] / 10).item(), rel=1e-5)
