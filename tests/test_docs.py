"""The pages tell the truth: their Python runs, their recipes load, their relative links exist.

All ``python`` blocks of a page run in order, in one namespace, in a folder that holds what they name:
a tiny random model under the id of a real one, and a few problems in GSM8K's format. Training runs on the CPU
and stops after two steps. Mark a block that only quotes code as ``py`` instead.
"""

import json
import re
import string
from pathlib import Path

import pytest
import transformers
import yaml

from aent.methods.load import load_method
from aent.policies.tokenizer import character_tokenizer
from aent.policies.warmstart import Warmstart, small_model
from aent.runs.recipe import load_recipe
from aent.tasks import load_task

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

MODEL = "Qwen/Qwen2.5-0.5B-Instruct"
CHAT = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
ROWS = {
    "train": [("What is 1 + 2?", "#### 3"), ("What is 4 * 5?", "4 * 5 = 20\n#### 20"), ("7 - 2?", "#### 5")],
    "test": [("What is 2 + 2?", "#### 4"), ("What is 3 * 5?", "#### 15")],
}


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    """A folder with everything that a page may refer to."""
    folder = tmp_path_factory.mktemp("docs")
    tokenizer = character_tokenizer(string.printable, 128)
    tokenizer.chat_template = CHAT
    policy = small_model(Warmstart(vocab_size=128, hidden_size=16, layers=1, heads=2), tokenizer)
    for part in (policy, tokenizer):
        part.save_pretrained(folder / MODEL)
    for split, rows in ROWS.items():
        text = "".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows)
        for place in (folder / f"{split}.jsonl", folder / "openai/gsm8k" / split / "rows.jsonl"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    return folder


def make_short_and_local(monkeypatch):
    """Restrict training to the CPU and to two steps."""
    check = transformers.TrainingArguments.__post_init__

    def on_the_cpu(args):
        args.use_cpu, args.disable_tqdm = True, True
        check(args)

    usual = transformers.trainer.DEFAULT_CALLBACKS
    monkeypatch.setattr(transformers.trainer, "DEFAULT_CALLBACKS", [*usual, TwoSteps])
    monkeypatch.setattr(transformers.TrainingArguments, "__post_init__", on_the_cpu)


class TwoSteps(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        control.should_training_stop = state.global_step >= 2


def blocks(page, language):
    """The fenced blocks of a language, padded with empty lines so that line numbers are those of the page."""
    text = page.read_text()
    matches = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return ["\n" * text.count("\n", 0, match.start(1)) + match[1] for match in matches]


@EACH_PAGE
def test_python_runs(page, surroundings, monkeypatch):
    monkeypatch.chdir(surroundings)
    monkeypatch.syspath_prepend(str(surroundings))
    make_short_and_local(monkeypatch)
    namespace = {"__name__": "page"}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), namespace)


@EACH_PAGE
def test_recipes_load(page, tmp_path):
    for number, block in enumerate(blocks(page, "yaml")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        recipe = load_recipe(str(file))
        load_method(recipe.method)
        load_task(recipe.task)


@EACH_PAGE
def test_relative_links_exist(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text)
    targets = [(one or other).partition("#")[0] for one, other in links]
    relative = [t for t in targets if t and not re.match(r"[a-z]+:", t)]
    missing = [t for t in relative if not (page.parent / t).exists()]
    assert not missing


def headings(page):
    """The anchors of a page's headings, as GitHub forms them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@EACH_PAGE
def test_linked_sections_exist(page):
    links = re.findall(r"\]\(([^)\s:]*\.md|)#([^)\s]+)\)", page.read_text())
    wrong = [f"{to}#{part}" for to, part in links if part not in headings(page.parent / to if to else page)]
    assert not wrong


def test_which_method_quotes_only_intervals_of_the_results():
    def intervals(name):
        text = re.sub(r"\b0\.", ".", (ROOT / "docs" / name).read_text())
        return set(re.findall(r"[+-]?\.\d+ \[[+-]?\.\d+, [+-]?\.\d+\]", text))

    quoted = intervals("which-method.md")
    assert len(quoted) >= 10
    assert not quoted - intervals("evidence.md")


def test_nothing_says_to_install_aent_from_an_index():
    """It is not published: the form that works is ``pip install -e '.[...]'`` in a clone."""
    examples = [file for file in (ROOT / "examples").rglob("*.*") if file.suffix != ".pyc"]
    files = [*PAGES, *(ROOT / "src/aent").rglob("*.py"), *examples]
    assert not [file.name for file in files if re.search(r"pip install [^`\n]*\baent\b", file.read_text())]


def test_the_first_published_setting_is_the_default_method():
    first, *_ = blocks(ROOT / "docs/method.md", "yaml")
    assert load_method(yaml.safe_load(first)["method"]) == load_method("aent")
