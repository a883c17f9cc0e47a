import pytest

from aent.planning.constants import CONFIGS
from aent.planning.model import count, load_config


@pytest.mark.parametrize(
    ("name", "published"),  # on the models' cards, in billions
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", 0.49),
        ("Qwen/Qwen2.5-Math-1.5B", 1.54),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 1.78),
        ("Qwen/Qwen2.5-Math-7B", 7.62),
    ],
)
def test_parameters_of_the_recipes_models(name, published):
    """By hand: a block has q, k, v with biases, o, three of the MLP and two norms; one norm at the end."""
    sizes = count(load_config(name))
    given = CONFIGS[name]
    d, i, layers = given["hidden_size"], given["intermediate_size"], given["num_hidden_layers"]
    kv = given["num_key_value_heads"] * d // given["num_attention_heads"]
    linear = 2 * d * d + 2 * d * kv + 3 * d * i
    tables = (1 if given["tie_word_embeddings"] else 2) * given["vocab_size"] * d
    assert sizes.layer == linear
    assert sizes.embeddings == tables
    assert sizes.parameters == layers * (linear + d + 2 * kv + 2 * d) + d + tables
    assert round(sizes.parameters / 1e9, 2) == published
