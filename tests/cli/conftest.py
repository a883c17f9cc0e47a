"""Tiny policies made by the command line itself."""

import pytest

from aent.cli.main import main

SMALL = ["--hidden-size", "32", "--layers", "1", "--vocab-size", "64", "--batch-size", "32"]


@pytest.fixture(scope="session")
def policy(tmp_path_factory):
    """A policy for countdown, hardly trained."""
    folder = tmp_path_factory.mktemp("models") / "policy"
    assert main(["warmstart", "--output", str(folder), "--demonstrations", "256", *SMALL]) == 0
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
