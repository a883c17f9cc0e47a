"""What the recipes of the paper name, tiny and local: models of their architecture, rows in their columns."""

import json
import string
from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from aent.policies.tokenizer import character_tokenizer

# The form of the chat templates: ChatML with a system turn put first where there is none, and DeepSeek's
# turns without line breaks, whose answer begins inside <think>
QWEN = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nBe right.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'user' %}<｜User｜>{{ m.content }}"
    "{% elif m.role == 'assistant' %}<｜Assistant｜>{{ m.content.split('</think>')[-1] }}{{ eos_token }}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)
FORMS = {
    "qwen": (QWEN, ["<|im_start|>", "<|im_end|>"]),
    "deepseek": (
        DEEPSEEK,
        ["<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"],
    ),
}
MODELS = {  # form of the template, and what the real configurations have: tied output layer or not
    "paper-math": ("qwen", {"tie_word_embeddings": True}),
    "paper-openr1": ("deepseek", {"tie_word_embeddings": False}),
    "paper-deepmath": ("qwen", {"tie_word_embeddings": False}),
    "gsm8k-lora": ("qwen", {"tie_word_embeddings": True}),
}
COLUMNS = {  # question, answer, and others that the real data sets have
    "paper-math": ("problem", "solution", {"level": "Level 5", "type": "Algebra"}),
    "paper-openr1": ("problem", "answer", {"solution": "Add.", "uuid": "0", "source": "olympiads"}),
    "paper-deepmath": ("question", "final_answer", {"difficulty": 5.0, "topic": "Algebra"}),
    "gsm8k-lora": ("question", "answer", {}),
}


def save_model(recipe: str, folder: Path) -> None:
    """Write an untrained Qwen2 with a tokenizer per character and the recipe's form of chat template."""
    form, shape = MODELS[recipe]
    template, special = FORMS[form]
    tokenizer = character_tokenizer(string.printable, 128)
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    if form == "deepseek":
        tokenizer.bos_token = special[0]
    tokenizer.chat_template = template
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=144, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, initializer_range=0.2,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, **shape,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def save_rows(recipe: str, folder: Path) -> None:
    """Write train.jsonl and test.jsonl in the columns of the recipe's data set."""
    question, answer, others = COLUMNS[recipe]
    boxed = recipe == "paper-math"  # the only one whose answer column is a solution
    for split, numbers in (("train", range(24)), ("test", range(30, 34))):
        rows = [
            {question: f"What is {n}+1?", answer: f"It is $\\boxed{{{n + 1}}}$." if boxed else f"{n + 1}"}
            for n in numbers
        ]
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps({**row, **others}) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text)


def flags(recipe: str, folder: Path) -> list[str]:
    """Flags that shrink a recipe to what a CPU does in seconds; four optimizer steps per batch stay four."""
    local = ["--model_name_or_path", str(folder / "model"), "--task.path", str(folder),
             "--task.train", "train.jsonl", "--task.test", "test.jsonl"]  # fmt: skip
    small = ["--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "1",
             "--num_generations", "4", "--max_completion_length", "8", "--logging_steps", "1",
             "--use_vllm", "false"]  # fmt: skip
    if not recipe.startswith("paper-"):
        return [*local, *small, "--evaluation", "null"]
    evaluation = ["--eval_steps", "8", "--num_generations_eval", "2", "--per_device_eval_batch_size", "4"]
    return [*local, *small, "--steps_per_generation", "4", *evaluation]


def prepare(recipe: str, folder: Path) -> list[str]:
    """Write model and rows; return the flags."""
    save_rows(recipe, folder)
    save_model(recipe, folder / "model")
    return flags(recipe, folder)
