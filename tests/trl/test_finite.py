"""NaN and infinity in one step of a run: the weights stay, the batch is kept, and the error says so."""

import math
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from stepping import weights
from transformers import Qwen2Model

from aent import InputError
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer
from aent.trl.finite import FiniteSteps


def bad_hidden_states(monkeypatch):
    calls, intact = count(1), Qwen2Model.forward

    def forward(self, *args, **keywords):
        output = intact(self, *args, **keywords)
        if output.last_hidden_state.requires_grad and next(calls) == 2:
            output.last_hidden_state = output.last_hidden_state * math.nan
        return output

    monkeypatch.setattr(Qwen2Model, "forward", forward)


def bad_gradient(value):
    def put(monkeypatch):
        calls, intact = count(1), Accelerator.backward

        def backward(self, loss, **keywords):
            intact(self, loss, **keywords)
            if next(calls) == 2:
                next(self._models[0].parameters()).grad.view(-1)[0] = value

        monkeypatch.setattr(Accelerator, "backward", backward)

    return put


@pytest.mark.parametrize("method", ["none", "aent"])
@pytest.mark.parametrize(
    "poison",
    [bad_hidden_states, bad_gradient(math.nan), bad_gradient(math.inf)],
    ids=["hidden states", "gradient", "infinite gradient"],
)
def test_such_a_step_is_not_taken_and_its_batch_is_kept(
    poison, method, build, options, monkeypatch, tmp_path
):
    poison(monkeypatch)
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=method)
    with pytest.raises(InputError, match=r"nan|NaN|inf") as refused:
        trainer.train()
    assert "step 2 was not taken" in str(refused.value)
    assert trainer.state.global_step == 1
    assert weights(trainer).isfinite().all()
    (file,) = (tmp_path / "out").glob("nonfinite-*")
    assert str(file) in str(refused.value)
    kept = torch.load(file, weights_only=True)
    assert kept["step"] == 2
    assert len(kept["rollouts"][0]["completion_ids"]) == options["per_device_train_batch_size"]


def test_a_critic_with_a_bad_gradient_stops_too(ppo, monkeypatch):
    trainer = ppo(critic="own")
    trainer.critic.head.weight.register_hook(lambda grad: grad * math.inf)
    with pytest.raises(InputError, match=r"step 1 was not taken: the norm of the critic's gradient"):
        trainer.train()
    assert torch.equal(trainer.critic.head.weight, torch.zeros_like(trainer.critic.head.weight))


def test_the_scaler_of_fp16_deals_with_such_steps_itself():
    host = SimpleNamespace(accelerator=SimpleNamespace(scaler=object()))
    FiniteSteps(host).check_gradient(torch.tensor(math.inf))
