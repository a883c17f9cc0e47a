"""What the pages name exists: modules, files, commands with their flags, and identifiers.

Checked are the text in backticks and the shell blocks of every page, and the text in single backticks of the
docstrings in ``src/aent``. An identifier is known if the code uses it (in docstrings and comments it does not
count), if TRL has an option of that name, or if `FOREIGN` lists it.
"""

import ast
import contextlib
import dataclasses
import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from aent.cli.main import COMMANDS, main
from aent.evaluation import EvalConfig
from aent.methods.catalog import entry, factories
from aent.policies.warmstart import Warmstart
from aent.runs.recipe import recipe_names
from aent.tasks import TASKS
from aent.training.prepare import OWN, _flags, _host_parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = sorted((ROOT / "src/aent").rglob("*.py"))
FILES = {
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__"): path
    for path in MODULES
}
"""The files of the package by the name of their module."""
CODE = [path for folder in ("src", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")]
FOREIGN = {
    "reasoning-gym": "game_of_life_halting graph_color letter_counting mahjong_puzzle number_sequence "
    "polynomial_equations prime_factorization propositional_logic ransom_note rubiks_cube rush_hour "
    "shortest_path simple_equations spell_backward string_insertion word_ladder",
    "verl": "clip_ratio_c clip_ratio_low custom_reward_function gpu_memory_utilization grad_clip "
    "loss_agg_mode max_prompt_length max_response_length norm_adv_by_std_in_grpo ppo_epochs "
    "ppo_mini_batch_size test_freq total_epochs train_batch_size use_kl_in_reward use_kl_loss "
    "use_remove_padding warmup_style model_engine parameter_sync_step rollout_correction "
    "use_v1 TransferQueue main_ppo tensor_model_parallel_size pipeline_model_parallel_size",
    "transformers, PEFT and accelerate": "create_model_card decay_type lm_head modules_to_save "
    "num_decay_steps target_modules trainable_token_indices transformer_layer_cls_to_wrap",
    "vLLM and Liger": "tensor_parallel_size FusedLinearScaledCrossEntropy",
    "packages": "docstring_parser",
    "data sets": "math_500",
    "examples of the reader's own": "my_methods my_recipe my_tasks",
    "mathematics": "I",
}
"""Names of others that the pages mention, by owner."""
FOREIGN_NAMES = {name for names in FOREIGN.values() for name in names.split()}
NOT_MODULES = ("aent.head", "aent.json")
"""A setting in verl's configuration, and a file in verl's checkpoints."""
WRITTEN = ("benchmarks/speed/gpu.jsonl",)
"""Files that a command writes, so that they need not exist."""
WITH_RECIPE = ("train", "compare", "plan", "calibrate")
"""The commands that take a recipe and the flags of TRL."""
PLACEHOLDER = "any-trl-flag"
"""Stands for a flag in the usage of ``aent train``."""


def spans(text: str) -> Iterator[str]:
    """The code that a page quotes: in backticks, and the lines of shell blocks, continued ones joined."""
    for block in re.findall(r"^```(?:bash|sh|console)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield from re.sub(r"(\s|^)#.*", "", block.replace("\\\n", " ")).splitlines()
    for code in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)):
        yield " ".join(code.split())


def docstrings(path: Path) -> str:
    """All docstrings of a file, and those below assignments, without what stands in double backticks."""
    constants = (n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Expr))
    texts = (c.value for c in constants if isinstance(c, ast.Constant) and isinstance(c.value, str))
    return re.sub(r"``.+?``", "", "\n".join(texts), flags=re.DOTALL)


@cache
def words() -> frozenset[str]:
    """The identifiers that the code uses, and the words of its strings without spaces: keys, not messages."""
    known = set()
    for path in CODE:
        tree = ast.parse(path.read_text())
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) not in prose:
                texts = [value for _, value in ast.iter_fields(node) if isinstance(value, str)]
                known.update(word for text in texts if " " not in text for word in re.findall(r"\w+", text))
    recipes = "\n".join(path.read_text() for path in (ROOT / "src/aent/recipes").glob("*.yaml"))
    return frozenset(known | set(re.findall(r"\w+", recipes)) | host_flags())


@cache
def host_flags() -> frozenset[str]:
    """The options of TRL's trainers and of ours, for every algorithm."""
    parsers = map(_host_parser, ("grpo", "rloo", "ppo"))
    return frozenset(name for parser in parsers for name in _flags(parser))


@cache
def fields(section: str) -> frozenset[str]:
    """The fields that a section of a recipe may have."""
    if section == "method":
        return frozenset(name for method in factories() for name in entry(method).defaults)
    kinds = {"policy": [Warmstart], "evaluation": [EvalConfig], "task": TASKS.values()}[section]
    return frozenset(field.name for kind in kinds for field in dataclasses.fields(kind))


@cache
def help_text(command: str) -> str:
    """What ``aent COMMAND --help`` prints, of subcommands too."""
    calls = {"study": [["study", "mdp"], ["study", "theory"]]}.get(command, [[command]])
    printed = io.StringIO()
    for call in calls:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([*call, "--help"])
    return printed.getvalue()


def wrong_modules(code: str) -> Iterator[str]:
    """Dotted names of aent that lead nowhere. Nothing is imported, as verl need not be installed."""
    names = re.findall(r"(?<![\w./-])aent(?:\.\w+)+", code)
    return (name for name in names if name not in NOT_MODULES and not exists(name))


def exists(name: str) -> bool:
    """Whether a dotted name is a module of aent, or is defined or imported in one; one level into classes."""
    parts = name.split(".")
    split = next(i for i in range(len(parts), 0, -1) if ".".join(parts[:i]) in FILES)
    if split == len(parts):
        return True
    attribute, *member = parts[split:]
    for node in ast.walk(ast.parse(FILES[".".join(parts[:split])].read_text())):
        if isinstance(node, ast.ImportFrom) and attribute in {a.asname or a.name for a in node.names}:
            return not member or exists(".".join((str(node.module), attribute, *member)))
        if isinstance(node, ast.ClassDef) and node.name == attribute:
            return not member or any(_names(inner) >= {*member} for inner in node.body)
        if attribute in _names(node) and not member:
            return True
    return False


def _names(node: ast.AST) -> set[str]:
    """What a definition or an assignment calls its target."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def wrong_paths(code: str) -> Iterator[str]:
    """Paths into the repository that lead nowhere; wildcards and those of the package itself work too."""
    rooms = "|".join(path.name for path in (ROOT / "src/aent").iterdir() if path.is_dir())
    paths = re.findall(r"(?<![\w./*-])(?:src|tests|benchmarks|examples|docs)/[\w./*-]*", code)
    paths += re.findall(rf"(?<![\w./*-])(?:{rooms})/[\w./*-]*\.py", code)
    for path in paths:
        exists_in = (folder for folder in (ROOT, ROOT / "src/aent") if any(folder.glob(path.rstrip("/."))))
        if path not in WRITTEN and not any(exists_in):
            yield path


def wrong_commands(code: str) -> Iterator[str]:
    """Commands and flags that do not exist, of aent and of the scripts in the repository."""
    typed = re.sub(r"python (?:benchmarks|examples)/.*", "", code)  # their arguments may be called aent
    for command, rest in re.findall(r"(?:^|\s)(?:aent|aent\.cli\.main) ([a-z-]+)((?: [^;|&]*)?)", typed):
        if command not in COMMANDS:
            yield f"aent {command}"
            continue
        yield from (f"aent {command} {flag}" for flag in wrong_flags(command, rest))
        recipe = re.match(r" ([a-z][\w-]*)(?: |$)", rest)
        if command in WITH_RECIPE and recipe and recipe[1] not in recipe_names():
            yield f"aent {command} {recipe[1]}"
    for script, rest in re.findall(r"python ((?:benchmarks|examples)/\S+\.py)([^;|&]*)", code):
        source = (ROOT / script).read_text() if (ROOT / script).exists() else ""
        flags = re.findall(r"--[a-z][\w-]*", rest)
        yield from (f"{script} {flag}" for flag in flags if f'"{flag}"' not in source)


def wrong_flags(command: str, rest: str) -> Iterator[str]:
    """The flags in `rest` that a command of aent does not take. Placeholders in capitals are skipped."""
    for flag, field in re.findall(r"--([a-z][\w-]*)(?:\.(\w+))?", rest):
        if flag == PLACEHOLDER:
            continue
        section = flag in ("method", "task", "policy", "evaluation")
        if field and not field.isupper() and not (section and field in fields(flag)):
            yield f"--{flag}.{field}"
        elif command in WITH_RECIPE and flag.replace("-", "_") in host_flags() | {*OWN}:
            continue
        elif not re.search(rf"--{flag}\b", help_text(command)):
            yield f"--{flag}"


def wrong_identifiers(code: str) -> Iterator[str]:
    """Identifiers that neither the code uses nor TRL: words with an underscore or two capitals, and calls."""
    if "/" in code:
        return
    marked = r"\b(?:[A-Za-z]\w*_\w*[a-z0-9]|[A-Z][a-z0-9]+[A-Z]\w*|[A-Za-z_]\w*(?=\())\b"
    for name in re.findall(marked, code):
        if name not in words() | FOREIGN_NAMES:
            yield name


CHECKS = (wrong_modules, wrong_paths, wrong_commands, wrong_identifiers)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_on_pages_exist(page: Path) -> None:
    codes = list(spans(page.read_text()))
    wrong = [name for code in codes for check in CHECKS for name in check(code)]
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src/aent")))
def test_names_in_docstrings_exist(path: Path) -> None:
    codes = list(spans(docstrings(path)))
    wrong = [name for code in codes for check in CHECKS for name in check(code)]
    assert not wrong


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("aent.ops.nothing_here", "aent.ops.nothing_here"),
        ("aent.method.Tokens.nothing_here", "aent.method.Tokens.nothing_here"),
        ("aent.Tokens.nothing_here", "aent.Tokens.nothing_here"),
        ("aent.nothing_here.Tokens", "aent.nothing_here.Tokens"),
        ("src/aent/nothing_here.py", "src/aent/nothing_here.py"),
        ("ops/nothing_here.py", "ops/nothing_here.py"),
        ("python benchmarks/nothing_here.py", "benchmarks/nothing_here.py"),
        ("python benchmarks/speed/step.py --nothing-here 3", "benchmarks/speed/step.py --nothing-here"),
        ("aent trian", "aent trian"),
        ("aent train contdown", "aent train contdown"),
        ("aent train countdown --nothing_here 3", "aent train --nothing_here"),
        ("aent train --method.nothing_here 3", "aent train --method.nothing_here"),
        ("aent train --nothing.low 3", "aent train --nothing.low"),
        ("aent eval --model M --learning_rate 3", "aent eval --learning_rate"),
        ("nothing_here", "nothing_here"),
        ("NothingHere", "NothingHere"),
        ("no_such_call()", "no_such_call"),
    ],
)
def test_a_wrong_name_is_found(code: str, wrong: str) -> None:
    assert wrong in [name for check in CHECKS for name in check(code)]


@pytest.mark.parametrize(
    "code",
    [
        "aent.method.Tokens.solved",
        "aent.Tokens.solved",
        "aent.token_stats",
        "aent.evaluation.suite.Suite.open",
        "aent.ops.backends",
        "tests/*.py",
        "accelerate launch -m aent.cli.main train gsm8k --output_dir runs/mine",
        "aent train [RECIPE] [--any-trl-flag]",
        "aent compare RECIPE --methods none,aent --evaluation.problems 50 --task.FIELD VALUE",
        "aent eval --model M --task.steps 4 --samples 16",
        "aent study mdp --full",
        "Fraction(drop=p)",
        "use_cpu=True",
    ],
)
def test_a_right_name_passes(code: str) -> None:
    assert not [name for check in CHECKS for name in check(code)]


def test_both_forms_of_code_on_a_page_are_read() -> None:
    block = "aent train \\\n  --seed 3  # a seed\n```"
    page = f"Some `in\nline`.\n\n```bash\n{block}\n\n```console\n{block}\n\n```python\nno = 1\n```\n"
    line = ["aent", "train", "--seed", "3"]
    assert [code.split() for code in spans(page)] == [line, line, ["in", "line"]]
