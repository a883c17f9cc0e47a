"""From a recipe to printed settings: what is refused, and what the advice says."""

import shlex

import pytest
import yaml

from aent.calibration.calibrate import advice, calibrate, check_options
from aent.errors import InputError
from aent.training.prepare import prepare, read_request


@pytest.mark.parametrize(
    ("flags", "fits"),
    [
        ([], True),
        (["--loss_type", "bnpo"], True),
        (["--algorithm", "cispo"], True),
        (["--algorithm", "rloo"], False),
        (["--loss_type", "grpo"], False),
        (["--scale_rewards", "none"], False),
        (["--mask_truncated_completions", "true"], False),
    ],
    ids=str,
)
def test_options_whose_coefficients_have_another_unit_are_refused(flags, fits):
    run = prepare(read_request(["countdown", *flags]))
    if fits:
        check_options(run)
    else:
        with pytest.raises(InputError, match=r"another unit\. Use --method aent-auto"):
            check_options(run)


@pytest.mark.parametrize(
    ("name", "value"),
    [("min_p", "0.1"), ("repetition_penalty", "1.2"), ("generation_kwargs", '{"epsilon_cutoff": 0.1}')],
)
def test_options_that_draw_other_completions_are_refused(name, value):
    run = prepare(read_request(["countdown", f"--{name}", value]))
    with pytest.raises(InputError, match=rf"^{name}=.*Leave {name} out, or use --method aent-auto"):
        check_options(run)


def test_nothing_is_sampled_for_a_mistake_in_the_arguments(workplace):
    (workplace / "there.yaml").write_text("")
    for arguments, message in (
        ({"subset": "top-2"}, "unknown subset 'top-2'"),
        ({"output": workplace / "there.yaml"}, "must be a new file"),
        ({"output": workplace / "no" / "block.yaml"}, "in a folder that exists"),
    ):
        with pytest.raises(InputError, match=message):
            calibrate(["countdown"], **arguments)


def test_the_advice_is_one_block_as_yaml_and_as_a_command():
    block = {"name": "aent", "drop": 0.33, "coef": 0.035, "low": 0.39, "high": 0.6}
    predicted, section, command, _, plain = advice(block, ["countdown", "--seed", "1"])
    assert "0.39 to 0.6 nats per token" in predicted
    assert yaml.safe_load(section) == {"method": block}
    words = shlex.split(command)
    assert words[:-1] == ["aent", "train", "countdown", "--seed", "1", "--method"]
    assert yaml.safe_load(words[-1]) == block
    assert plain == "aent train countdown --seed 1 --method aent-auto"


def test_a_method_in_the_flags_is_not_in_the_command():
    """Its fields would win over those of the block, or belong to another method."""
    flags = ["countdown", "--method", "siren", "--method.quantile=0.9", "--seed", "1"]
    *_, command, _, plain = advice({"name": "aent", "low": 0.4, "high": 0.6}, flags)
    block = "{name: aent, low: 0.4, high: 0.6}"
    assert shlex.split(command) == ["aent", "train", "countdown", "--seed", "1", "--method", block]
    assert plain == "aent train countdown --seed 1 --method aent-auto"


def test_flags_of_the_evaluation_are_for_the_training_that_follows(workplace, monkeypatch):
    """They were refused, with the advice to add --evaluation."""

    def measured(run, *_):
        raise InputError(f"as far as sampling, with evaluation {run.recipe.evaluation}")

    monkeypatch.setattr("aent.calibration.calibrate.measure", measured)
    with pytest.raises(InputError, match="as far as sampling, with evaluation None"):
        calibrate(["countdown", "--evaluation.problems", "10", "--evaluation.samples", "4"])
