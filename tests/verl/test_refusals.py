"""What aent cannot honor in verl is refused on the driver, with the option to change."""

import pytest

from aent import InputError, Method, load_method
from aent.subsets import TopK
from aent.verl.config import Settings
from aent.verl.refusals import refuse

ACTOR = "actor_rollout_ref.actor"


def of(spec, head=False):
    return Settings(method=load_method(spec), spec=spec, head=head)


@pytest.mark.parametrize("strategy", ["fsdp", "veomni", "torchtitan", "automodel"])
def test_engines_without_a_forward_pass_of_ours(strategy, compose):
    message = f"{ACTOR}.strategy={strategy} is not supported by aent; set it to fsdp2 or megatron"
    with pytest.raises(InputError, match=message):
        refuse(compose(f"{ACTOR}.strategy={strategy}"), of("aent"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("actor_rollout_ref.model.use_fused_kernels=true", "use_fused_kernels=True hides the logits"),
        ("actor_rollout_ref.model.use_remove_padding=false", "use_remove_padding=False pads batches"),
        (f"{ACTOR}.entropy_coeff=0.01", "entropy_coeff=0.01 switches on verl's own entropy bonus beside the"),
        (f"{ACTOR}.calculate_sum_pi_squared=true", "calculate_sum_pi_squared=True changes the forward pass"),
        (f"{ACTOR}.use_prefix_grouper=true", "use_prefix_grouper=True changes the forward pass"),
        ("distillation.enabled=true", "distillation.enabled=True replaces the loss"),
    ],
)
def test_options_that_go_with_no_method(override, message, compose):
    refuse(compose(), of("aent"))
    with pytest.raises(InputError, match=message):
        refuse(compose(override), of({"name": "entropy-bonus"}))
    refuse(compose(override), of("none"))  # off means untouched


def test_verls_bonus_may_stay_beside_a_method_without_a_coefficient(compose):
    config = compose(f"{ACTOR}.entropy_coeff=0.01")
    refuse(config, of("clip-higher"))
    own = Method(name="own", subset=TopK(k=5), token_advantages=lambda tokens: tokens.advantages)
    with pytest.raises(InputError, match="needs the full entropy, but method 'own' takes it over TopK"):
        refuse(config, Settings(method=own, spec="own"))


@pytest.mark.parametrize("mode", ["gspo", "clip_cov", "bypass_mode"])
@pytest.mark.parametrize("method", ["clip-higher", "ce-gppo", "archer"])
def test_what_clips_single_tokens_needs_the_vanilla_loss(method, mode, compose):
    message = f"method '{method}' changes how .*loss_mode={mode} clips in another way; set it to vanilla"
    with pytest.raises(InputError, match=message):
        refuse(compose(f"{ACTOR}.policy_loss.loss_mode={mode}"), of(method))
    refuse(compose(f"{ACTOR}.policy_loss.loss_mode={mode}"), of("entropy-advantage"))


@pytest.mark.parametrize("method", [{"name": "pass-at-k", "k": 2}, "qae", "w-reinforce"], ids=str)
def test_advantages_of_a_group_do_not_replace_a_critic_or_drop_a_kl(method, compose):
    with pytest.raises(InputError, match="would replace the critic"):
        refuse(compose("algorithm.adv_estimator=gae"), of(method))
    with pytest.raises(InputError, match=r"algorithm\.use_kl_in_reward=True charges the KL to them"):
        refuse(compose("algorithm.use_kl_in_reward=true"), of(method))
    with pytest.raises(InputError, match=r"rollout\.n=1; set it to 2 or more"):
        refuse(compose("actor_rollout_ref.rollout.n=1"), of(method))


@pytest.mark.parametrize("estimator", ["gdpo", "remax"])
def test_changed_rewards_need_an_estimator_that_reads_the_sum(estimator, compose):
    config = compose(f"algorithm.adv_estimator={estimator}")
    with pytest.raises(InputError, match=f"adv_estimator={estimator} reads rewards elsewhere too"):
        refuse(config, of("unlikeliness"))
    refuse(config, of({"name": "pass-at-k", "k": 2}))


def test_the_old_policys_entropy_needs_its_forward_pass(compose):
    refuse(compose(), of("erc"))
    with pytest.raises(InputError, match=r"bypass_mode=True; set it to False"):
        refuse(compose("algorithm.rollout_correction.bypass_mode=true"), of("erc"))


def megatron(compose, *overrides):
    return compose("model_engine=megatron", f"{ACTOR}.strategy=megatron", *overrides)


@pytest.mark.parametrize(
    ("settings", "override", "message"),
    [
        (of("aent", head=True), "", "aent.head=True needs actor_rollout_ref.actor.strategy=fsdp2"),
        (of("aent-auto"), "", "method 'aent-auto' measures how the entropy responds to the logits"),
        (
            of("aent"),
            f"{ACTOR}.megatron.dynamic_context_parallel=true",
            "dynamic_context_parallel=True gives",
        ),
    ],
)
def test_megatron(settings, override, message, compose):
    refuse(megatron(compose), of("aent"))
    with pytest.raises(InputError, match=message):
        refuse(megatron(compose, *filter(None, [override])), settings)
