"""One training step, taken apart, and the clamped entropy in its obvious form."""

import torch
import torch.nn.functional as F


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def gradient(trainer, loss):
    trainer.model.zero_grad()
    loss.backward()
    trained = [p for p in trainer.model.parameters() if p.requires_grad]
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained])


def rollout(trainer, rows, edit=None):
    """One generation batch, scored, as the training loop would prepare it; `edit` changes it first."""
    if edit is not None:
        generate = trainer._generate_and_score_completions
        trainer._generate_and_score_completions = lambda batch: edit(generate(batch))
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    trainer.model.train()
    group = trainer.num_generations
    return trainer._prepare_inputs([trainer.train_dataset[i // group] for i in range(rows)])


def naive_logits(model, inputs, temperature):
    """All logits of the completions, from the model's own forward, in float32."""
    ids, attention, length = scored(inputs)
    logits = model(input_ids=ids, attention_mask=attention).logits[:, -length - 1 : -1]
    return logits.float() / temperature


def naive_clamped_entropy(model, inputs, drop, temperature):
    """Mean entropy of softmax over all logits but the int(drop * V) smallest; autograd, all logits held."""
    logits = naive_logits(model, inputs, temperature)
    dropped = logits.topk(int(drop * logits.size(-1)), largest=False).indices
    logits = logits.scatter(-1, dropped, -torch.inf)
    terms = F.softmax(logits, -1) * F.log_softmax(logits, -1).masked_fill(logits.isinf(), 0)
    mask = inputs["completion_mask"]
    return (-terms.sum(-1) * mask).sum() / mask.sum()


def scored(inputs):
    """Token ids, attention mask and length of the completions, as the host's scoring takes them."""
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    return ids, attention, inputs["completion_ids"].size(1)


def logged(trainer, key):
    return [row[key] for row in trainer.state.log_history if key in row]
