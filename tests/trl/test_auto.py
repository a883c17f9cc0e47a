"""`aent-auto` in training: what its controller is shown, against naive logits and autograd."""

import pytest
import torch
from stepping import naive_logits, rollout, weights

from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntRLOOConfig, AEntRLOOTrainer


@pytest.fixture
def collapsed(build, options):
    """Build a trainer whose policy has lost half of its entropy, so that the weights act in full."""

    def built(kind=AEntGRPOTrainer, config=AEntGRPOConfig, options=options):
        trainer = build(kind, config, options, method="aent-auto")
        trainer.controller.start, trainer.controller.updates = 1.0, 9
        trainer._aent_window.last_entropy = 0.5
        return trainer

    return built


def naive_effect(trainer, inputs, remaining=1.0):
    """Per token, (u . g, g . g) times 1 less what is solved of its prompt, that times what remains.

    u = A ([j = t] - p_j), g the gradient of the nucleus's entropy by autograd.
    """
    with torch.no_grad():
        logits = naive_logits(trainer.model, inputs, trainer.temperature)
    kept = logits.detach().clone().requires_grad_()
    ordered, order = logits.softmax(-1).sort(dim=-1, descending=True)
    outside = (ordered.cumsum(-1) - ordered >= 0.9).gather(-1, order.argsort(-1))  # the tokens before hold .9
    log_q = kept.masked_fill(outside, -torch.inf).log_softmax(-1)
    entropy = -(log_q.exp() * log_q.masked_fill(log_q.isinf(), 0)).sum(-1)
    (g,) = torch.autograd.grad(entropy.sum(), kept)
    hot = torch.nn.functional.one_hot(inputs["completion_ids"], logits.size(-1))
    u = inputs["advantages"][:, None, None] * (hot - logits.softmax(-1))
    unsolved = 1 - remaining * inputs["aent_solved"][:, None]
    return unsolved * (u * g).sum(-1), unsolved * g.square().sum(-1)


@pytest.mark.parametrize(
    ("kind", "config"), [(AEntGRPOTrainer, AEntGRPOConfig), (AEntRLOOTrainer, AEntRLOOConfig)]
)
def test_the_controller_is_shown_the_first_order_effects(kind, config, collapsed):
    trainer = collapsed(kind, config)
    inputs = rollout(trainer, 16)
    trainer._compute_loss(trainer.model, inputs)
    along, square = naive_effect(trainer, inputs)
    mask = inputs["completion_mask"]
    completions = (along * mask).sum(1)
    pull = completions.sum() / mask.sum() if kind is AEntGRPOTrainer else completions.mean()
    push = (square * mask).sum() / mask.sum()
    assert pull.abs() > 1e-4  # the comparison has something to see
    assert [s.item() for s in trainer._aent_window.sums[4:]] == pytest.approx(
        [pull.item(), push.item()], rel=1e-3
    )


def test_what_is_solved_counts_by_the_steps_that_remain(collapsed):
    trainer = collapsed()
    inputs = rollout(trainer, 16)
    trainer.state.global_step, trainer.state.max_steps = 3, 4
    trainer._compute_loss(trainer.model, inputs)
    along, square = naive_effect(trainer, inputs, remaining=0.25)
    mask = inputs["completion_mask"]
    expected = [((values * mask).sum() / mask.sum()).item() for values in (along, square)]
    assert [s.item() for s in trainer._aent_window.sums[4:]] == pytest.approx(expected, rel=1e-3)


def test_nothing_is_weighted_while_the_entropy_is_there(collapsed):
    trainer = collapsed()
    trainer._aent_window.last_entropy = 1.0
    inputs = rollout(trainer, 16)
    trainer._compute_loss(trainer.model, inputs)
    along, _ = naive_effect(trainer, inputs, remaining=0.0)
    mask = inputs["completion_mask"]
    expected = ((along * mask).sum() / mask.sum()).item()
    assert trainer._aent_window.sums.pull.item() == pytest.approx(expected, rel=1e-3)


def test_the_controller_is_told_what_remains(build, options):
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options | {"max_steps": 4}, method="aent-auto")
    seen, shown = [], trainer.controller.foresee
    trainer.controller.foresee = lambda effect: (seen.append(effect.remaining), shown(effect))
    trainer.train()
    assert seen == [3 / 4, 2 / 4, 1 / 4, 0]
    assert trainer.controller.band == (0, trainer.controller.start)


def test_a_step_in_two_parts_is_one_step(collapsed, options):
    parts = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2}
    trainer = collapsed(options=options | parts)
    rollout(trainer, 16)
    pull = push = tokens = 0.0
    for inputs in trainer._buffered_inputs:
        trainer._compute_loss(trainer.model, inputs)
        along, square = naive_effect(trainer, inputs)
        mask = inputs["completion_mask"]
        pull, push = pull + (along * mask).sum(), push + (square * mask).sum()
        tokens += mask.sum()
    expected = [(pull / tokens).item(), (push / tokens).item()]
    assert [s.item() for s in trainer._aent_window.sums[4:]] == pytest.approx(expected, rel=1e-3)


def test_resumed_it_goes_on(build, options):
    """The controller's memory is in the checkpoint: seven steps and three are ten."""
    options |= {"save_strategy": "steps", "save_steps": 7, "max_steps": 10}
    whole = build(AEntGRPOTrainer, AEntGRPOConfig, options, method="aent-auto")
    whole.train()
    resumed = build(AEntGRPOTrainer, AEntGRPOConfig, options, method="aent-auto")
    resumed.train(resume_from_checkpoint=f"{options['output_dir']}/checkpoint-7")
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.controller == whole.controller
