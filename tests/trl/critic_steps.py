"""Values in their obvious form, and what the tests of PPO and its critic do to a trainer."""

import torch


def randomise_head(trainer):
    """A critic that says something, as after some training."""
    torch.manual_seed(3)
    torch.nn.init.normal_(trainer.critic.head.weight, std=0.3)


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def gradients(module):
    return torch.cat([p.grad.flatten().clone() for p in module.parameters() if p.grad is not None])


def naive_values(trainer, inputs):
    """The head on the hidden states that transformers hands out, token by token."""
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    body = trainer.critic.body or trainer.model.model
    hidden = body(input_ids=ids, attention_mask=attention).last_hidden_state
    start = inputs["prompt_ids"].size(1)
    head = trainer.critic.head
    columns = [hidden[:, start + i - 1] @ head.weight[0] + head.bias for i in range(ids.size(1) - start)]
    return torch.stack(columns, 1)
