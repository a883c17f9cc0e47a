"""The scorers of reasoning-gym, called in a process with limits (`aent.tasks.limits`)."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reasoning_gym.factory import create_dataset

if TYPE_CHECKING:
    from reasoning_gym.dataset import ProceduralDataset


def score(source: str, settings: str, answer: str, entry: str) -> float:
    """Return what the scorer of a data set gives an answer. `settings` and `entry` are JSON."""
    return float(_data_set(source, settings).score_answer(answer, json.loads(entry, object_hook=_thaw)))


@lru_cache(maxsize=16)
def _data_set(source: str, settings: str) -> "ProceduralDataset":
    return create_dataset(source, size=1, seed=0, **json.loads(settings))


def _thaw(value: dict[str, Any]) -> Any:
    return tuple(value["tuple"]) if value.keys() == {"tuple"} else value
