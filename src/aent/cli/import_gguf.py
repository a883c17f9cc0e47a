"""``aent import-gguf``: a model in GGUF format as a transformers folder."""

import os
from collections.abc import Sequence
from pathlib import Path

HELP = """\
usage: aent import-gguf FILE FOLDER

Write the model in FILE (GGUF format) as an ordinary transformers folder, in float32: weights, tokenizer,
chat template and special tokens. Everything is checked against the metadata of the file, and a file with a
feature that cannot be carried over with certainty is refused. Needs the package gguf: pip install gguf.
"""


def main(argv: Sequence[str]) -> int:
    """Import the file and say what it holds."""
    if "-h" in argv or "--help" in argv or len(argv) != 2:
        print(HELP, end="")
        return 0 if "-h" in argv or "--help" in argv else 2
    os.environ.setdefault("TQDM_DISABLE", "1")
    from aent.policies.gguf import import_gguf
    from aent.progress import hush

    hush()
    imported = import_gguf(*map(Path, argv))
    chat = "has a chat template" if imported.chat else "has no chat template: prompt it with plain text"
    print(
        f"{imported.folder}: {imported.parameters:,} parameters in float32; {chat}; answers end with "
        f"{imported.end}\nperplexity of an English sentence: {imported.perplexity:.2f} (above 100, this is "
        "not the model it should be, or it does not speak English)"
    )
    return 0
