"""Which runs a comparison has, and what its folder holds."""

import json

import pytest
import yaml

from aent.errors import InputError
from aent.runs.comparison import Comparison, ComparisonFolder, Entrant, load_entrants


def comparison(**changes):
    settings = {
        "recipe": "countdown",
        "entrants": {
            "plain": Entrant(method="none"),
            "low": Entrant(method={"name": "aent", "low": 0.1}, flags=("--learning_rate", "1e-4")),
        },
        "algorithms": ("grpo", "rloo"),
        "seeds": (3, 4),
        "baseline": "plain",
        "flags": ("--max_steps", "5"),
    }
    return Comparison(**{**settings, **changes})


def test_jobs_come_seed_by_seed():
    names = [job.name for job in comparison().jobs]
    assert names == [
        "plain-grpo-3", "low-grpo-3", "plain-rloo-3", "low-rloo-3",
        "plain-grpo-4", "low-grpo-4", "plain-rloo-4", "low-rloo-4",
    ]  # fmt: skip


def test_a_runs_command_line_has_the_flags_of_all_then_its_own():
    one = comparison()
    argv = one.argv(one.jobs[3])
    assert argv == [
        "countdown", "--max_steps", "5", "--learning_rate", "1e-4",
        "--method", json.dumps({"name": "aent", "low": 0.1}), "--algorithm", "rloo", "--seed", "3",
    ]  # fmt: skip


def test_nothing_to_run_and_an_unknown_baseline_are_refused():
    with pytest.raises(InputError, match="at least one method, one algorithm and one seed"):
        comparison(seeds=())
    with pytest.raises(InputError, match="baseline 'aent' is not among the methods plain, low"):
        comparison(baseline="aent")


def test_entrants_by_name_and_from_a_file(tmp_path):
    assert load_entrants("none,aent") == {"none": Entrant(method="none"), "aent": Entrant(method="aent")}
    file = tmp_path / "methods.yaml"
    file.write_text("fast: {method: {name: aent, low: 0.1}, flags: {learning_rate: 0.01, use_peft: true}}\n")
    assert load_entrants(str(file)) == {
        "fast": Entrant(
            method={"name": "aent", "low": 0.1}, flags=("--learning_rate", "0.01", "--use_peft", "True")
        )
    }


def test_flags_from_a_file_are_those_that_would_be_typed(tmp_path):
    file = tmp_path / "methods.yaml"
    file.write_text(
        "a:\n  method: none\n  flags:\n    evaluation: null\n    lora_target_modules: [q_proj, v_proj]\n"
        "    task: {name: chain, steps: null}\n    task.mod: [7, 11]\n"
    )
    assert load_entrants(str(file))["a"].flags == (
        "--evaluation", "null", "--lora_target_modules", "q_proj", "v_proj",
        "--task", '{"name": "chain", "steps": null}', "--task.mod", "[7, 11]",
    )  # fmt: skip


def test_every_run_has_a_folder_of_its_own_inside_the_comparisons():
    plain = Entrant(method="none")
    for label in ("/tmp/mine", "../mine", ""):
        with pytest.raises(InputError, match="names run folders, so it needs a letter and takes no slash"):
            comparison(entrants={label: plain}, baseline=label)
    with pytest.raises(InputError, match="two runs would share the folder plain-dr-grpo-3"):
        comparison(entrants={"plain": plain, "plain-dr": plain}, algorithms=("grpo", "dr-grpo"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[none]", "must map labels to"),
        ("a: none", "must map labels to"),
        ("a: {flags: {}}", "a has .'flags'.; it takes method and flags"),
        ("a: {method: none, flag: 1}", "it takes method and flags"),
        (
            "a: {method: none, flags: --learning_rate 1e-4}",
            "the flags of a are '--learning_rate 1e-4'; write",
        ),
    ],
)
def test_files_of_another_form_are_refused(text, message, tmp_path):
    (tmp_path / "methods.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_entrants(str(tmp_path / "methods.yaml"))


def test_settings_that_were_cut_short_are_noticed_at_every_length(tmp_path):
    """Some of their beginnings are the settings of another comparison, with fewer flags."""
    folder = ComparisonFolder(tmp_path)
    folder.claim(comparison())
    text = (tmp_path / "comparison.yaml").read_text()
    for length in range(len(text)):
        (tmp_path / "comparison.yaml").write_text(text[:length])
        with pytest.raises(InputError):
            folder.comparison  # noqa: B018


def test_settings_of_earlier_versions_are_read(tmp_path):
    folder = ComparisonFolder(tmp_path)
    folder.claim(comparison())
    text = (tmp_path / "comparison.yaml").read_text()
    (tmp_path / "comparison.yaml").write_text(text.split("---\n")[1].removesuffix("...\n"))
    assert folder.comparison == comparison()


def test_a_folder_holds_one_comparison(tmp_path):
    folder = ComparisonFolder(tmp_path / "compared")
    folder.claim(comparison())
    assert folder.comparison == comparison()
    assert yaml.safe_load((folder.path / "comparison.yaml").read_text())["seeds"] == [3, 4]
    folder.claim(comparison())  # the same again
    with pytest.raises(InputError, match="holds a comparison with other settings"):
        folder.claim(comparison(seeds=(3,)))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("")
    with pytest.raises(InputError, match="already holds something else"):
        ComparisonFolder(tmp_path / "other").claim(comparison())


def test_a_run_is_done_with_its_last_evaluation_where_it_has_one(make_run, tmp_path):
    one = comparison()
    folder, job = ComparisonFolder(tmp_path / "compared"), one.jobs[0]
    assert not folder.is_done(job, evaluated=False)
    make_run(f"compared/runs/{job.name}", finished=False)
    assert not folder.is_done(job, evaluated=True)
    make_run(f"compared/runs/{one.jobs[1].name}", evaluated=False)
    assert folder.is_done(one.jobs[1], evaluated=False)
    assert not folder.is_done(one.jobs[1], evaluated=True)


def test_a_list_without_names_is_refused():
    with pytest.raises(InputError, match="--methods , names no method"):
        load_entrants(",")


@pytest.mark.parametrize(
    "flags", [("--seed", "7"), ("--algorithm=rloo",), ("--output-dir", "x"), ("--method", "aent")]
)
def test_what_a_comparison_gives_each_run_is_no_flag(flags):
    for changes in ({"flags": flags}, {"entrants": {"plain": Entrant(method="none", flags=flags)}}):
        with pytest.raises(InputError, match=rf"{flags[0][:5]}.* is not for the runs of a comparison"):
            comparison(**changes)
    comparison(flags=("--method.coef", "0.1"))


def test_a_recipe_that_changed_in_the_meantime_is_noticed(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("trainer: {max_steps: 2}\n")
    folder = ComparisonFolder(tmp_path / "compared")
    folder.claim(comparison(recipe=str(recipe)))
    recipe.write_text("trainer: {max_steps: 2}  # the same\n")
    folder.claim(comparison(recipe=str(recipe)))
    recipe.write_text("trainer: {max_steps: 3}\n")
    with pytest.raises(InputError, match=r"mine.yaml has changed since .*compared/recipe.yaml"):
        folder.claim(comparison(recipe=str(recipe)))
