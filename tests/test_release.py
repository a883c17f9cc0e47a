"""What a wheel says about itself, and that the version lives in one place."""

import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import aent

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def hook(monkeypatch):
    """hatch_build.py, with a stand-in for the base class if hatchling is not installed."""
    for name in ("hatchling", "hatchling.metadata", "hatchling.metadata.plugin"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    interface = ModuleType("hatchling.metadata.plugin.interface")
    interface.MetadataHookInterface = object
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    namespace = {"__name__": "hatch_build"}
    exec((ROOT / "hatch_build.py").read_text(), namespace)
    return namespace


def test_links_of_the_readme_point_into_the_repository_or_are_plain_text(hook):
    text = "![a picture](docs/a.png) [0.92 [0.84, 0.99]](docs/r.md#x) [site](https://example.org) [up](#top)"
    url = "https://example.org/aent"
    assert hook["linked"](text, url) == (
        f"![a picture]({url}/raw/main/docs/a.png) [0.92 [0.84, 0.99]]({url}/blob/main/docs/r.md#x) "
        "[site](https://example.org) [up](#top)"
    )
    assert hook["linked"](text, "") == " 0.92 [0.84, 0.99] [site](https://example.org) [up](#top)"


@pytest.mark.parametrize("repository", ["", "https://example.org/aent/"])
def test_no_relative_link_is_left_in_a_wheel(hook, monkeypatch, repository):
    monkeypatch.setenv("AENT_REPOSITORY", repository)
    build = hook["CustomMetadataHook"]()
    build.root = str(ROOT)
    metadata = {}
    build.update(metadata)
    links = re.findall(r"\]\(([^)\s]+)\)", metadata["readme"]["text"])
    assert links
    assert all(re.match(r"https?:", link) for link in links)
    assert ("Source" in metadata["urls"]) == bool(repository)
    assert {*metadata} <= {*PROJECT["dynamic"]}


def test_the_version_lives_in_the_package_and_is_cited():
    assert "version" not in PROJECT
    assert "version" in PROJECT["dynamic"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == aent.__version__
    assert f"## [{aent.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_first_screen_of_the_readme_is_short():
    first, _, _ = (ROOT / "README.md").read_text().partition("## What it does")
    assert len(first.split()) < 600


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_workflows_and_templates_are_yaml_and_name_files_that_exist(path):
    text = path.read_text()
    assert yaml.safe_load(text)
    for name in re.findall(r"(?<![\w./-])(?:benchmarks|src|\.ci)/[\w./-]+", text):
        assert (ROOT / name).exists(), name
