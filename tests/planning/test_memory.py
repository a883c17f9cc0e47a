"""The formulas against what autograd and AdamW hold of the same model."""

from dataclasses import replace

import torch

from aent.planning import memory


def saved_numbers(model, run):
    """How many float32 numbers, weights left out, wait for backward."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tensor.is_floating_point():
            kept[storage.data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) // 4


def test_activations_are_those_that_autograd_keeps(ids, tiny, shape):
    model, sizes = tiny()
    whole = saved_numbers(model, lambda: model.model(ids))
    rotary = (
        2 * ids.size(1) * shape["hidden_size"] // shape["num_attention_heads"]
    )  # once for the batch, not per token
    assert whole == ids.numel() * memory.saved_per_token(sizes, checkpointing=False) + rotary


def test_checkpointing_keeps_the_inputs_of_blocks(ids, tiny):
    """What is kept while none is recomputed; in backward one block's numbers come on top."""
    model, sizes = tiny()
    model.train().gradient_checkpointing_enable()
    kept = saved_numbers(model, lambda: model.model(ids))
    assert kept + ids.numel() * sizes.saved_per_layer == ids.numel() * memory.saved_per_token(
        sizes, checkpointing=True
    )


def test_states_and_gradients_of_a_step_in_float32(ids, tiny, planned):
    model, sizes = tiny()
    optimizer = torch.optim.AdamW(model.parameters())
    model(ids).logits.sum().backward()
    optimizer.step()
    work = replace(planned(gpus=4).work, gpus=1)
    moments = [t for state in optimizer.state.values() for key, t in state.items() if key != "step"]
    assert sum(t.nbytes for t in moments) == memory.states(sizes, work)["optimizer"]
    assert sum(p.nbytes for p in model.parameters()) == memory.states(sizes, work)["weights"]
    gradients = sum(p.grad.nbytes for p in model.parameters())
    assert gradients == memory.step(sizes, work)["gradients"]
