"""Reward functions that cannot poison a run in silence."""

import functools
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from torch import nn
from trl.trainer.utils import get_callable_name, is_async_callable

from aent.errors import InputError
from aent.tasks.task import check_rewards


def checked_rewards(reward_funcs: Any) -> Any:
    """Wrap one reward function, or each of a list, with `checked_reward`."""
    if isinstance(reward_funcs, list):
        return [checked_reward(reward) for reward in reward_funcs]
    return checked_reward(reward_funcs)


def checked_reward(reward: Any) -> Any:
    """Wrap a reward function so that an exception, a wrong count, a NaN or a non-number is an `InputError`.

    What is not a plain function (a reward model, its name, None) is returned as it is.
    """
    if not callable(reward) or isinstance(reward, nn.Module):
        return reward
    name, function = get_callable_name(reward), cast("Callable[..., Any]", reward)

    if is_async_callable(reward):

        @functools.wraps(reward)
        async def checked_async(*, completions: list[Any], **columns: Any) -> list[float | None]:
            with _named(name):
                rewards = await function(completions=completions, **columns)
            return check_rewards(rewards, len(completions), name)

        checked_async.__name__ = name
        return checked_async

    @functools.wraps(reward)
    def checked(*, completions: list[Any], **columns: Any) -> list[float | None]:
        with _named(name):
            rewards = function(completions=completions, **columns)
        return check_rewards(rewards, len(completions), name)

    checked.__name__ = name
    return checked


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say which reward function raised, and where; the exception itself is the cause."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"reward function {name!r} raised {type(error).__name__}: {error} ({place.filename}, line "
            f"{place.lineno}, in {place.name}). Correct it, and continue from the last checkpoint."
        ) from error
