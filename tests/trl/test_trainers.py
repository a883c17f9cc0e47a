"""What the trainers promise, against TRL's own trainers and a naive clamped entropy."""

import shutil
from pathlib import Path

import pytest
import torch
from stepping import logged, weights
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from aent import Band, Fraction, InputError
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntRLOOConfig, AEntRLOOTrainer

GRPO = (AEntGRPOTrainer, AEntGRPOConfig, GRPOTrainer, GRPOConfig)
RLOO = (AEntRLOOTrainer, AEntRLOOConfig, RLOOTrainer, RLOOConfig)
BOTH = pytest.mark.parametrize("kind", [GRPO, RLOO], ids=["grpo", "rloo"])

BAND = {"low": 4.3, "high": 4.4, "lr": 0.02, "coef_min": 0.0, "coef_max": 0.5, "warmup": 0}


def moving(coef=0.01, **changes):
    return {"name": "aent", "drop": 0.25, "coef": coef, **BAND, **changes}


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


def test_two_methods_are_refused(build, options):
    with pytest.raises(InputError, match="two methods"):
        build(AEntGRPOTrainer, AEntGRPOConfig, options | {"aent_method": "aent"}, method="none")


def test_method_from_the_configuration(build, options):
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options | {"aent_method": "{name: aent, drop: 0.5}"})
    assert trainer.method.subset == Fraction(drop=0.5)
    assert isinstance(trainer.controller, Band)
    assert trainer.controller is not trainer.method.controller


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


def test_an_unknown_trl_is_refused(build, options, monkeypatch):
    import trl.trainer.utils

    monkeypatch.delattr(trl.trainer.utils, "_ChunkedLogProbFunction")
    with pytest.raises(InputError, match=r"_ChunkedLogProbFunction.*trl>=1.16"):
        build(AEntGRPOTrainer, AEntGRPOConfig, options)
