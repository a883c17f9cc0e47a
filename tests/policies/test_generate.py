import math

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from aent.errors import InputError
from aent.policies.generate import generate, token_texts
from aent.policies.sampling import Sampling

PROMPTS = ["1+1=", "abcdefgh12345=", "7"]


def test_a_seed_fixes_the_answers(model, tokenizer):
    draw = {"samples": 4, "max_tokens": 8, "batch_size": 5}
    first = generate(model, tokenizer, PROMPTS, Sampling(seed=1, **draw))
    torch.manual_seed(99)
    assert generate(model, tokenizer, PROMPTS, Sampling(seed=1, **draw)) == first
    assert generate(model, tokenizer, PROMPTS, Sampling(seed=2, **draw)) != first
    assert [(a.problem, a.sample) for a in first] == [(p, s) for p in range(3) for s in range(4)]
    assert len({tuple(answer.tokens) for answer in first}) > 6


def test_every_batch_draws_anew(model, tokenizer):
    found = generate(model, tokenizer, ["1+1="], Sampling(samples=8, max_tokens=8, batch_size=2))
    assert len({tuple(answer.tokens) for answer in found}) > 4


def test_the_caller_keeps_its_random_state_and_the_model_its_settings(model, tokenizer):
    model.train()
    model.model.layers[0].eval()
    model.config.use_cache = False
    model.generation_config.top_k = 3
    settings = model.generation_config.to_dict()
    state = torch.get_rng_state()
    generate(model, tokenizer, PROMPTS, Sampling(max_tokens=4))
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert model.model.layers[1].training
    assert not model.model.layers[0].training
    assert not model.config.use_cache
    assert model.generation_config.to_dict() == settings


def test_the_model_is_left_as_found_after_an_error(model, tokenizer):
    model.train()
    settings = model.generation_config.to_dict()

    def interrupt(done, due):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(model, tokenizer, PROMPTS, Sampling(max_tokens=2), progress=interrupt)
    assert model.training
    assert model.generation_config.to_dict() == settings


def test_settings_that_came_with_the_model_do_not_apply(model, tokenizer):
    plain = generate(model, tokenizer, PROMPTS, Sampling(samples=4, max_tokens=8))
    model.generation_config.update(
        top_k=1, repetition_penalty=9.0, min_p=0.5, temperature=0.1, suppress_tokens=[5, 6, 7]
    )
    assert generate(model, tokenizer, PROMPTS, Sampling(samples=4, max_tokens=8)) == plain


def test_greedy_is_the_likeliest_token_and_does_not_depend_on_the_batch(model, tokenizer):
    alone = generate(model, tokenizer, PROMPTS, Sampling(temperature=0, max_tokens=8, batch_size=1))
    together = generate(model, tokenizer, PROMPTS, Sampling(temperature=0, max_tokens=8, batch_size=3))
    assert [a.tokens for a in alone] == [a.tokens for a in together]
    for one, other in zip(alone, together, strict=True):
        assert one.entropy == pytest.approx(other.entropy, abs=1e-4)
        logits = _logits(model, tokenizer, one)
        assert logits.argmax(-1).tolist() == one.tokens
    top = generate(model, tokenizer, PROMPTS, Sampling(top_k=1, max_tokens=8))
    assert [a.tokens for a in top] == [a.tokens for a in alone]


@pytest.mark.parametrize(("temperature", "top_p", "top_k"), [(1, 1, 0), (0.7, 1, 0), (2, 0.5, 5)])
def test_entropy_agrees_with_each_answer_on_its_own(model, tokenizer, temperature, top_p, top_k):
    sampling = Sampling(samples=3, max_tokens=10, temperature=temperature, top_p=top_p, top_k=top_k)
    found = generate(model, tokenizer, PROMPTS, sampling)
    for answer in found:
        policy = torch.distributions.Categorical(logits=_logits(model, tokenizer, answer) / temperature)
        assert answer.entropy == pytest.approx(policy.entropy().tolist(), abs=1e-4)
    entropies = [nats for answer in found for nats in answer.entropy]
    assert max(entropies) - min(entropies) > 0.2  # the agreement above says something
    assert max(entropies) <= math.log(40)


def test_tokens_are_drawn_from_the_policy(model, tokenizer):
    found = generate(model, tokenizer, ["1+1="], Sampling(samples=3000, max_tokens=1, temperature=1.5))
    counts = torch.bincount(torch.tensor([a.tokens[0] for a in found]), minlength=40)
    due = (_logits(model, tokenizer, found[0])[0] / 1.5).softmax(-1)
    # Standard deviation of a frequency is at most 0.5 / sqrt(3000) = 0.009.
    assert (counts / 3000 - due).abs().max() < 0.036


def test_an_answer_ends_with_its_first_end_token(model, tokenizer):
    model.generation_config.eos_token_id = [5, 6]  # besides the tokenizer's own, 1
    found = generate(model, tokenizer, PROMPTS, Sampling(samples=40, max_tokens=30))
    ends = {answer.tokens[-1] for answer in found if len(answer.tokens) < 30}
    assert ends == {1, 5, 6}
    for answer in found:
        assert not {1, 5, 6} & set(answer.tokens[:-1])
        assert len(answer.entropy) == len(answer.tokens)
        assert answer.completion == tokenizer.decode(answer.tokens, skip_special_tokens=True)
        assert "<end>" not in answer.completion


def test_without_an_end_token_answers_have_full_length(model, tokenizer):
    model.generation_config.eos_token_id = None
    model.config.eos_token_id = None
    tokenizer.eos_token = None
    found = generate(model, tokenizer, PROMPTS, Sampling(samples=20, max_tokens=20))
    assert {len(answer.tokens) for answer in found} == {20}
    assert any(1 in answer.tokens[:-1] for answer in found)


def test_a_tokenizer_needs_no_padding_token(model, tokenizer):
    due = generate(model, tokenizer, PROMPTS, Sampling(temperature=0, max_tokens=6))
    tokenizer.pad_token = None
    assert generate(model, tokenizer, PROMPTS, Sampling(temperature=0, max_tokens=6)) == due


def test_conversations_go_through_the_chat_template(model, tokenizer):
    chats = [[{"role": "user", "content": text}] for text in ("1+1", "abc")]
    talked = generate(model, tokenizer, chats, Sampling(samples=2, max_tokens=6))
    assert talked == generate(model, tokenizer, ["1+1=", "abc="], Sampling(samples=2, max_tokens=6))


def test_a_conversation_without_a_template_is_refused(model, tokenizer):
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="chat template"):
        generate(model, tokenizer, [[{"role": "user", "content": "1"}]])


def trained(pre_tokenizer, decoder, alphabet):
    """A tokenizer of few tokens, so that words and even characters are cut up."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizer, decoder
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + 4, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(["the cat the dog"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core)


def test_the_texts_of_tokens_put_together_are_the_text():
    byte_level = trained(
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
        pre_tokenizers.ByteLevel.alphabet(),
    )
    ids = byte_level("the né 中the")["input_ids"]
    texts = token_texts(byte_level, ids)
    assert "".join(texts) == "the né 中the"
    # é is two bytes and 中 three: each stands at its last, and what comes before adds nothing.
    assert texts[texts.index("é") - 1] == ""
    assert texts[texts.index("中") - 2 :][:3] == ["", "", "中"]
    words = trained(pre_tokenizers.Metaspace(), decoders.Metaspace(), list("▁thecatdog"))
    texts = token_texts(words, words("the cat the dog " * 4)["input_ids"])
    assert "".join(texts).rstrip() == "the cat the dog the cat the dog the cat the dog the cat the dog"
    assert any(text.startswith(" ") for text in texts)  # decoded alone, it would have lost that space


def test_progress_counts_answers(model, tokenizer):
    seen = []
    sampling = Sampling(samples=2, max_tokens=2, batch_size=4)
    generate(model, tokenizer, PROMPTS, sampling, progress=lambda done, due: seen.append((done, due)))
    assert seen == [(4, 6), (6, 6)]


@pytest.mark.parametrize(
    ("prompts", "max_tokens", "message"),
    [
        (["1", ""], 4, "prompt 1 has no tokens"),
        (["1", "1" * 60], 5, "prompt 1 has 60 tokens.*context of 64"),
    ],
)
def test_prompts_that_are_empty_or_too_long_are_refused(model, tokenizer, prompts, max_tokens, message):
    with pytest.raises(InputError, match=message):
        generate(model, tokenizer, prompts, Sampling(max_tokens=max_tokens))


def _logits(model, tokenizer, answer):
    """The logits at each token of an answer, from one unpadded forward pass."""
    prompt = tokenizer(PROMPTS[answer.problem])["input_ids"]
    model.eval()
    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer.tokens])).logits[0]
    return logits[len(prompt) - 1 : -1]


def test_a_watch_sees_every_token_with_the_logits_it_was_drawn_from(model, tokenizer):
    """Once each, in order, before temperature and top-k; and the answers are the same as without it."""
    sampling = Sampling(samples=3, temperature=0.6, top_k=9, max_tokens=12, batch_size=4, seed=2)
    seen = {}

    def watch(places, logits, tokens):
        for place, row, token in zip(places, logits, tokens.tolist(), strict=True):
            seen.setdefault(place, []).append((row, token))

    answers = generate(model, tokenizer, PROMPTS, sampling, watch=watch)
    assert answers == generate(model, tokenizer, PROMPTS, sampling)
    assert any(len(answer.tokens) < 12 for answer in answers)
    for answer in answers:
        rows, tokens = zip(*seen[answer.problem, answer.sample], strict=True)
        assert list(tokens) == answer.tokens
        p = (torch.stack(rows) / 0.6).softmax(-1)
        assert torch.special.entr(p).sum(-1).tolist() == pytest.approx(answer.entropy, rel=1e-4)
