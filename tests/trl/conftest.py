"""The tiny policy and its surroundings as fixtures."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for stepping.py and tiny.py

import tiny
from transformers import Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer

from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntPPOConfig, AEntPPOTrainer


@pytest.fixture(scope="session")
def tokenizer():
    return tiny.tokenizer()


@pytest.fixture(scope="session")
def prompts():
    return tiny.prompts()


@pytest.fixture(scope="session")
def make_model():
    return tiny.make_model


@pytest.fixture(scope="session")
def reward():
    return tiny.low_tokens


@pytest.fixture
def options(tmp_path):
    """Options of a short, quiet run on the CPU."""
    return {
        **tiny.QUIET,
        "output_dir": str(tmp_path / "out"),
        "per_device_train_batch_size": 16,
        "num_generations": 8,
    }


@pytest.fixture
def build(make_model, tokenizer, prompts, reward):
    def build(trainer, config, options, model=None, **keywords):
        return trainer(
            model=make_model() if model is None else model,
            reward_funcs=keywords.pop("reward_funcs", reward),
            args=config(**options),
            train_dataset=prompts,
            processing_class=tokenizer,
            **keywords,
        )

    return build


@pytest.fixture
def grpo(build, options, make_model, tmp_path):
    """Make a trainer, of TRL where no method is given, whose reference policy can be loaded again."""
    make_model().save_pretrained(tmp_path / "policy")

    def make(method=None, **more):
        trainer, config, keywords = (
            (GRPOTrainer, GRPOConfig, {})
            if method is None
            else (AEntGRPOTrainer, AEntGRPOConfig, {"method": method})
        )
        model = Qwen2ForCausalLM.from_pretrained(tmp_path / "policy")
        return build(trainer, config, options | more, model=model, **keywords)

    return make


@pytest.fixture
def ppo(build, options, make_model):
    def ppo(*, method="none", model=None, host=None, ends=False, **changes):
        keywords = host or {}
        if ends:  # some completions end early, some are cut off
            model = make_model()
            model.generation_config.eos_token_id = list(range(1, 12))
        return build(AEntPPOTrainer, AEntPPOConfig, options | changes, model=model, method=method, **keywords)

    return ppo
