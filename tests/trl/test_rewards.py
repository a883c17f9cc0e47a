"""Reward functions that return something else than rewards."""

import pytest

from aent import InputError
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer


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
