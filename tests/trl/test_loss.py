"""What a method adds to the loss of a micro-batch, against TRL's own loss and naive entropies."""

import pytest
import torch
from stepping import gradient, naive_clamped_entropy, rollout, weights
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from aent import Fixed, Fraction, InputError, Method
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntRLOOConfig, AEntRLOOTrainer

GRPO = (AEntGRPOTrainer, AEntGRPOConfig, GRPOTrainer, GRPOConfig)
RLOO = (AEntRLOOTrainer, AEntRLOOConfig, RLOOTrainer, RLOOConfig)
BOTH = pytest.mark.parametrize("kind", [GRPO, RLOO], ids=["grpo", "rloo"])


@BOTH
@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "gradient-checkpointing"])
def test_gradient_is_trls_minus_coef_times_the_entropys(kind, checkpointing, build, options):
    trainer_class, config, parent, _ = kind
    options |= {"temperature": 0.8, "gradient_checkpointing": checkpointing}
    method = Method(name="test", subset=Fraction(drop=0.25), controller=Fixed(coef=0.3))
    trainer = build(trainer_class, config, options, method=method)
    if checkpointing:
        trainer.model.gradient_checkpointing_enable()
    inputs = rollout(trainer, 16)
    ours = gradient(trainer, trainer._compute_loss(trainer.model, inputs))
    trainer._aent_head.bonus = False
    plain = gradient(trainer, parent._compute_loss(trainer, trainer.model, inputs))
    entropy = gradient(trainer, naive_clamped_entropy(trainer.model, inputs, 0.25, 0.8))
    assert entropy.abs().max() > 1e-3  # the comparison has something to see
    torch.testing.assert_close(ours, plain - 0.3 * entropy, rtol=0, atol=1e-6)


def shorten(batch):
    """Cut row i to 1 + i % 8 tokens, and leave the bonus alone in the loss."""
    batch["advantages"].zero_()
    for row, mask in enumerate(batch["completion_mask"]):
        mask[1 + row % 8 :] = 0
    batch["num_items_in_batch"] = batch["completion_mask"].sum()
    return batch


@BOTH
def test_accumulation_does_not_change_the_gradient(kind, build, options):
    """One micro-batch of 16 or two of 8: the same rollouts give the same gradient of the bonus."""
    trainer_class, config, parent, _ = kind
    bonus = {}
    for steps in (1, 2):
        changed = options | {
            "gradient_accumulation_steps": steps,
            "per_device_train_batch_size": 16 // steps,
        }
        method = Method(name="test", controller=Fixed(coef=0.3))
        trainer = build(trainer_class, config, changed, method=method)
        torch.manual_seed(0)
        rollout(trainer, 16, edit=shorten)
        total = 0.0
        for inputs in trainer._buffered_inputs:
            with_bonus = gradient(trainer, trainer._compute_loss(trainer.model, inputs))
            plain = gradient(trainer, parent._compute_loss(trainer, trainer.model, inputs))
            host_divides = 1 if trainer.loss_is_scaled_for_ga else steps
            total = total + (with_bonus - plain) / host_divides
        bonus[steps] = total
    lengths = [i["completion_mask"].sum().item() for i in trainer._buffered_inputs]
    assert lengths[0] != lengths[1]  # a mean of means would differ
    torch.testing.assert_close(bonus[1], bonus[2], rtol=0, atol=1e-6)


def test_tool_tokens_count_in_neither_bonus_nor_measurement(build, options):
    method = Method(name="test", controller=Fixed(coef=0.3))
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=method)

    def every_second_token_is_a_tools(batch):
        batch["tool_mask"] = torch.ones_like(batch["completion_mask"])
        batch["tool_mask"][:, 1::2] = 0
        return batch

    inputs = rollout(trainer, 16, edit=every_second_token_is_a_tools)
    tool_mask = inputs["tool_mask"]
    got = trainer._compute_loss(trainer.model, inputs) - GRPOTrainer._compute_loss(
        trainer, trainer.model, inputs
    )
    mask = inputs["completion_mask"] * tool_mask
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    logits = trainer.model(input_ids=ids, attention_mask=attention).logits
    logits = logits[:, -mask.size(1) - 1 : -1]
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    mean = (entropy * mask).sum() / mask.sum()
    torch.testing.assert_close(got, -0.3 * mean, rtol=0, atol=1e-5)
    sums = trainer._aent_window.sums
    assert sums.weight == mask.sum()
    assert (sums.entropy / sums.weight).item() == pytest.approx(mean.item(), abs=1e-5)


def test_truncated_completions_count_in_neither_bonus_nor_measurement(build, options):
    """Ends are frequent here, so some completions end within 8 tokens and some are cut off."""
    options |= {"mask_truncated_completions": True, "num_generations": 16}
    options |= {"generation_kwargs": {"eos_token_id": list(range(1, 12))}}
    method = Method(name="test", controller=Fixed(coef=0.3))
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=method)
    kept = []

    def ended(batch):
        rows = batch["completion_mask"].any(1)
        assert 0 < rows.sum() < len(rows)
        kept.append(batch["completion_mask"].sum())
        return batch

    inputs = rollout(trainer, 16, edit=ended)
    trainer._compute_loss(trainer.model, inputs)
    assert trainer._aent_window.sums.weight == kept[0] == trainer._aent_rollouts.tokens_per_rank
    entropy = naive_clamped_entropy(trainer.model, inputs, 0.0, 1.0).item()
    assert (trainer._aent_window.sums.entropy / kept[0]).item() == pytest.approx(entropy, abs=1e-5)


TOKEN_RATIO = {
    "dapo": (GRPO, {"num_iterations": 2}),
    "cispo": (GRPO, {"loss_type": "cispo", "epsilon_high": 5.0}),
    "sapo": (GRPO, {"loss_type": "sapo"}),
    "vespo": (GRPO, {"loss_type": "vespo"}),
}


SEQUENCE_RATIO = {
    "gspo": (GRPO, {"loss_type": "grpo", "importance_sampling_level": "sequence", "num_iterations": 2}),
    "luspo": (GRPO, {"loss_type": "luspo", "importance_sampling_level": "sequence"}),
    "rloo": (RLOO, {"num_iterations": 2}),
}


ALGORITHMS = TOKEN_RATIO | SEQUENCE_RATIO


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_hosts_own_advantages_per_token_are_bit_equal_to_trl(name, build, options):
    (ours, our_config, theirs, their_config), more = ALGORITHMS[name]
    same = Method(name="same", token_advantages=lambda tokens: tokens.advantages)
    with_method = build(ours, our_config, options | more, method=same)
    with_method.train()
    plain = build(theirs, their_config, options | more)
    start = weights(plain).clone()
    plain.train()
    assert torch.equal(weights(with_method), weights(plain))
    assert not torch.equal(weights(plain), start)


@pytest.mark.parametrize("name", ["gspo", "rloo"])
def test_with_one_ratio_per_completion_a_weight_multiplies_its_tokens_gradient(name, build, options):
    """loss = -A * r with r = exp(sum_t (logp_t - old_t) / n), n the length (GSPO) or 1 (RLOO), so its
    gradient is -A * r / n * sum_t grad logp_t. With weights w_t it must be -A * r / n * sum_t w_t grad
    logp_t: values of r, and so where it is clipped, stay.
    """
    (trainer_class, config, _, _), more = SEQUENCE_RATIO[name]
    weight = torch.tensor([0.0, 1.0, -0.5, 2.0, 0.25, 1.0, 3.0, 0.1])
    method = Method(name="weighted", token_advantages=lambda t: t.advantages * weight[: t.logp.size(1)])
    trainer = build(trainer_class, config, options | more | {"epsilon": 0.9}, method=method)
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    inputs = trainer._prepare_inputs([trainer.train_dataset[i // 8] for i in range(16)])
    inputs["completion_mask"][::2, 5:] = 0  # other lengths than generated
    if name == "rloo":
        inputs["old_logps"] = (inputs["aent_old_logp"] * inputs["completion_mask"]).sum(1)
    with torch.no_grad():  # away from the policy that generated, so that ratios are not 1
        for p in trainer.model.parameters():
            p.add_(0.003 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    got = gradient(trainer, trainer._compute_loss(trainer.model, inputs))

    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    mask, length = inputs["completion_mask"], inputs["completion_mask"].size(1)
    logits = trainer.model(input_ids=ids, attention_mask=attention).logits[:, -length - 1 : -1]
    logp = logits.log_softmax(-1).gather(-1, inputs["completion_ids"][..., None])[..., 0]
    n = mask.sum(1) if name == "gspo" else 1
    old = inputs["old_per_token_logps" if name == "gspo" else "aent_old_logp"]
    ratio = torch.exp(((logp - old) * mask).sum(1) / n).detach()
    assert (ratio - 1).abs().max() > 0.01
    assert (ratio - 1).abs().max() < 0.9
    weighted = (weight[:length] * logp * mask).sum(1) / n
    expected = gradient(trainer, -(inputs["advantages"] * ratio * weighted).mean())
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


@BOTH
def test_token_advantages_of_one_row_are_refused_instead_of_broadcast(kind, build, options):
    trainer_class, config, _, _ = kind
    method = Method(name="mine", token_advantages=lambda tokens: tokens.advantages[:1])
    trainer = build(trainer_class, config, options, method=method)
    with pytest.raises(InputError, match=r"token_advantages of method 'mine' .*\(1, 8\).*here \(16, 8\)"):
        trainer.train()


@pytest.mark.parametrize("coef", [float("nan"), float("inf"), torch.tensor(0.1)], ids=str)
def test_a_coefficient_that_is_no_finite_number_stops_before_the_next_step(coef, build, options):
    class Diverging(Fixed):
        def update(self, entropy):
            self.coef = coef
            return coef

    method = Method(name="mine", controller=Diverging(coef=0.1))
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=method)
    with pytest.raises(InputError, match="the coefficient of method 'mine' is"):
        trainer.train()
    assert trainer.state.global_step == 1
    assert weights(trainer).isfinite().all()


@pytest.mark.parametrize("kind", ["gspo", "rloo"])
def test_with_one_ratio_per_completion_an_advantage_out_of_nothing_is_refused(kind, build, options):
    """All rewards are equal, so the algorithm's advantages are 0, and a weight cannot change that."""
    trainer, config, more = {
        "gspo": (
            AEntGRPOTrainer,
            AEntGRPOConfig,
            {"loss_type": "grpo", "importance_sampling_level": "sequence"},
        ),
        "rloo": (AEntRLOOTrainer, AEntRLOOConfig, {"beta": 0.0}),
    }[kind]
    raised = Method(name="raised", token_advantages=lambda tokens: tokens.advantages + 1)
    made = build(
        trainer,
        config,
        options | more,
        method=raised,
        reward_funcs=lambda completions, **_: [1.0] * len(completions),
    )
    with pytest.raises(
        InputError, match="'raised' gave an advantage to tokens for which the algorithm's is 0"
    ):
        made.train()
