"""What the trainers promise, against TRL's own trainers and a naive clamped entropy."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from stepping import gradient, logged, naive_clamped_entropy, rollout, weights
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from aent import Band, Fixed, Fraction, InputError, Method
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntRLOOConfig, AEntRLOOTrainer

GRPO = (AEntGRPOTrainer, AEntGRPOConfig, GRPOTrainer, GRPOConfig)
RLOO = (AEntRLOOTrainer, AEntRLOOConfig, RLOOTrainer, RLOOConfig)
BOTH = pytest.mark.parametrize("kind", [GRPO, RLOO], ids=["grpo", "rloo"])

BAND = {"low": 4.3, "high": 4.4, "lr": 0.02, "coef_min": 0.0, "coef_max": 0.5, "warmup": 0}


def moving(coef=0.01, **changes):
    return {"name": "aent", "drop": 0.25, "coef": coef, **BAND, **changes}


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


@BOTH
@pytest.mark.parametrize(
    "method", ["none", {"name": "entropy-bonus", "coef": 0.0}, moving(coef=0.0, lr=0.0)], ids=str
)
def test_no_coefficient_is_bit_equal_to_trl(kind, method, build, options):
    trainer_class, config, parent, parent_config = kind
    ours = build(trainer_class, config, options, method=method)
    ours.train()
    theirs = build(parent, parent_config, options)
    theirs.train()
    assert torch.equal(weights(ours), weights(theirs))
    assert logged(ours, "loss") == logged(theirs, "loss")


def test_coefficient_zero_still_measures_what_a_bonus_would_see(build, options):
    """At coefficient 0 the host's kernel scores; the entropy beside it must be the same quantity."""
    trainers = []
    for coef in (0.0, 0.01):
        method = moving(coef=coef, lr=0.0)
        trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options | {"max_steps": 1}, method=method)
        trainer.train()
        trainers.append(trainer)
    off, on = trainers
    for key in ("aent/entropy", "aent/full_entropy"):
        assert logged(off, key) == pytest.approx(logged(on, key), abs=1e-5)
    assert logged(on, "aent/entropy")[0] < logged(on, "aent/full_entropy")[0]
    assert logged(on, "aent/full_entropy") == pytest.approx(logged(on, "entropy"), abs=1e-6)


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


@BOTH
def test_resuming_gives_the_same_run(kind, build, options, tmp_path):
    trainer_class, config, _, _ = kind
    options |= {"max_steps": 10, "save_strategy": "steps", "save_steps": 5}
    whole = build(trainer_class, config, options, method=moving())
    whole.train()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(Path(options["output_dir"]) / "checkpoint-5", elsewhere / "checkpoint-5")
    resumed = build(trainer_class, config, options | {"output_dir": str(elsewhere)}, method=moving())
    resumed.train(resume_from_checkpoint=str(elsewhere / "checkpoint-5"))
    coefs = logged(whole, "aent/coef")
    assert len(set(coefs)) == 10  # the controller moved at every step
    assert logged(resumed, "aent/coef") == coefs
    assert logged(resumed, "loss") == logged(whole, "loss")
    assert torch.equal(weights(resumed), weights(whole))


def test_a_checkpoint_of_another_method_is_refused(build, options):
    options |= {"max_steps": 1, "save_strategy": "steps", "save_steps": 1}
    build(AEntGRPOTrainer, AEntGRPOConfig, options, method=moving()).train()
    other = build(AEntGRPOTrainer, AEntGRPOConfig, options | {"max_steps": 2}, method="entropy-bonus")
    with pytest.raises(InputError, match=r"'aent', not 'entropy-bonus'"):
        other.train(resume_from_checkpoint=True)


def test_a_checkpoint_of_plain_trl_starts_from_the_initial_coefficient(build, options):
    options |= {"max_steps": 1, "save_strategy": "steps", "save_steps": 1}
    build(GRPOTrainer, GRPOConfig, options).train()
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options | {"max_steps": 2}, method=moving())
    trainer.train(resume_from_checkpoint=True)
    assert logged(trainer, "aent/coef") == [0.01]


@BOTH
def test_evaluation_does_not_move_the_coefficient(kind, build, options, prompts):
    trainer_class, config, _, _ = kind
    options |= {"per_device_eval_batch_size": 16}
    trainer = build(trainer_class, config, options, method=moving(), eval_dataset=prompts.select(range(4)))
    trainer.train()
    before, window = trainer.coef, trainer._aent_window.sums
    metrics = trainer.evaluate()
    assert trainer.coef == before
    assert trainer._aent_window.sums == window
    assert 0 < metrics["eval_aent/entropy"] < metrics["eval_aent/full_entropy"]


def test_a_window_without_tokens_does_not_move_the_coefficient(build, options):
    """No completion may end, so all are masked as truncated."""
    options |= {"mask_truncated_completions": True, "generation_kwargs": {"suppress_tokens": [1]}}
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=moving())
    trainer.train()
    assert logged(trainer, "completions/clipped_ratio") == [1.0] * 3
    assert logged(trainer, "aent/coef") == [0.01] * 3
    assert trainer.controller.updates == 0
    assert logged(trainer, "aent/entropy") == []


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


def test_update_per_rollout_batch_moves_once_per_batch(build, options):
    """2 slices x 2 iterations of one optimiser step each: one move per 4 steps."""
    options |= {
        "max_steps": 8,
        "steps_per_generation": 2,
        "num_iterations": 2,
        "aent_update": "rollout",
    }
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=moving())
    trainer.train()
    coefs = logged(trainer, "aent/coef")
    assert len(set(coefs[:4])) == 1
    assert len(set(coefs[4:])) == 1
    assert coefs[0] == 0.01
    assert coefs[4] != coefs[0]
    assert trainer.controller.updates == 2
    assert len(logged(trainer, "aent/entropy")) == 2


def test_the_logged_coefficient_follows_the_rule(build, options):
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=moving())
    trainer.train()
    coefs, entropies = logged(trainer, "aent/coef"), logged(trainer, "aent/entropy")
    assert entropies[0] < BAND["low"]
    assert coefs[1] == pytest.approx(coefs[0] + 0.02 * (BAND["low"] - entropies[0]))
    assert logged(trainer, "aent/low") == [4.3] * 3
    assert logged(trainer, "aent/high") == [4.4] * 3


HOST_OPTIONS = {
    "grpo loss": {"loss_type": "grpo"},
    "bnpo": {"loss_type": "bnpo"},
    "dr_grpo": {"loss_type": "dr_grpo", "scale_rewards": "none"},
    "cispo": {"loss_type": "cispo", "epsilon_high": 5.0},
    "sapo": {"loss_type": "sapo"},
    "luspo": {"loss_type": "luspo", "importance_sampling_level": "sequence"},
    "vespo": {"loss_type": "vespo"},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    "two iterations": {"num_iterations": 2, "steps_per_generation": 2},
    "quantile": {"top_entropy_quantile": 0.2},
    "truncated": {"mask_truncated_completions": True},
    "fp32 head": {"cast_lm_head_to_fp32": True},
    "bf16": {"bf16": True},
}


@pytest.mark.parametrize("name", HOST_OPTIONS)
def test_every_option_of_the_host_trains(name, build, options):
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options | HOST_OPTIONS[name], method=moving())
    start = weights(trainer).clone()
    trainer.train()
    assert weights(trainer).isfinite().all()
    assert not torch.equal(weights(trainer), start)
    assert all(0 < h < 4.6 for h in logged(trainer, "aent/entropy"))


@BOTH
def test_peft_adapters_train(kind, build, options):
    from peft import LoraConfig

    trainer_class, config, _, _ = kind
    lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    trainer = build(trainer_class, config, options | {"beta": 0.1}, method=moving(), peft_config=lora)
    adapter = [p for n, p in trainer.model.named_parameters() if "lora_B" in n]
    trainer.train()
    assert all(p.abs().max() > 0 for p in adapter)
    assert len(logged(trainer, "aent/entropy")) == 3


def test_conflicting_bonus_is_refused(build, options):
    for conflict in ({"entropy_coef": 0.01}, {"use_adaptive_entropy": True}):
        with pytest.raises(InputError, match=next(iter(conflict))):
            build(AEntGRPOTrainer, AEntGRPOConfig, options | conflict)
    build(AEntGRPOTrainer, AEntGRPOConfig, options | {"entropy_coef": 0.01}, method="none")


def test_two_methods_are_refused(build, options):
    with pytest.raises(InputError, match="two methods"):
        build(AEntGRPOTrainer, AEntGRPOConfig, options | {"aent_method": "aent"}, method="none")


def test_method_from_the_configuration(build, options):
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options | {"aent_method": "{name: aent, drop: 0.5}"})
    assert trainer.method.subset == Fraction(drop=0.5)
    assert isinstance(trainer.controller, Band)
    assert trainer.controller is not trainer.method.controller
    with pytest.raises(InputError, match="one of step, rollout"):
        AEntGRPOConfig(**options, aent_update="epoch")


@pytest.mark.parametrize(
    ("returned", "message"),
    [([0.5], "1 reward.*16|16.*1 reward"), ([float("nan")] * 16, "nan"), (["high"] * 16, "high")],
)
def test_bad_rewards_are_named(returned, message, build, options):
    def broken(completions, **_):
        return returned

    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, reward_funcs=broken)
    with pytest.raises(InputError, match=f"(?i)broken(.|\n)*({message})|({message})(.|\n)*broken"):
        trainer.train()


@pytest.mark.parametrize(
    ("method", "cited"),
    [("aent", "2509.03493"), ("entropy-bonus", "1602.01783"), ("none", "2402.03300")],  # none: GRPO's own
)
def test_model_card_cites_the_methods_paper(method, cited, build, options):
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=method)
    trainer.create_model_card(model_name="m")
    card = (Path(options["output_dir"]) / "README.md").read_text()
    assert cited in card
    assert ("shen2025entropy" in card) == (method == "aent")


def test_state_lies_in_trainer_state(build, options):
    options |= {"max_steps": 2, "save_strategy": "steps", "save_steps": 2}
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=moving())
    trainer.train()
    state = json.loads((Path(options["output_dir"]) / "checkpoint-2/trainer_state.json").read_text())
    assert state["stateful_callbacks"]["aent"]["attributes"]["controller"] == {
        "coef": trainer.coef,
        "updates": 2,
    }


def test_an_unknown_trl_is_refused(build, options, monkeypatch):
    import trl.trainer.utils

    monkeypatch.delattr(trl.trainer.utils, "_ChunkedLogProbFunction")
    with pytest.raises(InputError, match=r"_ChunkedLogProbFunction.*trl>=1.16"):
        build(AEntGRPOTrainer, AEntGRPOConfig, options)
