"""`aent report` as a user meets it."""

from pathlib import Path

import pytest

from aent.cli.main import main


def test_one_run_is_reported_in_its_folder_and_several_here(make_run, workplace, capsys):
    one, two = make_run("one"), make_run("two", method="aent")
    assert main(["report", "one"]) == 0
    assert capsys.readouterr().out == "one/report.html\n"
    assert "GRPO on countdown: none" in one.report.read_text()
    assert main(["report", "one", "two"]) == 0
    assert capsys.readouterr().out == "report.html\n"
    assert "none, aent" in Path("report.html").read_text()
    assert not two.report.exists()
    assert main(["report", "two", "--output", "there.html"]) == 0
    assert Path("there.html").exists()


def test_logs_made_elsewhere_are_shown_beside_a_run_and_exported(make_run, workplace, capsys):
    make_run("ours")
    Path("history.csv").write_text("step,reward\n10,0.5\n20,0.6\n")
    assert main(["report", "ours", "history.csv", "--export", "out"]) == 0
    assert capsys.readouterr().out == "report.html\nout\n"
    assert "GRPO on countdown: none, history.csv" in Path("report.html").read_text()
    assert "history.csv,history.csv,20.0,,,0.6" in Path("out/logged.csv").read_text()
    assert "history.csv" in Path("out/reward.svg").read_text()
    Path("history.csv").rename("alone.csv")
    assert main(["report", "alone.csv"]) == 0
    assert "<title>alone.csv" in Path("report.html").read_text()


def test_a_run_that_is_given_twice_is_one_seed(make_run, workplace):
    make_run("one")
    assert main(["report", "one", "./one", str(workplace / "one"), "--output", "one.html"]) == 0
    assert "over seeds" not in Path("one.html").read_text()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["report", "gone"], "gone does not exist. Give a run folder of aent, trainer_state.json"),
        (["report", "run", "--jobs", "2"], "--jobs is not a flag of aent report"),
        (["report", "--output", "x.html"], "no run is given"),
        (["report", "run", "--output", "run"], "is a folder; give a file"),
        (["report", "run", "--output", "mine.html"], "mine.html exists and is not a report of aent"),
        (["report", "run", "--output", "no/where.html"], "the report cannot be written"),
        (["report", "run", "--export"], "--export needs a value"),
    ],
)
def test_mistakes_are_one_message(argv, message, make_run, workplace, capsys):
    make_run("run")
    Path("mine.html").write_text("<p>mine</p>")
    assert main(argv) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert Path("mine.html").read_text() == "<p>mine</p>"
    assert not Path("run/report.html").exists()


def test_training_keeps_everything_where_its_report_cannot_be_written(workplace, policy, capsys):
    argv = ["train", "--model_name_or_path", str(policy), "--max_steps", "2", "--logging_steps", "1",
            "--per_device_train_batch_size", "8", "--num_generations", "4", "--evaluation", "null",
            "--output_dir", "run"]  # fmt: skip
    assert main(argv) == 0
    page = Path("run/report.html")
    assert "the runs have no evaluation" in page.read_text().lower()
    page.write_text("<p>mine</p>")
    capsys.readouterr()
    assert main(["train", "--resume", "run"]) == 1
    assert capsys.readouterr().err.startswith("error: run/report.html exists and is not a report of aent")
    assert Path("run/policy/model.safetensors").exists()
    page.unlink()
    page.mkdir()
    assert main(["train", "--resume", "run"]) == 1
    assert "the report cannot be written" in capsys.readouterr().err
    page.rmdir()
    assert main(["train", "--resume", "run"]) == 0
    assert "run/report.html" in capsys.readouterr().out
