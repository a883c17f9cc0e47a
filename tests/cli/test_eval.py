"""``aent eval``: resumed, refused, several tasks, protocols."""

import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import save_file

from aent.cli.main import main
from aent.evaluation import PROTOCOLS, Journal, load_results

SMALL = ["--max-tokens", "6", "--batch-size", "4"]


@pytest.fixture
def workplace(tmp_path, monkeypatch, model, tokenizer):
    """A model and two benchmarks where their hub ids lead, as local folders."""
    monkeypatch.chdir(tmp_path)
    for part in (model, tokenizer):
        part.save_pretrained("model")
    for path, split, row in (
        ("HuggingFaceH4/aime_2024", "train", {"problem": "1+1", "answer": "2"}),
        ("math-ai/amc23", "test", {"question": "1+1", "answer": 2.0}),
    ):
        place = tmp_path / path / split / "rows.jsonl"
        place.parent.mkdir(parents=True)
        key = "problem" if "problem" in row else "question"
        rows = [{**row, key: f"{n}+1", "answer": str(n + 1)} for n in range(3)]
        place.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return tmp_path


def evaluate(*flags, task="aime24", output="out"):
    argv = ["eval", "--model", "model", "--task", task, "--task.template", "q{question}=", "--output", output]
    return main([*argv, *SMALL, *flags])


def kept(folder):
    results = json.loads((folder / "results.json").read_text())
    same = {name: results[name] for name in ("metrics", "standard_errors", "config", "task", "problems")}
    return same, (folder / "samples.jsonl").read_bytes()


def test_a_killed_evaluation_goes_on_to_the_same_results(workplace, monkeypatch):
    assert evaluate("--samples", "4", output="whole") == 0
    append, written = Journal.append, []

    def killed(journal, records):
        append(journal, records)
        written.append(records)
        if len(written) == 2:
            with (journal.folder / "samples.jsonl").open("a") as file:
                file.write('{"problem": 2, "pro')  # cut in the middle of a line
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", killed)
        assert evaluate("--samples", "4", output="killed") == 130
    assert not (workplace / "killed/results.json").exists()
    assert evaluate("--samples", "4", output="killed") == 0
    assert kept(workplace / "killed") == kept(workplace / "whole")
    assert len(load_results(workplace / "killed").records) == 12


def test_a_finished_evaluation_is_shown_again_and_not_repeated(workplace, monkeypatch, capsys):
    assert evaluate("--samples", "2") == 0
    first, before = capsys.readouterr().out, kept(workplace / "out")
    monkeypatch.setattr("aent.policies.load.load_model", None)
    assert evaluate("--samples", "2") == 0
    again = capsys.readouterr().out
    table = first[first.index("metric") :]
    assert again.endswith(table)
    assert "tokens/s" in first
    assert "tokens/s" not in again
    assert kept(workplace / "out") == before


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--samples", "3"], "samples: 2 there, 3 now"),
        (["--samples", "2", "--temperature", "0.5"], "temperature: 1.0 there, 0.5 now"),
        (["--samples", "2", "--task.chat", "true"], "'chat': True"),
    ],
)
def test_an_evaluation_with_other_settings_is_not_overwritten(flags, named, workplace, capsys):
    evaluate("--samples", "2")
    before = kept(workplace / "out")
    capsys.readouterr()
    assert evaluate(*flags) == 1
    assert named in capsys.readouterr().err
    assert kept(workplace / "out") == before


def test_other_weights_or_problems_are_other_evaluations(workplace, model, capsys):
    evaluate("--samples", "2")
    rows = workplace / "HuggingFaceH4/aime_2024/train/rows.jsonl"
    text = rows.read_text()
    rows.write_text(text.replace("2+1", "4+1"))
    assert evaluate("--samples", "2") == 1
    assert "problems_sha256:" in capsys.readouterr().err
    rows.write_text(text)
    assert evaluate("--samples", "2") == 0
    save_file({"weight": torch.zeros(1)}, workplace / "model/extra.safetensors")
    assert evaluate("--samples", "2") == 1
    assert "weights:" in capsys.readouterr().err


def test_several_tasks_and_the_mean_over_them(workplace, capsys):
    assert evaluate("--samples", "4", "--k", "1", "4", task="aime24,amc23") == 0
    summary = json.loads((workplace / "out/summary.json").read_text())
    assert list(summary) == ["aime24", "amc23", "mean"]
    for name in ("aime24", "amc23"):
        found = load_results(workplace / "out" / name)
        value, error = summary[name]["pass@1"]
        assert value == found.metrics["pass@1"].value
        assert error == found.standard_errors()["pass@1"]
    (one, e1), (two, e2), (mean, error) = (summary[name]["pass@4"] for name in summary)
    assert mean == pytest.approx((one + two) / 2)
    assert error == pytest.approx((e1**2 + e2**2) ** 0.5 / 2)
    printed = capsys.readouterr().out
    assert "avg@4" in printed
    assert "mean" in printed


def test_a_protocol_by_name_and_flags_over_it(workplace):
    assert evaluate("--protocol", "paper", "--samples", "2") == 0
    config = asdict(load_results(workplace / "out").config)
    due = {**asdict(PROTOCOLS["paper"]), "samples": 2, "max_tokens": 6, "batch_size": 4}
    assert config == due
    paper = PROTOCOLS["paper"]
    assert (paper.samples, paper.temperature, paper.top_p, paper.top_k) == (4, 0.6, 0.95, 20)
    assert paper.problems is None


@pytest.mark.parametrize(
    ("flags", "task", "named"),
    [
        (["--protocol", "papre"], "aime24", "unknown protocol 'papre'. Did you mean 'paper'?"),
        ([], "aime24,aime24", "names a task twice"),
        ([], "aime24,aime", "unknown task 'aime'"),
        (["--backend", "vllm"], "aime24", "needs vLLM"),
    ],
)
def test_mistakes(flags, task, named, workplace, capsys):
    assert evaluate(*flags, task=task) == 1
    assert named in capsys.readouterr().err
    assert not (workplace / "out").exists()


def test_eval_writes_results_and_every_answer(workplace, policy, capsys):
    argv = ["eval", "--model", str(policy), "--task", "countdown", "--problems", "5", "--samples", "4"]
    assert main(argv) == 0
    assert "pass@4" in capsys.readouterr().out
    folder = workplace / "eval-policy-countdown-001"
    results = json.loads((folder / "results.json").read_text())
    assert {"pass@1", "pass@4", "maj@4", "entropy", "length"} <= set(results["metrics"])
    answers = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert len(answers) == 20
    assert main(argv) == 0  # a second time: a folder of its own
    assert (workplace / "eval-policy-countdown-002").exists()


def test_memory_is_said_first_and_the_pace_at_the_end(workplace, capsys):
    assert evaluate("--samples", "4", "--dtype", "bfloat16") == 0
    printed = capsys.readouterr().out
    before, _, after = printed.partition("for a batch of answers")
    assert "aime24: 0.0 GiB of weights" in before.replace("\n", " ")
    assert "12 of 12 answers; aime24," in after
    assert "tokens/s" in after
    settings = json.loads((workplace / "out/settings.json").read_text())
    assert settings["dtype"] == "bfloat16"


def test_another_dtype_is_another_evaluation(workplace, capsys):
    assert evaluate("--dtype", "bfloat16") == 0
    assert evaluate() == 1
    assert "dtype: 'bfloat16' there, None now" in capsys.readouterr().err.replace("\n", " ")
