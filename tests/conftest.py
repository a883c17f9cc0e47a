"""Settings every test needs before a library is imported."""

import gc
import json
import os
import signal
import subprocess
import sys

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    CI="1",  # TRL sends no telemetry in CI
)

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _signals_as_in_a_terminal():
    """In the background and under nohup some signals are ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="module", autouse=True)
def _imports_are_not_searched_for_garbage():
    """Each training run of TRL calls ``gc.collect``, which took most of its time among so many modules."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_cache_of_the_user(monkeypatch, tmp_path_factory):
    """Policies made in tests stay out of the user's cache."""
    monkeypatch.setenv("AENT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def launch():
    """Run a program in several processes, as torchrun does: ``launch("ranks.py", folder, processes=4)``."""

    def launch(*program, processes=2, **environment):
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        done = subprocess.run(
            [sys.executable, *torchrun, *map(str, program)],
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done

    return launch


@pytest.fixture
def tokenizer():
    """One token per digit, lower-case letter, ``+`` and ``=``; the chat template ends a prompt with ``=``."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = "0123456789abcdefghijklmnopqrstuvwxyz+="
    vocab = {"<pad>": 0, "<end>": 1, **{c: i + 2 for i, c in enumerate(characters)}}
    core = Tokenizer(models.WordLevel(vocab, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    core.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<end>")
    fast.chat_template = (
        "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}={% endif %}"
    )
    return fast


@pytest.fixture
def model():
    """A random policy over `tokenizer`, far from uniform, so that entropies and answers vary."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = Qwen2Config(
            vocab_size=40,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            initializer_range=0.3,
            eos_token_id=1,
            pad_token_id=0,
        )
        return Qwen2ForCausalLM(config)


@pytest.fixture
def make_run(tmp_path):
    """Write a run folder as `aent train` does, without training: ``make_run("name", seed=4, ...)``."""
    from aent.evaluation import EvalConfig, Evaluation, Record
    from aent.evaluation.results import estimates, per_problem
    from aent.runs.folder import RunFolder
    from aent.runs.recipe import Recipe

    config = EvalConfig(problems=3, samples=4)

    def record(problem, sample, right, text, tokens):
        texts, nats = [*text, "<eos>"], [round(0.7 / (1 + at), 4) for at in range(len(text) + 1)]
        kept = (texts, nats) if tokens and sample < 2 else (None, None)
        return Record(
            problem, f"prompt {problem}=", sample, text, float(right), text, 0.25, len(texts), *kept
        )

    def evaluation(share, text, tokens):
        places = [(problem, sample) for problem in range(3) for sample in range(4)]
        records = [record(p, s, (p + s) % 4 < share, f"{text}{s % 2}", tokens) for p, s in places]
        metrics = estimates(per_problem(records, config.ks), 0)
        about = {"problems": {"asked": 3, "available": 3, "used": 3}}
        return Evaluation(metrics=metrics, config=config, records=records, about=about)

    def make(name, *, method="none", seed=3, rows=None, evaluated=True, finished=True, tokens=True,
             after=3, text="a+", **changes):  # fmt: skip
        section = {"problems": 3, "samples": 4} if evaluated else None
        trainer = {"max_steps": 40, "seed": seed, **changes.pop("trainer", {})}
        method = {"name": method, **changes.pop("arguments", {})}
        recipe = Recipe(method=method, evaluation=section, trainer=trainer, **changes)
        folder = RunFolder.create(tmp_path / name, "", recipe)
        rows = rows if rows is not None else [{"step": t, "reward": t / 40} for t in (10, 20, 30, 40)]
        folder.metrics.write_text(
            "".join(json.dumps({"loss": 0.0, "step_time": 1.0, **r}) + "\n" for r in rows)
        )
        if evaluated:
            evaluation(1, text, tokens).save(folder.before)
        if evaluated and finished:
            evaluation(after, text[::-1], tokens).save(folder.after)
        if finished:
            folder.policy.mkdir()
            (folder.policy / "config.json").write_text("{}")
        return folder

    return make


SMALL = ["--hidden-size", "32", "--layers", "1", "--vocab-size", "64", "--batch-size", "32"]


@pytest.fixture(scope="session")
def policy(tmp_path_factory):
    """A policy for countdown, hardly trained, made by the command line itself."""
    from aent.cli.main import main

    folder = tmp_path_factory.mktemp("models") / "policy"
    assert main(["warmstart", "--output", str(folder), "--demonstrations", "256", *SMALL]) == 0
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
