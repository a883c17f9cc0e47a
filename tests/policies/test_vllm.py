"""The calls to vLLM, against a module in its place: its names and types are those of vLLM's own source."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest

from aent.errors import InputError
from aent.evaluation import EvalConfig, measure
from aent.policies.sampling import Sample, Sampling
from aent.policies.vllm import load_vllm
from aent.tasks import MathTask


class SamplingParams:
    def __init__(self, *, temperature, top_p, top_k, max_tokens, seed):
        vars(self).update(locals())


class LLM:
    """Answers with the length of the prompt and the last digit of the seed."""

    def __init__(self, model, **options):
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
def sampler(monkeypatch, tokenizer):
    module = ModuleType("vllm")
    module.__spec__ = ModuleSpec("vllm", None)
    module.LLM, module.SamplingParams = LLM, SamplingParams
    monkeypatch.setitem(sys.modules, "vllm", module)
    made = load_vllm("some/model", dtype="bfloat16")
    made.engine.get_tokenizer = lambda: tokenizer
    return made


SAMPLING = Sampling(samples=2, temperature=0.6, top_p=0.95, top_k=20, max_tokens=9, batch_size=3, seed=7)


def test_every_answer_is_a_request_with_its_own_seed(sampler):
    assert (sampler.engine.model, sampler.engine.options) == ("some/model", {"dtype": "bfloat16"})
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
    with pytest.raises(InputError, match=r"needs vLLM.*pip install vllm"):
        load_vllm("some/model")


def test_an_adapter_is_refused(sampler, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="PEFT adapter"):
        load_vllm(str(tmp_path))
