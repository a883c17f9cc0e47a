"""The documentation site builds without a warning, holds every page, and loads nothing from elsewhere."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -e '.[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does, without the address of a repository."""
    folder = tmp_path_factory.mktemp("site")
    environment = {k: v for k, v in os.environ.items() if k != "AENT_REPOSITORY"} | {
        "NO_MKDOCS_2_WARNING": "1"
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not re.search("WARNING|ERROR", done.stderr), done.stderr
    return folder


def test_every_page_is_built_and_searchable(site):
    index = json.loads((site / "search/search_index.json").read_text())
    searchable = {entry["location"].partition("#")[0] for entry in index["docs"]}
    for page in PAGES:
        assert (site / f"{page.stem}.html").exists()
        assert f"{page.stem}.html" in searchable or page.stem == "index"


def test_a_page_loads_nothing_from_elsewhere(site):
    scripts = r"<(?:script|img|iframe|source)[^>]* src=\"(?:https?:)?//"
    styles = r"<link[^>]* rel=\"stylesheet\" href=\"(?:https?:)?//"
    loading = f"{scripts}|{styles}"
    assert not [page.name for page in site.glob("*.html") if re.search(loading, page.read_text())]


def test_the_reference_has_formulas_shapes_and_errors_from_the_docstrings(site):
    page = re.sub(r"<[^>]+>", "", (site / "api.html").read_text())
    for part in (
        "coef - lr * (min(0, H - low) + max(0, H - high))",
        "nats per token",
        "Raises",
        "InputError",
    ):
        assert part in page


def test_links_out_of_the_pages_need_the_address_of_a_repository(site):
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("hooks", ROOT / "docs/hooks.py")
    hooks = module_from_spec(spec)
    spec.loader.exec_module(hooks)
    line = "see [the loop](../examples/own_loop.py) and [trl](trl.md)"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AENT_REPOSITORY", raising=False)
        assert hooks.on_page_markdown(line) == "see the loop and [trl](trl.md)"
        patch.setenv("AENT_REPOSITORY", "https://example.org/aent")
        linked = "[the loop](https://example.org/aent/blob/main/examples/own_loop.py)"
        assert hooks.on_page_markdown(line) == f"see {linked} and [trl](trl.md)"
