"""Methods and options that do not go together."""

import pytest

from aent import InputError, load_method
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntPPOConfig, AEntRLOOConfig, AEntRLOOTrainer
from aent.trl.refusals import fitted


def test_conflicting_bonus_is_refused(build, options):
    for conflict in ({"entropy_coef": 0.01}, {"use_adaptive_entropy": True}):
        with pytest.raises(InputError, match=next(iter(conflict))):
            build(AEntGRPOTrainer, AEntGRPOConfig, options | conflict)
    build(AEntGRPOTrainer, AEntGRPOConfig, options | {"entropy_coef": 0.01}, method="none")


def test_advantages_of_a_group_do_not_drop_rloos_kl_in_silence(options):
    """RLOO charges the KL to rewards, which these methods replace; GRPO has it in the loss."""
    options |= {"beta": 0.05}
    method = load_method({"name": "pass-at-k", "k": 2})
    with pytest.raises(InputError, match=r"'pass-at-k' .*beta=0\.05.*set beta to 0"):
        fitted(AEntRLOOConfig(**options), method)
    assert fitted(AEntGRPOConfig(**options), method).beta == 0.05
    assert fitted(AEntRLOOConfig(**options), load_method("unlikeliness")).beta == 0.05


@pytest.mark.parametrize(
    ("config", "option"),
    [
        (AEntRLOOConfig, {"reward_clip_range": (0.0, 1.0)}),
        (AEntRLOOConfig, {"normalize_advantages": True}),
        (AEntGRPOConfig, {"multi_objective_aggregation": "normalize_then_sum"}),
    ],
)
def test_advantages_of_a_group_refuse_what_would_do_nothing(config, option, options):
    options = options | option | {"beta": 0.0}
    with pytest.raises(
        InputError, match=rf"'qae' makes its own advantages.*{next(iter(option))}=.* do nothing"
    ):
        fitted(config(**options), load_method("qae"))
    fitted(config(**options), load_method("entropy-advantage"))


def test_ranks_need_a_group(options):
    args = AEntPPOConfig(**options | {"num_generations": 1})
    with pytest.raises(
        InputError, match="'unlikeliness' compares the completions of a group, but num_generations=1"
    ):
        fitted(args, load_method("unlikeliness"))


def test_without_args_a_method_cannot_be_fitted(make_model, prompts, reward):
    given = {"model": make_model(), "reward_funcs": reward, "train_dataset": prompts}
    with pytest.raises(InputError, match="args is missing, and method 'clip-higher' has to be fitted"):
        AEntGRPOTrainer(**given, method="clip-higher")


TOKEN_CLIPPING = ("clip-higher", "ce-gppo", "archer")


@pytest.mark.parametrize("name", TOKEN_CLIPPING)
@pytest.mark.parametrize(
    ("algorithm", "why"),
    [
        ("rloo", "with AEntRLOOConfig its ratio is of whole completions"),
        ("gspo", "with AEntGRPOConfig its ratio is of whole completions"),
        ("cispo", "with AEntGRPOConfig loss_type 'cispo' does not clip"),
        ("sapo", "with AEntGRPOConfig loss_type 'sapo' does not clip"),
    ],
)
def test_what_clips_single_tokens_refuses_other_algorithms(name, algorithm, why, build, options, grpo):
    make = {
        "rloo": lambda: build(AEntRLOOTrainer, AEntRLOOConfig, options, method=name),
        "gspo": lambda: grpo(name, importance_sampling_level="sequence"),
        "cispo": lambda: grpo(name, loss_type="cispo"),
        "sapo": lambda: grpo(name, loss_type="sapo"),
    }
    expected = f"method '{name}' changes how the ratio of single tokens is clipped, but {why}"
    with pytest.raises(InputError, match=expected):
        make[algorithm]()


@pytest.mark.parametrize(
    "option", [{"top_entropy_quantile": 0.2}, {"off_policy_mask_threshold": 0.1}], ids=str
)
def test_ce_gppo_refuses_what_hides_tokens_from_it(option, grpo):
    with pytest.raises(InputError, match=f"{next(iter(option))}=.* leaves tokens out .* 'ce-gppo'"):
        grpo("ce-gppo", **option)
