"""The examples run, and show what they say."""

import importlib
import json
import os
import re
import runpy
import string
import subprocess
import sys
import types
from pathlib import Path

import pytest

from aent.policies.tokenizer import character_tokenizer
from aent.policies.warmstart import Warmstart, small_model

EXAMPLES = Path(__file__).parents[1] / "examples"
CHAT = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
ROWS = [
    {"question": "What is 1 + 2?", "answer": "One and two make 3.\n#### 3"},
    {"question": "What is 4 * 5?", "answer": "Four fives are 20.\n#### 20"},
    {"question": "Tom has 9 pens and loses 2. How many has he?", "answer": "9 - 2 = 7\n#### 7"},
]


@pytest.fixture
def model(tmp_path):
    """The folder of a tiny random chat model."""
    tokenizer = character_tokenizer(string.printable, 128)
    tokenizer.chat_template = CHAT
    policy = small_model(Warmstart(vocab_size=128, hidden_size=16, layers=1, heads=2), tokenizer)
    for part in (policy, tokenizer):
        part.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_own_loop_keeps_the_entropy_with_aent_and_earns_the_reward(capsys):
    """Alone the entropy falls to about .03 nats; the band is .5 to .8, and log 64 = 4.16 is the most."""
    example = runpy.run_path(str(EXAMPLES / "own_loop.py"))
    alone, aent = (example["train"](spec) for spec in ("none", example["AENT"]))
    low, high = example["AENT"]["low"], example["AENT"]["high"]
    assert alone["entropy"] < low / 4
    assert low - 0.2 < aent["entropy"] < high + 0.2
    assert min(alone["reward"], aent["reward"]) > 0.85  # both start at .06
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line[:4].strip().isdigit()]
    assert len(rows) == 2 * (example["STEPS"] // 25 + 1)
    assert float(rows[0][1]) < 0.1  # the reward before the first step


def test_own_loop_gives_aent_auto_what_it_needs():
    """Its bonus acts, so that it has entropy where the policy gradient alone has about .05 nats."""
    rows = []
    example = runpy.run_path(str(EXAMPLES / "own_loop.py"))
    last = example["train"]("aent-auto", log=rows.append)
    assert max(row["aent/coef"] for row in rows) > 0.1
    assert rows[75]["entropy"] > 0.15
    assert last["reward"] > 0.95  # alone .91


def test_own_loop_honors_the_options_of_a_method(monkeypatch):
    """clip-higher consists of one option and nothing else; archer needs one that this loop lacks."""
    example = runpy.run_path(str(EXAMPLES / "own_loop.py"))
    monkeypatch.setitem(example["train"].__globals__, "STEPS", 20)
    plain, higher = (example["train"](spec)["entropy"] for spec in ("none", "clip-higher"))
    assert higher != plain
    with pytest.raises(SystemExit, match=r"archer sets .*beta.*, which this loop does not have"):
        example["train"]("archer")


@pytest.mark.parametrize(
    "spec", ["clip-higher", "ce-gppo", "qae", "siren", "stare", "entropic", "bapo", "erc"]
)
def test_own_loop_trains_with_every_kind_of_part(spec, monkeypatch):
    example = runpy.run_path(str(EXAMPLES / "own_loop.py"))
    monkeypatch.setitem(example["train"].__globals__, "STEPS", 3)
    assert 0 < example["train"](spec)["reward"] < 1


def test_trl_gsm8k_trains_a_local_model_on_local_rows(model, tmp_path, monkeypatch):
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    flags = {
        "model": model, "train": tmp_path / "train.jsonl", "output_dir": tmp_path / "out", "max_steps": 2,
        "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "num_generations": 4,
        "max_completion_length": 8, "logging_steps": 1, "save_steps": 2, "use_cpu": True,
        "disable_tqdm": True, "aent_method": "{name: aent, warmup: 0}",
    }  # fmt: skip
    words = [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]
    monkeypatch.setattr(sys, "argv", ["trl_gsm8k.py", *words])
    runpy.run_path(str(EXAMPLES / "trl_gsm8k.py"), run_name="__main__")
    state = json.loads((tmp_path / "out" / "checkpoint-2" / "trainer_state.json").read_text())
    assert state["stateful_callbacks"]["aent"]["attributes"]["controller"]["updates"] == 2
    assert all(row["aent/entropy"] > 0 for row in state["log_history"] if "loss" in row)
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize("name", ["own_method", "lora"])
def test_scripts_train_a_local_model(name, model, tmp_path):
    example = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    trainer = example["main"](
        ["--model", str(model), "--max_steps", "2", "--output_dir", str(tmp_path / "out")]
    )
    rows = [row for row in trainer.state.log_history if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2]
    assert all(row["aent/entropy"] > 0 for row in rows)
    if name == "own_method":  # coef is logged as it was in force: 0.01, then a hundredth less
        assert [row["aent/coef"] for row in rows] == pytest.approx([0.01, 0.0099])
    else:
        assert (tmp_path / "out" / "adapter_model.safetensors").exists()
        assert not (tmp_path / "out" / "model.safetensors").exists()


def test_own_task_checks_itself(capsys):
    runpy.run_path(str(EXAMPLES / "own_task.py"), run_name="__main__")
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["train:", "7"],
        ["test:", "3"],
    ]


def test_verl_gsm8k_switches_aent_on_and_passes_its_arguments_on(tmp_path):
    """verl is in another environment; here a stand-in for Python prints what it is given."""
    stand_in = tmp_path / "python"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    done = subprocess.run(
        [str(EXAMPLES / "verl_gsm8k.sh"), "trainer.nnodes=2"],
        env={**os.environ, "PYTHON": str(stand_in)},
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.split()
    assert words[:2] == ["-m", "verl.trainer.main_ppo"]
    assert {"trainer.v1.trainer_mode=aent_sync", "+aent.method=aent-auto"} <= {*words}
    assert words[-1] == "trainer.nnodes=2"
    assert all("=" in word for word in words[2:])


@pytest.fixture
def notebook():
    return json.loads((EXAMPLES / "collapse.ipynb").read_text())


def test_the_notebook_runs_from_a_collapsed_run_to_its_pictures(notebook, monkeypatch, workplace, capsys):
    """All cells in one namespace, as a kernel runs them; 30 steps of 150, too few to hold anything."""
    display = types.SimpleNamespace(SVG=lambda filename: Path(filename).read_text())
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(importlib.import_module("own_loop"), "STEPS", 30)
    namespace = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "collapse.ipynb", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "plain.jsonl: JSON, 31 logged rows" in printed
    assert "Entropy     has collapsed" in printed
    assert printed.count("different right ones per question") == 2
    assert {path.name for path in Path("pictures").glob("*.svg")} >= {"entropy.svg", "coefficient.svg"}


def test_the_notebook_shows_what_a_whole_run_found_and_is_light(notebook):
    assert (EXAMPLES / "collapse.ipynb").stat().st_size < 60_000
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert "error" not in {output["output_type"] for output in outputs}
    assert sum("image/svg+xml" in output.get("data", {}) for output in outputs) == 3
    text = "".join("".join(output.get("text", "")) for output in outputs)
    shares = re.findall(r"(\d+)% of 256 answers are right, ([\d.]+) different", text)
    (plain, few), (held, many) = ((int(share), float(different)) for share, different in shares)
    assert held > plain
    assert many > 10 * few
    assert "/" not in re.findall(r"(\S+): JSON", text)[0]  # no path of the machine that ran it
