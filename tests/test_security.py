"""What the source must not contain: pickles, code from text, connections, trust in a model's own code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "aent"
FILES = sorted(SOURCE.rglob("*.py"))
RUNS_TEXT = {"eval", "exec", "compile", "os.system", "os.popen", "__import__"}
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE = {"yaml.unsafe_load", "yaml.full_load", "numpy.load", "np.load", "torch.jit.load"}
NETWORK = {"socket", "urllib", "requests", "httpx", "aiohttp", "http", "ftplib", "smtplib"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """All calls by the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield ast.unparse(node.func), node


def imports(tree: ast.AST) -> Iterator[str]:
    """The first part of every imported module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def faults(source: str) -> list[str]:
    """What a module contains that it must not."""
    tree = ast.parse(source)
    found = [f"imports {name}" for name in imports(tree) if name in PICKLES | NETWORK]
    for name, call in calls(tree):
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        if name in RUNS_TEXT | UNSAFE:
            found.append(name)
        if name == "torch.load" and ast.unparse(keywords.get("weights_only", call)) != "True":
            found.append("torch.load without weights_only=True")
        if ast.unparse(keywords.get("shell", call)) == "True":
            found.append(f"{name} with shell=True")
        if ast.unparse(keywords.get("trust_remote_code", call)) == "True":
            found.append(f"{name} with trust_remote_code=True")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_runs_no_text_reads_no_pickle_and_opens_no_connection(path):
    assert faults(path.read_text("utf-8")) == []


def test_the_loader_of_yaml_is_the_safe_one():
    import yaml

    from aent.spec import _Loader, read_yaml

    assert issubclass(_Loader, yaml.SafeLoader)
    with pytest.raises(yaml.YAMLError, match="python/object"):
        read_yaml("!!python/object/apply:os.system [true]")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", ["imports pickle"]),
        ("from urllib.request import urlopen", ["imports urllib"]),
        ("eval(answer)", ["eval"]),
        ("model.eval()", []),
        ("re.compile(pattern)", []),
        ("torch.load(file)", ["torch.load without weights_only=True"]),
        ("torch.load(file, weights_only=True)", []),
        ("subprocess.run(words, shell=True)", ["subprocess.run with shell=True"]),
        ("load(name, trust_remote_code=True)", ["load with trust_remote_code=True"]),
        ("load(name, trust_remote_code=chosen)", []),
    ],
)
def test_each_of_these_would_be_noticed(source, found):
    assert faults(source) == found
