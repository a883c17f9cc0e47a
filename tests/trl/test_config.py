"""TRL's configurations with aent's fields and PPO's."""

import pytest
from trl import GRPOConfig

from aent import InputError
from aent.trl import AEntGRPOConfig, AEntPPOConfig


def test_a_mapping_is_read_from_text(options):
    text = "{name: aent, drop: 0.5}"
    assert AEntGRPOConfig(**options, aent_method=text).aent_method == {"name": "aent", "drop": 0.5}
    with pytest.raises(InputError, match="is not readable as YAML"):
        AEntGRPOConfig(**options, aent_method="{name: aent")
    with pytest.raises(InputError, match="one of step, rollout"):
        AEntGRPOConfig(**options, aent_update="epoch")


def test_one_completion_per_prompt_is_a_plain_number_after_the_checks(options):
    args = AEntPPOConfig(**options | {"num_generations": 1, "per_device_train_batch_size": 5})
    assert type(args.num_generations) is int
    assert args.num_generations == 1
    assert args.critic_learning_rate == args.learning_rate


def test_the_hosts_other_checks_of_a_group_remain(options):
    for group in (0, 3):
        with pytest.raises((ValueError, ZeroDivisionError)):
            AEntPPOConfig(**options | {"num_generations": group})
    with pytest.raises(ValueError, match="at least 2 generations"):
        GRPOConfig(**options | {"num_generations": 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"critic": "none"}, "unknown critic 'none'.*own, shared"),
        ({"gamma": 1.1}, "gamma=1.1 must be between 0 and 1"),
        ({"value_clip": 0.0}, "value_clip=0.0 must be above 0"),
        ({"loss_type": "sapo"}, "loss_type='sapo'.*grpo or bnpo or dr_grpo or dapo"),
        ({"importance_sampling_level": "sequence"}, "must be token"),
        ({"scale_rewards": "group"}, "scale_rewards='group'"),
    ],
)
def test_options_that_do_not_go_together(changes, message, options):
    with pytest.raises(InputError, match=message):
        AEntPPOConfig(**options | changes)
