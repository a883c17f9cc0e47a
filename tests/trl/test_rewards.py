"""Reward functions that return something else than rewards."""

import asyncio
from functools import partial

import pytest
from trl.trainer.utils import get_callable_name, is_async_callable

from aent import InputError
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer
from aent.trl.rewards import checked_reward


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


@pytest.mark.parametrize("value", [10**400, 1e300, -1e39, float("inf"), 1j, [1.0]])
def test_a_reward_that_float32_cannot_hold_is_named(value):
    reward = checked_reward(lambda completions, **_: [0.5, value])
    with pytest.raises(InputError, match="for completion 1; a reward is a finite number"):
        reward(completions=["a", "b"])
    assert checked_reward(lambda completions, **_: [3e38, -3e38])(completions=["a", "b"]) == [3e38, -3e38]


def test_a_reward_that_raises_is_named_with_the_place():
    def looked_up(completions, **_):
        return [{}["answer"] for _ in completions]

    with pytest.raises(InputError, match=r"'looked_up' raised KeyError: 'answer' \(.*test_rewards.py, line"):
        checked_reward(looked_up)(completions=["a"])


def test_an_error_that_the_reward_words_itself_is_left_alone():
    def worded(completions, **_):
        raise InputError("the column 'answer' is missing")

    with pytest.raises(InputError, match=r"^the column 'answer' is missing$"):
        checked_reward(worded)(completions=["a"])


class Late:
    async def __call__(self, completions, **_):
        return [0.5] * len(completions)


def test_an_object_that_is_called_asynchronously_is_awaited():
    reward = checked_reward(Late())
    assert is_async_callable(reward)
    assert asyncio.run(reward(completions=["a", "b"])) == [0.5, 0.5]


def test_a_reward_has_the_name_that_trl_gives_it():
    """The name is that of its metrics, so that two partial functions must not share one."""

    def length(completions, unit, **_):
        return [len(c) / unit for c in completions]

    for reward in (partial(length, unit=2), partial(partial(length), unit=4), Late(), partial(Late())):
        assert get_callable_name(checked_reward(reward)) == get_callable_name(reward) != "partial"
