import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from aent.errors import InputError
from aent.policies.generate import TransformersSampler
from aent.policies.load import check_model, load_model, load_sampler, loading_options
from aent.policies.sampling import Sampling
from aent.training.prepare import prepare, read_request


@pytest.fixture
def folder(model, tokenizer, tmp_path):
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_options_for_loading_are_picked_out_of_the_trainer_section():
    section = {"model_revision": "v2", "dtype": "bfloat16", "learning_rate": 1e-6, "trust_remote_code": True}
    assert loading_options(section) == {"revision": "v2", "dtype": "bfloat16", "trust_remote_code": True}


def test_a_folder_loads_with_its_tokenizer(folder, model):
    loaded, tokenizer = load_model(str(folder))
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    assert (tokenizer.padding_side, tokenizer.pad_token) == ("left", "<pad>")


def test_padding_is_the_end_token_where_there_is_none(folder, tokenizer):
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    assert load_model(str(folder))[1].pad_token == "<end>"


def test_a_sampler_says_what_it_samples_from(folder):
    sampler = load_sampler(str(folder))
    assert isinstance(sampler, TransformersSampler)
    assert sampler.model == str(folder)


@pytest.fixture
def adapter(folder, model, tokenizer):
    """Write a LoRA adapter of `model` that changes its answers; settings win over those of its config."""
    from peft import LoraConfig, get_peft_model

    def write(**settings):
        place = folder.parent / "adapter"
        lora = get_peft_model(model, LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
        lora.save_pretrained(place)
        config = json.loads((place / "adapter_config.json").read_text())
        config |= {"base_model_name_or_path": str(folder), "task_type": "CAUSAL_LM", **settings}
        (place / "adapter_config.json").write_text(json.dumps(config))
        tokenizer.save_pretrained(place)
        return str(place), lora.eval()

    return write


@pytest.mark.parametrize("task_type", ["CAUSAL_LM", None])
def test_an_adapter_loads_on_its_model(adapter, task_type):
    name, lora = adapter(task_type=task_type)
    check_model(name)
    ids = torch.arange(2, 12)[None]
    found = load_model(name)[0].to("cpu")(ids).logits
    assert torch.allclose(found, lora(ids).logits, atol=1e-5)
    with lora.disable_adapter():
        assert not torch.allclose(found, lora(ids).logits, atol=0.1)


def test_options_reach_the_model_under_an_adapter(adapter):
    name, _ = adapter()
    usual = load_model(name)[0]
    loaded, _ = load_model(name, dtype="bfloat16", attn_implementation="eager")
    assert {weight.dtype for weight in usual.parameters()} == {torch.float32}
    for key, weight in loaded.named_parameters():
        assert weight.dtype == (torch.float32 if "lora_" in key else torch.bfloat16)
    assert (usual.config._attn_implementation, loaded.config._attn_implementation) == ("sdpa", "eager")


def test_an_adapter_in_another_dtype_is_sampled_from(adapter):
    sampler = load_sampler(adapter()[0], dtype="bfloat16")
    (batch,) = sampler.batches(["1+1="], Sampling(samples=2, max_tokens=4))
    assert [len(sample.tokens) > 0 for sample in batch] == [True, True]
    assert all(entropy > 0 for sample in batch for entropy in sample.entropy or [0.0])


@pytest.mark.parametrize(
    ("recorded", "given", "due"),
    [(None, {}, None), ("v1", {}, "v1"), (None, {"revision": "v2"}, "v2"), ("v1", {"revision": "v1"}, "v1")],
)
def test_a_revision_is_that_of_the_model_under_an_adapter(adapter, monkeypatch, recorded, given, due):
    name, _ = adapter(revision=recorded)
    load, seen = AutoModelForCausalLM.from_pretrained, []

    def spy(name, **options):
        seen.append(options["revision"])
        return load(name, **options)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", spy)
    load_model(name, **given)
    assert seen == [due]


def test_training_does_not_start_from_an_adapter(adapter, tmp_path):
    name, _ = adapter()
    request = read_request(
        ["countdown", "--model_name_or_path", str(name), "--output_dir", str(tmp_path / "run")]
    )
    with pytest.raises(InputError, match="is an adapter, and training starts from a whole model"):
        prepare(request)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"revision": "v1"}, "model_revision=v2 was given, but adapter .* belongs to revision v1"),
        ({"task_type": "SEQ_CLS"}, "has task_type=SEQ_CLS and the base model .*; give an adapter of a named"),
        ({"base_model_name_or_path": None}, "the base model None; give an adapter of a named"),
        (
            {"base_model_name_or_path": "/no/such/model"},
            "base model '/no/such/model', a folder that",
        ),
    ],
)
def test_what_an_adapter_cannot_be_loaded_as_is_refused_before(adapter, settings, message):
    name, _ = adapter(**settings)
    with pytest.raises(InputError, match=message):
        check_model(name, revision="v2")


def test_a_model_grows_to_the_tokens_of_its_adapter(adapter, tokenizer, model):
    tokenizer.add_tokens([f"<{n}>" for n in range(10)])  # 40 and 10; the model has room for 40
    embeddings = load_model(adapter()[0])[0].to("cpu").get_input_embeddings().weight
    assert len(embeddings) == 50
    assert torch.equal(embeddings[:40], model.get_input_embeddings().weight)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (["*.safetensors"], r"has no weights \(\*\.safetensors\); give a folder written by save_pretrained"),
        (["config.json"], "it has no config.json"),
        (["*token*"], "has no tokenizer; save it there"),
    ],
)
def test_what_a_folder_lacks_is_named_without_loading_it(folder, remove, message):
    check_model(str(folder))
    for pattern in remove:
        for file in folder.glob(pattern):
            file.unlink()
    with pytest.raises(InputError, match=message):
        check_model(str(folder))


def test_a_run_folder_is_not_a_model(tmp_path):
    (tmp_path / "run/policy").mkdir(parents=True)
    with pytest.raises(InputError, match=r"this is a run folder; its policy is .*run/policy"):
        check_model(str(tmp_path / "run"))


@pytest.mark.parametrize("name", ["./none", "/none", "a/b/c"])
def test_a_path_that_is_not_there_is_no_hub_id(name):
    with pytest.raises(InputError, match="does not exist"):
        check_model(name)


def test_a_config_that_transformers_does_not_know(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(InputError, match="has no usable config"):
        check_model(str(folder))


def test_a_file_that_is_cut_short_is_named(folder):
    (file,) = folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=rf"{file.name} is cut short; copy or save the model again"):
        check_model(str(folder))
