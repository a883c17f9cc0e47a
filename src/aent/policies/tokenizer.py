"""A character tokenizer with a vocabulary of any size."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aent.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = ("<pad>", "<eos>", "<unk>")


def character_tokenizer(alphabet: Iterable[str], vocab_size: int) -> "PreTrainedTokenizerFast":
    """Return a tokenizer with one token per character and filler tokens up to `vocab_size`.

    No input text ever becomes a filler token (``<0>``, ``<1>``, ...), but a policy can sample them: they are
    the useless part of the action space on which the AEnt paper's argument rests.

    Raises:
        InputError: if `vocab_size` is too small for the alphabet and three special tokens.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    useful = [*SPECIAL, *sorted(set(alphabet))]
    if vocab_size < len(useful):
        raise InputError(
            f"vocab_size={vocab_size} is too small: this task's text uses {len(useful) - len(SPECIAL)} "
            f"characters beside {len(SPECIAL)} special tokens; give at least {len(useful)}"
        )
    tokens = useful + [f"<{i}>" for i in range(vocab_size - len(useful))]
    core = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
