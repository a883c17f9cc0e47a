"""Rewards that raise, hang or are nonsense, and NaN in logits, loss and gradients, in the middle of a run."""

import math
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from faults_common import Place, Row, trained

AT = 5
"""The step at which the fault happens; checkpoints are written at every third."""


def check_rewards(place: Place) -> Iterator[Row]:
    """Let the reward of a run go wrong at a step."""
    whole = place.aent(*_fresh(place, "whole")).wait()
    assert whole.code == 0, whole.text
    due = trained(place.folder / "whole")
    for case, fault in NONSENSE.items():
        before = partial(_break_reward, fault)
        group = "a reward that raises" if case == "raises" else "a reward that returns nonsense"
        yield _tried(place, group, case, before, due)
    for name, number in (("Ctrl-C twice", signal.SIGINT), ("SIGTERM twice", signal.SIGTERM)):
        yield _hung(place, name, number, due)


def _raise(_: Any) -> Any:
    raise KeyError("answer")


NONSENSE: dict[str, Callable[[list[float]], Any]] = {
    "raises": _raise,
    "NaN": lambda rewards: [math.nan, *rewards[1:]],
    "infinity": lambda rewards: [*rewards[1:], math.inf],
    "minus infinity": lambda rewards: [-math.inf] * len(rewards),
    "text": lambda rewards: ["1.0", *rewards[1:]],
    "one too few": lambda rewards: rewards[1:],
    "one too many": lambda rewards: [*rewards, 0.0],
    "a single number": lambda rewards: 1.0,
    "nothing": lambda rewards: None,
    "a mapping": dict.fromkeys,
    "lists": lambda rewards: [[reward] for reward in rewards],
    "complex numbers": lambda rewards: [complex(reward) for reward in rewards],
    "10**400": lambda rewards: [10**400, *rewards[1:]],
    "1e300, which float32 cannot hold": lambda rewards: [1e300, *rewards[1:]],
}
"""What a broken reward function returns, given what it should."""


def _break_reward(fault: Callable[[list[float]], Any]) -> None:
    from aent.tasks import Task

    calls, intact = count(1), Task.reward

    def reward(self: Any, completions: Any, **columns: Any) -> Any:
        rewards = intact(self, completions, **columns)
        return fault(rewards) if next(calls) == AT else rewards

    patch.object(Task, "reward", reward).start()


def _hang(rewards: list[float]) -> Any:
    print("hanging", flush=True)
    while True:
        time.sleep(0.1)


def _hung(place: Place, name: str, number: signal.Signals, due: Any) -> Row:
    child = place.aent(*_fresh(place, "faulty"), before=partial(_break_reward, _hang))
    while "hanging" not in child.log.read_text("utf-8", errors="replace"):
        time.sleep(0.1)
    for _ in range(2):
        child.send_after(0, number)
        time.sleep(0.5)
    first = child.wait()
    again = place.aent("train", "--resume", place.folder / "faulty").wait()
    same = again.code == 0 and trained(place.folder / "faulty") == due
    return Row(
        group="a reward that hangs",
        case=f"{name} while it hangs",
        survived=first.code == 130 and first.clean and same,
        said=f"exit code {first.code}: {first.last}; resumed: {'the same result' if same else again.last}",
    )


def _fresh(place: Place, name: str, *more: str) -> list[str]:
    shutil.rmtree(place.folder / name, ignore_errors=True)
    return place.train(name, *more)


def _tried(place: Place, group: str, case: str, before: Callable[[], object], due: Any) -> Row:
    """Run into the fault, then resume without it: the result must be that of a run without the fault."""
    run = place.folder / "faulty"
    first = place.aent(*_fresh(place, "faulty"), before=before).wait()
    again = place.aent("train", "--resume", run).wait()
    same = again.code == 0 and trained(run) == due
    return Row(
        group=group,
        case=case,
        survived=first.explained and same,
        said=f"exit code {first.code}: {first.last}; resumed: {'the same result' if same else again.last}",
    )


SETUPS = (("grpo", "none"), ("grpo", "aent"), ("grpo", "aent-auto"), ("grpo", "clip-higher"),
          ("rloo", "aent"), ("ppo", "aent"))  # fmt: skip
"""Algorithms and methods that a NaN is tried with."""


def check(place: Place) -> Iterator[Row]:
    """Put NaN into one step of a run: it must stop before the weights change, and keep the batch."""
    for algorithm, method in SETUPS:
        whole = place.aent(*_numbers(place, "whole", algorithm, method)).wait()
        assert whole.code == 0, whole.text
        due = _weights(place.folder / "whole")
        for where, poison in POISON.items():
            yield _poisoned(place, where, poison, algorithm, method, due)


def _numbers(place: Place, name: str, algorithm: str, method: str) -> list[str]:
    words = _fresh(place, name)
    dropped = ("--method.warmup", "--evaluation.problems", "--evaluation.samples", "--method")
    for flag in dropped:
        at = words.index(flag)
        del words[at : at + 2]
    return [*words, "--evaluation", "null", "--algorithm", algorithm, "--method", method]


def _poisoned(
    place: Place, where: str, poison: Callable[[], object], algorithm: str, method: str, due: Any
) -> Row:
    run = place.folder / "faulty"
    first = place.aent(*_numbers(place, "faulty", algorithm, method), before=poison).wait()
    batches = list(run.glob("nonfinite-*"))
    finite = all(_finite(file) for file in run.glob("checkpoint-*/*.safetensors"))
    again = place.aent("train", "--resume", run).wait()
    same = again.code == 0 and _weights(run) == due
    kept = "the batch is kept" if batches else "NO BATCH WAS KEPT"
    return Row(
        group=f"NaN in the {where}",
        case=f"{algorithm} with {method}",
        survived=first.explained and bool(batches) and finite and same,
        said=f"exit code {first.code}: {first.last}; {kept}; {'finite' if finite else 'POISONED'} weights; "
        f"resumed: {'the same weights' if same else again.last}",
    )


def _weights(run: Path) -> bytes:
    return (run / "policy/model.safetensors").read_bytes()


def _finite(file: Path) -> bool:
    from safetensors.torch import load_file

    return all(bool(tensor.isfinite().all()) for tensor in load_file(file).values())


def _nan_logits() -> None:
    """Hidden states of NaN in the fifth pass that is trained on."""
    import torch
    from transformers import LlamaModel

    calls, intact = count(1), LlamaModel.forward

    def forward(self: Any, *args: Any, **keywords: Any) -> Any:
        output = intact(self, *args, **keywords)
        trained_now = torch.is_grad_enabled() and output.last_hidden_state.requires_grad
        if trained_now and next(calls) == AT:
            output.last_hidden_state = output.last_hidden_state * math.nan
        return output

    patch.object(LlamaModel, "forward", forward).start()


def _nan_loss() -> None:
    """A loss of NaN in the fifth step, where the trainer is told its loss."""
    from transformers import Trainer

    calls, intact = count(1), Trainer.training_step

    def step(self: Any, *args: Any, **keywords: Any) -> Any:
        compute, factor = self.compute_loss, math.nan if next(calls) == AT else 1.0
        self.compute_loss = lambda *a, **k: compute(*a, **k) * factor
        try:
            return intact(self, *args, **keywords)
        finally:
            self.compute_loss = compute

    patch.object(Trainer, "training_step", step).start()


def _bad_gradient(value: float) -> None:
    """One such value in the gradient of one weight in the fifth step."""
    from accelerate import Accelerator

    calls, intact = count(1), Accelerator.backward

    def backward(self: Any, loss: Any, **keywords: Any) -> None:
        intact(self, loss, **keywords)
        if next(calls) == AT:
            grads = [p.grad for model in self._models for p in model.parameters() if p.grad is not None]
            grads[0].view(-1)[0] = value

    patch.object(Accelerator, "backward", backward).start()


POISON = {
    "logits": _nan_logits,
    "loss": _nan_loss,
    "gradient": partial(_bad_gradient, math.nan),
    "gradient (infinity)": partial(_bad_gradient, math.inf),
}
