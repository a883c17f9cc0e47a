"""Names of hosts to those of TRL."""

import math

import pytest

from aent.logs.names import as_number, is_verl, normalized, step_name


def test_rows_of_a_step_are_merged_under_trls_names_in_order():
    rows = [
        {"step": 4, "actor/entropy": 0.3, "critic/score/mean": "0.5", "unknown": 1},
        {"step": 2, "train/reward": 0.1},
        {"step": 2, "train/entropy": 0.9, "eval/reward": 7},
        {"step": 6, "unknown": 2},
        {"step": None, "reward": 3},
    ]
    assert normalized(rows, "step") == [
        {"step": 2, "entropy": 0.9, "reward": 0.1},
        {"step": 4, "entropy": 0.3, "reward": 0.5},
    ]


def test_of_two_names_for_a_quantity_the_first_counts_and_an_empty_cell_hides_nothing():
    row = {"step": 1, "actor/entropy_loss": 0.2, "actor/entropy": 0.3, "critic/rewards/mean": 1.0}
    assert normalized([row, {"step": 1, "actor/entropy": ""}], "step") == [
        {"step": 1, "entropy": 0.3, "reward": 1.0}
    ]


def test_training_steps_are_preferred_to_wandbs_count_of_calls():
    assert step_name(["_step", "train/reward", "train/global_step"]) == "train/global_step"
    assert step_name(["reward"]) is None


def test_a_row_with_another_count_has_the_step_that_was_logged_beside_that_count():
    """One metric a row, as TensorBoard and trackio keep them; wandb's rows without a step stay out."""
    rows = [
        {"step": 0, "train/entropy": 0.9},
        {"step": 0, "train/global_step": 10},
        {"step": 1, "train/global_step": "20"},
        {"step": "1", "train/entropy": 0.8},
        {"step": 2, "train/entropy": 0.7},
    ]
    assert normalized(rows, "train/global_step") == [
        {"step": 10, "entropy": 0.9},
        {"step": 20, "entropy": 0.8},
    ]


@pytest.mark.parametrize(
    ("value", "number"), [("3e-4", 3e-4), (2, 2.0), ("", None), (True, None), ([], None)]
)
def test_only_numbers_count(value, number):
    assert as_number(value) == number


def test_a_step_that_is_not_finite_is_left_out():
    rows = [{"step": step, "entropy": 0.5} for step in (1, math.inf, math.nan, 2)]
    assert [row["step"] for row in normalized(rows, "step")] == [1, 2]


def test_nan_is_a_number_that_was_logged():
    assert math.isnan(as_number("NaN"))


def test_verl_is_known_by_its_names():
    assert is_verl(["step", "actor/pg_loss"])
    assert not is_verl(["train/reward", "actors"])


def test_a_whole_number_beyond_the_floats_is_no_number():
    assert as_number(10**400) is None
    assert as_number("1e400") == float("inf")
