"""The tests of this folder need verl, which lives in an environment of its own: ``make test-verl``."""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "harness"))
from verl_on_cpu.toy import ENVIRONMENT

INSTALLED = find_spec("verl") is not None
if INSTALLED:
    os.environ.update(ENVIRONMENT)  # before anything imports verl
    sys.path.insert(0, str(Path(__file__).parent))


class _WithoutVerl(pytest.Module):
    """A test file that is skipped without being imported."""

    def collect(self):
        pytest.skip("verl is not installed here; run `make test-verl`", allow_module_level=True)


def pytest_pycollect_makemodule(module_path, parent):
    return None if INSTALLED else _WithoutVerl.from_parent(parent, path=module_path)


def pytest_collection_modifyitems(items):
    """The file that takes longest goes first, so that two processes end together."""
    if INSTALLED:
        items.sort(key=lambda item: item.path.name != "test_training.py")


@pytest.fixture
def folder():
    """A folder with the toy; its path is short, since Ray puts sockets into it."""
    from verl_on_cpu import toy

    place = Path(tempfile.mkdtemp(prefix="aent-"))
    toy.write(place)
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def launch():
    """Run a program in two processes, or another number, as torchrun does."""

    def launch(*program, processes=2, **environment):
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        done = subprocess.run(
            [sys.executable, *torchrun, *map(str, program)],
            capture_output=True,
            text=True,
            timeout=900,
            env={**os.environ, **environment},
        )
        assert done.returncode == 0, done.stderr[-4000:]

    return launch


@pytest.fixture(scope="session")
def compose():
    """verl's configuration, with the options that aent needs: ``compose("+aent.method=none")``."""
    from hydra import compose, initialize_config_module

    accepted = (
        "actor_rollout_ref.actor.strategy=fsdp2",
        "actor_rollout_ref.model.use_remove_padding=true",
        "actor_rollout_ref.rollout.n=4",
        "algorithm.adv_estimator=grpo",
        "trainer.v1.trainer_mode=aent_sync",
        "data.train_batch_size=8",
    )

    def composed(*overrides, name="ppo_trainer"):
        with initialize_config_module("verl.trainer.config", version_base=None):
            return compose(name, [*accepted, *overrides])

    return composed


@pytest.fixture
def actor():
    """verl's configuration of an actor: ``actor(loss_agg_mode="token-sum")``."""
    from verl.workers.config import FSDPActorConfig

    def config(**options):
        fixed = {"strategy": "fsdp2", "rollout_n": 1, "ppo_micro_batch_size_per_gpu": 2}
        return FSDPActorConfig(**fixed, **options)

    return config


@pytest.fixture
def micro_batch():
    """What an engine hands to a loss, one list per rollout: ``micro_batch(logp=[[-1.0, -2.0], [-3.0]])``.

    Prompts have two tokens. Returns the output of the model, whose leaves are the lists as flat tensors that
    carry gradient, the batch, and these leaves by name.
    """
    import torch
    from verl.utils import tensordict_utils as tu

    def jagged(rows):
        return torch.nested.as_nested_tensor([torch.as_tensor(row) for row in rows], layout=torch.jagged)

    def flat(rows):
        return torch.tensor([value for row in rows for value in row])

    def whole(leaf, lengths):
        """Spread values of responses over whole sequences; verl shifts them by one token."""
        parts = leaf.split(lengths)
        width = leaf.new_full((1, *leaf.shape[1:]), 7.0)  # what no loss may read
        rows = torch.cat([torch.cat([width, part, width]) for part in parts])
        offsets = torch.tensor([0] + [n + 2 for n in lengths]).cumsum(0)
        return torch.nested.nested_tensor_from_jagged(rows, offsets)

    def make(*, logp, entropy, advantages, full_entropy=None, slopes=None, old_logp=None, mask=None,
             step=None, tokens=None, ranks=1, rollouts=None, entropy_of_old=None, **fields):  # fmt: skip
        lengths = [len(row) for row in logp]
        leaves = {"log_probs": flat(logp).requires_grad_(), "entropy": flat(entropy).requires_grad_()}
        output = {k: whole(v, lengths) for k, v in leaves.items()}
        output["aent_full_entropy"] = whole(flat(full_entropy or entropy), lengths)
        if slopes is not None:
            output["aent_slopes"] = whole(flat(slopes), lengths)
        mask = mask or [[1] * n for n in lengths]
        tensors = {
            "prompts": jagged([[3, 4]] * len(lengths)),
            "responses": jagged([[5] * n for n in lengths]),
            "response_mask": jagged(mask),
            "old_log_probs": jagged(old_logp or logp),
            "advantages": jagged(advantages),
            **{name: jagged(rows) for name, rows in fields.items()},
        }
        if entropy_of_old is not None:
            tensors["entropy"] = jagged(entropy_of_old)
        data = tu.get_tensordict(tensors)
        state = {"coef": 0.0, "band": None, "last_entropy": None, "remaining": 1.0, **(step or {})}
        counts = {
            "batch_num_tokens": tokens or sum(map(sum, mask)),
            "global_batch_size": rollouts or len(lengths),
        }
        tu.assign_non_tensor(data, aent=state, dp_size=ranks, **counts)
        return output, data, leaves

    return make
