"""2,000 steps: does memory grow, and does the logged coefficient leave the one that the loss used?"""

import ctypes
import gc
import json
import shutil
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

from faults_common import TASK, Place, Row

STEPS = 2000
SETTLED = 500
"""Steps after which memory should stand still."""
GROWTH = 8.0
"""MiB that the last 1,500 steps may add."""


METHODS = {
    "aent-auto": "aent-auto",
    "aent with a band of 0.02 nats": "{name: aent, low: 2.42, high: 2.44, lr: 0.02, coef: 0.01, "
    "coef_min: 0.0, coef_max: 0.1, warmup: 0}",
}
"""`aent-auto` has no reason to move its coefficient here; the narrow band moves it in nearly every step."""


def check(place: Place) -> Iterator[Row]:
    """Train for `STEPS` steps with each method, and watch from inside."""
    for case, method in METHODS.items():
        yield from _soaked(place, case, method)


def _soaked(place: Place, case: str, method: str) -> Iterator[Row]:
    run, seen = place.folder / "soak", place.folder / "soak.jsonl"
    shutil.rmtree(run, ignore_errors=True)
    seen.unlink(missing_ok=True)
    words = ["train", "--model_name_or_path", str(place.policy), *TASK, "--method", method,
             "--per_device_train_batch_size", "8", "--num_generations", "4", "--logging_steps", "1",
             "--save_steps", "1000", "--max_steps", str(STEPS), "--learning_rate", "1e-4",
             "--evaluation", "null", "--output_dir", str(run)]  # fmt: skip
    ended = place.aent(*words, before=partial(_watch, seen)).wait()
    if ended.code:
        yield Row(group="2,000 steps", case=case, survived=False, said=ended.last)
        return
    rows = [json.loads(line) for line in seen.read_text().splitlines()]
    parts = rows[SETTLED : SETTLED + 100], rows[-100:]
    start, end = (_median([row["mib"] for row in part if row["mib"] is not None]) for part in parts)
    yield Row(
        group="2,000 steps: growth of memory",
        case=case,
        survived=end - start < GROWTH,
        said=f"{start:.1f} MiB after {SETTLED} steps, {end:.1f} MiB after {STEPS}",
    )
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    coefs = [row.get("aent/coef", 0.0) for row in logged if "loss" in row]
    used = [row["coef"] for row in rows]
    apart = max(abs(a - b) for a, b in zip(coefs, used, strict=True))
    moves = sum(a != b for a, b in pairwise(used))
    yield Row(
        group="2,000 steps: logged against used coefficient",
        case=case,
        survived=apart == 0,
        said=f"largest difference {apart:g} in {len(used)} steps; the coefficient moved {moves} times, "
        f"between {min(used):.4f} and {max(used):.4f}",
    )


def _watch(seen: Path) -> None:
    """Note at each step the coefficient in the loss, and the memory of the process."""
    from transformers import Trainer

    from aent.trl.loss import MethodLoss

    intact, step = MethodLoss.with_terms, Trainer.training_step
    used: list[float] = []

    def with_terms(self: Any, loss: Any, micro: Any) -> Any:
        used.append(float(micro.tokens.coef))
        return intact(self, loss, micro)

    def training_step(self: Any, *args: Any, **keywords: Any) -> Any:
        used.clear()
        result = step(self, *args, **keywords)
        with seen.open("a") as file:
            mib = None if self.state.global_step % 10 else _in_use()
            file.write(json.dumps({"coef": used[0], "mib": mib}) + "\n")
        return result

    patch.object(MethodLoss, "with_terms", with_terms).start()
    patch.object(Trainer, "training_step", training_step).start()


def _in_use() -> float:
    """Return the MiB that the process holds, without what it could hand back to the system at once.

    How much of freed memory the allocator keeps swings by 20 MiB from step to step.
    """
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
