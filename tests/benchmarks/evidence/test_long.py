"""benchmarks/evidence/long.py: which runs a queue has, what is kept of them, and how it resumes."""

import json

import pytest
import torch
import yaml

from aent import load_method
from aent.method import Tokens
from aent.runs.comparison import Entrant, load_entrants
from aent.training.prepare import read_request


@pytest.fixture
def long(script):
    return script("long")


def queue(long):
    return yaml.safe_load(long.QUEUE.read_text())


def test_every_run_of_the_queue_is_a_command_of_aent_train(long, monkeypatch):
    known = load_entrants(str(long.METHODS))
    assert {label for entry in queue(long) for label in entry["methods"]} <= set(known)
    comparison = next(iter(long.comparisons(queue(long)[0], 2000, 200)))
    request = read_request(comparison.argv(comparison.jobs[0]))
    trainer = request.recipe.trainer
    assert request.recipe.evaluation is None
    assert (trainer["max_steps"], trainer["save_steps"]) == (2000, 200)
    assert (trainer["learning_rate"], trainer["lr_scheduler_type"]) == (3e-4, "warmup_stable_decay")
    assert json.loads(trainer["lr_scheduler_kwargs"]) == {"num_decay_steps": 400, "decay_type": "linear"}


def test_the_learning_rate_is_constant_unless_a_method_says_otherwise(long):
    known = load_entrants(str(long.METHODS))
    flags = long.scaled(known["none"], 2000, 200).flags
    assert flags[flags.index("--lr_scheduler_type") + 1] == "constant"
    late = long.scaled(known["none.late-decay"], 1000, 200).flags
    assert '"num_decay_steps": 200' in late[late.index("--lr_scheduler_kwargs") + 1]


def test_a_method_with_two_steps_a_batch_gets_as_many_rollouts(long):
    entrant = long.scaled(Entrant(method="clip-higher", flags=("--num_iterations", "2")), 2000, 200)
    flags = dict(zip(entrant.flags[::2], entrant.flags[1::2], strict=True))
    assert (flags["--max_steps"], flags["--save_steps"]) == ("4000", "400")


def test_own_flags_win(long):
    entrant = long.scaled(Entrant(method="none", flags=("--learning_rate", "1e-4")), 2000, 200)
    assert entrant.flags.count("--learning_rate") == 1
    assert entrant.flags[entrant.flags.index("--learning_rate") + 1] == "1e-4"


def test_a_line_that_was_cut_short_is_dropped(long, tmp_path):
    rows = long.Rows(tmp_path / "rows.jsonl")
    rows.append({"step": 200})
    with rows.path.open("a") as file:
        file.write('{"step": 4')
    assert rows.read() == [{"step": 200}]
    rows.append({"step": 400})
    assert [json.loads(line)["step"] for line in rows.path.read_text().splitlines()] == [200, 400]
    assert rows.has({"step": 400})
    assert not rows.has({"step": 600})


def test_the_summary_takes_the_steps_since_the_last_evaluation(long):
    """A group without spread gives no gradient: a share of .25 of these leaves .75 mixed."""
    row = {"reward": 0.5, "grad_norm": 1.0, "step_time": 2.0, "entropy": 0.4, "frac_reward_zero_std": 0.25}
    rows = [{"step": 10, **row, "reward": 9.0}, {"step": 20, **row}, {"step": 30, **row, "reward": 1.0}]
    found = long.summary(rows, 10, 30)
    assert (found["reward"], found["mixed"], found["entropy"]) == (0.75, 0.75, 0.4)
    assert "aent/coef" not in found


def test_the_full_entropy_is_kept_where_a_method_looks_at_a_subset(long):
    row = {"step": 10, "entropy": 0.4, "aent/full_entropy": 0.6, "frac_reward_zero_std": 0.0}
    assert long.summary([row], 0, 10)["entropy"] == 0.6


def tokens(**more) -> Tokens:
    """One completion of two tokens with advantage 2."""
    grid = torch.ones(1, 2)
    return Tokens(
        logp=-grid, old_logp=-grid, entropy=grid, full_entropy=grid, advantages=2 * grid, mask=grid, **more
    )


def test_the_old_weights_act_from_the_first_step(script):
    """Weight 1 - .5 before anything is measured; in aent-auto it is 1 there."""
    half_solved = tokens(solved=torch.tensor([0.5]))
    assert script("long_parts").from_start().token_advantages(half_solved).tolist() == [[1.0, 1.0]]
    assert load_method("aent-auto").token_advantages(half_solved).tolist() == [[2.0, 2.0]]


def test_one_half_of_the_old_form_has_its_weights_and_no_bonus(script):
    method = script("long_parts").weights_alone()
    assert method.token_advantages(tokens(solved=torch.tensor([0.5]))).tolist() == [[1.0, 1.0]]
    assert method.controller.strength == 0.0


def test_the_old_weights_count_a_near_miss_as_a_part_of_a_right_answer(script):
    """Mean reward .8 without a right answer: weight .2 at the start, where aent-auto now has 1."""
    near_miss = tokens(coef=0.5, group_reward=torch.tensor([0.8]), solved=torch.tensor([0.0]))
    method = script("long_parts").mean_reward()
    assert method.token_advantages(near_miss).tolist() == [pytest.approx([0.4, 0.4])]
    assert method.bonus(near_miss).tolist() == [pytest.approx([0.1, 0.1])]
