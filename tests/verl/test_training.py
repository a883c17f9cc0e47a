"""verl's own ``main_ppo`` on CPUs: Ray, agent loop, reward, FSDP2, weight sync, checkpoints."""

import re
import time

import pytest
from by_hand import assert_by_hand
from whole_run import LIMIT, RULE, Run, aent, follows_the_rule

pytestmark = pytest.mark.slow


def test_the_policy_learns_and_the_coefficient_follows_the_logged_entropy(folder):
    record = folder / "record"
    with Run(folder, 12, f"+aent.method={aent(2.9, 3.2)}", VERL_RECORD=str(record)) as run:
        steps = [metrics for _, metrics in sorted(run.finish().items())]
    assert len(steps) == 12
    assert steps[0]["critic/score/mean"] < 0.25
    assert steps[-1]["critic/score/mean"] > 0.5
    assert steps[0]["aent/coef"] == 0.01
    assert steps[-1]["aent/coef"] > 0.012
    follows_the_rule(steps, 2.9, 3.2)
    for metrics in steps:
        assert metrics["aent/entropy"] < metrics["aent/full_entropy"]
        assert metrics["aent/full_entropy"] == pytest.approx(metrics["actor/entropy"], rel=1e-4)
        assert metrics["training/rollout_probs_diff_mean"] < 1e-6  # the new weights reach the rollout
    assert_by_hand(record, {"name": "aent", "low": 2.9, "high": 3.2, **RULE}, steps, updates_per_step=1)


def worker(run):
    """One of the processes that train."""
    children = run.process.children(recursive=True)
    return next(child for child in children if any("WorkerDict" in word for word in child.cmdline()))


def test_a_killed_worker_ends_the_run_and_another_run_resumes_it(folder):
    method = f"+aent.method=[{aent(3.2, 3.4)},entropy-advantage]"  # below its band from the start
    settings = (method, "trainer.save_freq=2", "trainer.resume_mode=auto")
    with Run(folder, 40, *settings, gpus=2) as run:
        run.wait_for(4)
        killed = time.time()
        worker(run).kill()
        assert run.process.wait(LIMIT) != 0
        took = time.time() - killed
        before = run.steps()
        assert re.search(r"ActorDiedError|ActorUnavailableError", run.log.read_text())
    print(f"the driver ended {took:.1f} s after the kill")
    assert took < 60, took
    saved = int((folder / "checkpoints" / "latest_checkpointed_iteration.txt").read_text())
    assert (folder / "checkpoints" / f"global_step_{saved}" / "aent.json").is_file()
    with Run(folder, saved + 2, *settings, gpus=2) as run:
        after = run.finish()
    assert sorted(after) == [saved + 1, saved + 2]
    steps = [before[step] for step in range(1, saved + 1)] + [after[saved + 1], after[saved + 2]]
    follows_the_rule(steps, 3.2, 3.4)
    assert after[saved + 1]["aent/coef"] > before[1]["aent/coef"] == 0.01
