import pytest

from aent.errors import InputError
from aent.policies.sampling import Sampling, encode, plan_batches


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0, "samples": 2}, "greedily, so 2 samples would all be the same"),
        ({"temperature": -1}, "temperature must be 0 .greedy. or positive, got -1"),
        ({"temperature": -1e-9}, "temperature must be 0"),
        ({"temperature": float("nan")}, "temperature must be .*got nan"),
        ({"temperature": float("inf")}, "temperature must be .*got inf"),
        ({"top_p": 0}, r"top_p must be in \(0, 1\]"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_p": float("nan")}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"samples": 0}, "samples"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"seed": -1}, "seed"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        Sampling(**settings)


def test_greedy_decoding_takes_one_sample():
    assert Sampling(temperature=0).samples == 1


def test_batches_hold_every_sample_of_every_prompt_in_order():
    assert plan_batches(2, Sampling(samples=3, batch_size=4)) == [
        [(0, 0), (0, 1), (0, 2), (1, 0)],
        [(1, 1), (1, 2)],
    ]
    assert plan_batches(0, Sampling()) == []


@pytest.mark.parametrize("prompt", ["1+\ud800", [{"role": "user", "content": "1+\ud800"}]])
def test_half_a_surrogate_pair_is_named(prompt, tokenizer):
    with pytest.raises(InputError, match=r"prompt '1\+\\ud800' has half of a surrogate pair at character 2"):
        encode(tokenizer, prompt)
    assert encode(tokenizer, "1+") == [3, 38]


def test_a_template_without_a_system_role_is_named(tokenizer):
    tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{{ messages[0].content }}{% if add_generation_prompt %}={% endif %}"
    )
    question = {"role": "user", "content": "1+"}
    assert encode(tokenizer, [question]) == [3, 38, 39]
    with pytest.raises(InputError, match=r"refuses a conversation of system, user: System role not supp"):
        encode(tokenizer, [{"role": "system", "content": "be brief"}, question])


@pytest.mark.parametrize(
    "prompt", [None, 3, ["a"], [{"role": "user"}], [{"role": "user", "content": None}]], ids=str
)
def test_what_is_no_prompt_is_named(prompt, tokenizer):
    with pytest.raises(InputError, match=r"the prompt .* is neither a text nor a list of messages"):
        encode(tokenizer, prompt)
