"""2,000 steps: does memory grow, and does the logged coefficient leave the one that the loss used?"""

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from faults_common import TASK, Place, Row

STEPS = 2000
SETTLED = 500
"""Steps after which memory should stand still."""
GROWTH = 8.0
"""MiB that the last 1,500 steps may add."""


def check(place: Place) -> Iterator[Row]:
    """Train for `STEPS` steps with each method, and watch from inside."""
    for method in ("aent-auto", "aent"):
        yield from _soaked(place, method)


def _soaked(place: Place, method: str) -> Iterator[Row]:
    run, seen = place.folder / "soak", place.folder / "soak.jsonl"
    shutil.rmtree(run, ignore_errors=True)
    seen.unlink(missing_ok=True)
    words = ["train", "--model_name_or_path", str(place.policy), *TASK, "--method", method,
             "--per_device_train_batch_size", "8", "--num_generations", "4", "--logging_steps", "1",
             "--save_steps", "1000", "--max_steps", str(STEPS), "--learning_rate", "1e-4",
             "--evaluation", "null", "--output_dir", str(run)]  # fmt: skip
    ended = place.aent(*words, before=partial(_watch, seen)).wait()
    if ended.code:
        yield Row(group="2,000 steps", case=method, survived=False, said=ended.last)
        return
    rows = [json.loads(line) for line in seen.read_text().splitlines()]
    start, end = (
        _median([row["mib"] for row in part]) for part in (rows[SETTLED : SETTLED + 50], rows[-50:])
    )
    yield Row(
        group="2,000 steps: growth of memory",
        case=method,
        survived=end - start < GROWTH,
        said=f"{start:.1f} MiB after {SETTLED} steps, {end:.1f} MiB after {STEPS}",
    )
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    coefs = [row.get("aent/coef", 0.0) for row in logged if "loss" in row]
    used = [row["coef"] for row in rows]
    apart = max(abs(a - b) for a, b in zip(coefs, used, strict=True))
    yield Row(
        group="2,000 steps: logged against used coefficient",
        case=method,
        survived=apart == 0,
        said=f"largest difference {apart:g} in {len(used)} steps; {len(set(used))} values of the coefficient",
    )


def _watch(seen: Path) -> None:
    """Note at each step the coefficient in the loss, and the memory of the process."""
    from transformers import Trainer

    from aent.trl.trainers import AEntMixin

    intact, step = AEntMixin._compute_loss, Trainer.training_step
    used: list[float] = []

    def loss(self: Any, *args: Any, **keywords: Any) -> Any:
        used.append(float(self.coef))
        return intact(self, *args, **keywords)

    def training_step(self: Any, *args: Any, **keywords: Any) -> Any:
        used.clear()
        result = step(self, *args, **keywords)
        with seen.open("a") as file:
            file.write(json.dumps({"coef": used[0], "mib": _resident()}) + "\n")
        return result

    patch.object(AEntMixin, "_compute_loss", loss).start()
    patch.object(Trainer, "training_step", training_step).start()


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
