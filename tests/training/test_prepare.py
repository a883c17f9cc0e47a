"""From the words of a command line to a run."""

from pathlib import Path

import pytest

from aent.errors import InputError
from aent.training.prepare import prepare, read_request


def test_flags_win_over_the_recipe_and_sections_merge():
    flags = "--learning_rate 1e-5 --max-steps=7 --method.low 0.2 --task.numbers 4"
    request = read_request(["countdown", *flags.split()])
    assert request.recipe.trainer["learning_rate"] == 1e-5
    assert request.recipe.trainer["max_steps"] == 7
    assert request.recipe.trainer["num_generations"] == 16  # the recipe's
    assert request.recipe.method["low"] == 0.2
    assert request.recipe.method["high"] == 0.48
    assert request.recipe.task == {"name": "countdown", "numbers": 4}


def test_another_method_drops_the_arguments_of_the_recipes_own():
    assert read_request(["--method", "entropy-bonus"]).recipe.method == {"name": "entropy-bonus"}


@pytest.mark.parametrize(
    ("argv", "stem"),
    [
        ([], "countdown-aent"),
        (["gsm8k", "--method", "none"], "gsm8k-none"),
        (["countdown", "--algorithm", "rloo"], "countdown-rloo-aent"),
    ],
)
def test_the_stem_says_what_differs_from_the_recipe(argv, stem):
    assert read_request(argv).stem == stem


def test_the_output_folder_is_no_part_of_the_recipe():
    request = read_request(["--output_dir", "here"])
    assert request.output_dir == Path("here")
    assert "output_dir" not in request.recipe.trainer
    assert read_request([]).output_dir is None


def test_preparing_checks_and_writes_nothing(workplace):
    run = prepare(read_request(["--max_steps", "3", "--output_dir", "run"]))
    assert run.args.max_steps == 3
    assert run.args.output_dir == "run"
    assert run.args.report_to == []
    with pytest.raises(InputError, match=r"model folder '\./none' does not exist"):
        prepare(read_request(["--model_name_or_path", "./none"]))
    assert list(workplace.iterdir()) == []


def test_an_unknown_flag_names_the_three_nearest_and_no_more():
    with pytest.raises(InputError) as error:
        read_request(["--learning_rat", "1"])
    message = str(error.value)
    assert "unknown flag '--learning_rat'. The nearest are --learning_rate, " in message
    assert message.partition("The nearest are")[2].partition(". ")[0].count("--") == 3
    assert "--aent_method" not in message


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--algorithm.epsilon", "5"], "--algorithm.epsilon 5 is no flag; give --epsilon 5"),
        (["--model_name_or_path", ""], "--model_name_or_path is empty"),
        (["--output_dir", ""], "--output_dir is empty"),
        (["--resume_from_checkpoint", "runs/x"], "does nothing here: aent train --resume RUN_FOLDER"),
    ],
)
def test_nothing_that_is_given_is_ignored(argv, message):
    with pytest.raises(InputError, match=message):
        read_request(argv)


@pytest.mark.parametrize("also", ["greedy", "{greedy: }"])
def test_further_evaluations_have_a_form(also, workplace):
    with pytest.raises(InputError, match=r"evaluation\.also is .*it maps names to settings"):
        prepare(read_request(["--evaluation.also", also]))
