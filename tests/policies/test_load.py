import json

import pytest
import torch

from aent.errors import InputError
from aent.policies.generate import TransformersSampler
from aent.policies.load import check_model, load_model, load_sampler, loading_options


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


def test_an_adapter_loads_on_its_model(folder, model, tmp_path):
    from peft import LoraConfig, get_peft_model

    lora = get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
    lora.peft_config["default"].base_model_name_or_path = str(folder)
    lora.save_pretrained(tmp_path / "adapter")
    for file in folder.glob("*token*"):
        (tmp_path / "adapter" / file.name).write_bytes(file.read_bytes())
    check_model(str(tmp_path / "adapter"))
    assert load_model(str(tmp_path / "adapter"))[0].peft_config


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
