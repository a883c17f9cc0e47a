"""The version gate."""

from importlib.metadata import PackageNotFoundError

import pytest

from aent.verl import version


@pytest.mark.parametrize(
    ("installed", "fits"),
    [("0.9.1", True), ("0.9.2.dev0", True), ("0.9.0", False), ("0.10.0", False), ("1.9.1", False)],
)
def test_the_version_gate(installed, fits, monkeypatch):
    monkeypatch.setattr(version, "version", lambda name: installed)
    problem = version.unsupported()
    assert (problem is None) == fits
    assert fits or problem == f"aent needs verl>=0.9.1,<0.10; this is verl {installed}"


def test_without_verl(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(version, "version", absent)
    assert version.unsupported() == "aent needs verl>=0.9.1,<0.10, which is not installed"
