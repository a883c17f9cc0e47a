"""From verl's configuration to a method, and from a method's options to verl's names."""

import pytest
from omegaconf import OmegaConf

from aent import InputError, Method, __version__, load_method
from aent.controllers import Band
from aent.verl.config import Settings, prepare, read_settings


def settings(name, **arguments):
    return Settings(method=load_method({"name": name, **arguments}), spec=name)


def test_a_name_a_mapping_and_a_list_are_methods(compose):
    assert read_settings(compose()).method.name == "aent"
    assert read_settings(compose("+aent.method=siren")).method.name == "siren"
    read = read_settings(compose("+aent.method={name: aent, low: 0.3, high: 0.5}", "+aent.head=true"))
    assert isinstance(read.method.controller, Band)
    assert (read.method.controller.low, read.method.controller.high, read.head) == (0.3, 0.5, True)
    stacked = read_settings(compose("+aent.method=[{name: aent, low: 0.1},entropy-advantage]"))
    assert stacked.method.name == "aent+entropy-advantage"
    assert stacked.spec == [{"name": "aent", "low": 0.1}, "entropy-advantage"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+aent.methods=aent", "unknown key under aent: 'methods'. Did you mean 'method'"),
        ("+aent.method=sirem", "Did you mean 'siren'"),
        ("+aent.head=yes please", "aent.head='yes please' must be true or false"),
        ("+aent=siren", "must be a mapping"),
    ],
)
def test_what_cannot_be_read_is_refused(override, message, compose):
    with pytest.raises(InputError, match=message):
        read_settings(compose(override))


def test_verl_gets_its_own_trainer_mode_and_the_workers_the_method(compose):
    config = compose()
    prepare(config, Settings(method=load_method("siren"), spec={"name": "siren"}, head=True))
    assert config.trainer.v1.trainer_mode == "sync"
    assert config.actor_rollout_ref.actor.calculate_entropy
    expected = {"method": {"name": "siren"}, "head": True, "version": __version__}
    assert OmegaConf.to_container(config.actor_rollout_ref.aent) == expected


def test_options_become_verls(compose):
    actor = compose().actor_rollout_ref.actor
    config = compose()
    prepare(config, settings("clip-higher"))  # 0.2 and 0.28
    changed = config.actor_rollout_ref.actor
    assert (changed.clip_ratio_low, changed.clip_ratio_high, changed.use_kl_loss) == (0.2, 0.28, False)
    config = compose()
    prepare(config, settings("archer", kl=0.002))
    changed = config.actor_rollout_ref.actor
    assert (changed.use_kl_loss, changed.kl_loss_coef, changed.kl_loss_type) == (True, 0.002, "low_var_kl")
    assert actor.kl_loss_coef == 0.001
    config = compose("actor_rollout_ref.actor.clip_ratio_high=0.28")
    prepare(config, settings("clip-higher"))  # the same value twice is no contradiction


@pytest.mark.parametrize(
    ("override", "method", "message"),
    [
        (
            "clip_ratio_high=0.3",
            "clip-higher",
            "actor_rollout_ref.actor.clip_ratio_high=0.3 was given, but method 'clip-higher' sets "
            "actor_rollout_ref.actor.clip_ratio_high=0.28",
        ),
        ("kl_loss_coef=0.5", "archer", "kl_loss_coef=0.5 was given, but method 'archer'"),
        ("kl_loss_type=mse", "archer", "kl_loss_type=mse was given"),
    ],
)
def test_an_option_set_to_something_else_is_a_contradiction(override, method, message, compose):
    with pytest.raises(InputError, match=message):
        prepare(compose(f"actor_rollout_ref.actor.{override}"), settings(method))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 3.0}, "sets delta, which verl does not have; known are epsilon, epsilon_high, beta"),
        ({"use_bias_correction_kl": True}, "which verl does not have; use TRL"),
    ],
)
def test_an_option_that_verl_lacks_is_refused(options, message, compose):
    with pytest.raises(InputError, match=message):
        prepare(compose(), Settings(method=Method(name="own", options=options), spec="own"))


@pytest.mark.parametrize(("method", "chunked"), [("erc", True), ("clip-higher", False)])
def test_the_old_policys_entropy_is_computed_in_float32(method, chunked, compose):
    """The engine reads the option through an interpolation."""
    config = compose("actor_rollout_ref.actor.strategy=fsdp2")
    prepare(config, settings(method))
    assert config.actor_rollout_ref.actor.fsdp_config.entropy_from_logits_with_chunking is chunked


def test_a_beta_of_0_wants_no_reference_policy(compose):
    method = Settings(method=Method(name="own", options={"beta": 0.0}), spec="own")
    config = compose()
    prepare(config, method)
    assert not config.actor_rollout_ref.actor.use_kl_loss
    with pytest.raises(InputError, match="use_kl_loss=True was given"):
        prepare(compose("actor_rollout_ref.actor.use_kl_loss=true"), method)


def test_without_parts_nothing_of_verls_changes(compose):
    config, before = compose(), compose()
    prepare(config, settings("none"))
    after = OmegaConf.to_container(config, resolve=True)
    assert after["actor_rollout_ref"].pop("aent")["method"] == "none"
    after["trainer"]["v1"]["trainer_mode"] = "aent_sync"
    assert after == OmegaConf.to_container(before, resolve=True)
