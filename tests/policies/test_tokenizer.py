import pytest

from aent.errors import InputError
from aent.policies.tokenizer import character_tokenizer


def test_vocabularies_hold_the_alphabet_and_filler():
    tokenizer = character_tokenizer("abc+", 32_768)
    assert len(tokenizer) == 32_768
    assert tokenizer("a+b").input_ids == [4, 3, 5]  # <pad> <eos> <unk> + a b c
    assert tokenizer("a?").input_ids == [4, tokenizer.unk_token_id]
    assert tokenizer.decode([4, 7, 5]) == "a<0>b"  # a filler token spoils an answer
    with pytest.raises(InputError, match=r"vocab_size=6 is too small.*4 characters.*at least 7"):
        character_tokenizer("abc+", 6)
