"""The entry point: found by verl, lazy, and silent where it has nothing to do."""

import logging
import os
import subprocess
import sys

from aent.verl import plugin

THIN = {"aent", "aent.verl", "aent.verl.plugin", "aent.verl.trainers", "aent.verl.version"}


def fresh(code, **environment):
    """What a new Python prints."""
    environment = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


LOADED = "print('LOADED', *sorted(m for m in sys.modules if m.partition('.')[0] == 'aent'))"


def test_verl_finds_the_plugin_and_a_plain_run_loads_nothing_else():
    lines = fresh(
        "import sys, verl, verl.workers.engine_workers\n"
        + LOADED
        + "\nfrom verl.trainer.ppo.v1 import get_trainer_cls\n"
        + LOADED
        + "\nfor mode in ('sync', 'colocate_async', 'separate_async'):"
        "\n    cls = get_trainer_cls('aent_' + mode)"
        "\n    assert issubclass(cls, get_trainer_cls(mode)), mode"
        "\nprint('REGISTERED')"
    )
    worker, driver = (set(line.split()[1:]) for line in lines.splitlines() if line.startswith("LOADED"))
    assert worker == THIN - {"aent.verl.trainers"}
    assert driver == THIN
    assert "REGISTERED" in lines


def test_without_the_plugin_verl_does_not_know_our_trainers():
    code = "from verl.trainer.ppo.v1 import get_trainer_cls\ntry: get_trainer_cls('aent_sync')\n"
    code += "except ValueError as error: print(error)"
    assert "Unknown trainer 'aent_sync'" in fresh(code, VERL_USE_EXTERNAL_PLUGINS="cpu")


def test_another_verl_is_a_warning_and_never_an_exception(monkeypatch, caplog):
    monkeypatch.setattr(plugin, "unsupported", lambda: "aent needs another verl")
    with caplog.at_level(logging.WARNING, logger="aent"):
        plugin.register()
    assert "aent needs another verl; its trainers are not registered" in caplog.text


def test_a_verl_in_which_something_moved_is_a_warning_too(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "aent.verl.trainers", None)  # importing it raises ImportError
    with caplog.at_level(logging.WARNING, logger="aent"):
        plugin.register()
    assert "this verl is not one that aent knows: import of aent.verl.trainers halted" in caplog.text


def test_it_waits_once(monkeypatch):
    monkeypatch.delitem(sys.modules, plugin.TRAINERS, raising=False)
    monkeypatch.setattr(sys, "meta_path", [])
    plugin.wait()
    plugin.wait()
    assert len(sys.meta_path) == 1
    assert sys.meta_path[0].find_spec("verl.trainer") is None
