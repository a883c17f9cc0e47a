"""benchmarks/evidence/evidence.py: the settings it chooses and the tables it prints, from runs on disk."""

import importlib.util
import json
from pathlib import Path

import pytest
import yaml

SOURCE = Path(__file__).parents[3] / "benchmarks/evidence/evidence.py"


@pytest.fixture
def evidence(tmp_path, monkeypatch):
    """The script, with a folder of its own: two development recipes, none of ours."""
    spec = importlib.util.spec_from_file_location("evidence", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("results.jsonl", "candidates.yaml", "settings.yaml"):
        monkeypatch.setattr(module, name.partition(".")[0].upper(), tmp_path / name)
    monkeypatch.setattr(module, "HERE", tmp_path)
    for name in ("dev-a", "dev-b"):
        (tmp_path / f"{name}.yaml").write_text("algorithm: grpo\n")
    return module


def row(stage, recipe, label, seed, correct, entropy=0.5):
    """A run: as many correct answers of 16 to each problem, in every evaluation, and none before it."""
    after = {"correct": correct, "samples": 16, "entropy": entropy, "length": 3.0}
    before = {**after, "correct": [0] * len(correct), "entropy": 1.0}
    names = ("headline", "sampled", "greedy")
    return {
        "stage": stage, "recipe": recipe, "label": label, "method": label.partition(".")[0], "seed": seed,
        "before": dict.fromkeys(names, before), "after": dict.fromkeys(names, after), "seconds": 1.0,
    }  # fmt: skip


def write(module, *rows):
    module.RESULTS.write_text("".join(json.dumps(r) + "\n" for r in rows))


def test_the_candidate_with_the_highest_mean_pass_at_1_is_chosen(evidence, capsys):
    candidates = {
        label: {"method": label.partition(".")[0], "flags": {"learning_rate": rate}}
        for label, rate in {"none.slow": 1e-4, "none.fast": 3e-4, "aent.low": 1e-4, "sac.low": 1e-4}.items()
    }
    evidence.CANDIDATES.write_text(yaml.safe_dump(candidates))
    write(
        evidence,
        row("tune", "dev-a", "none.slow", 100, [16, 0]),
        row("tune", "dev-b", "none.slow", 100, [0, 0]),
        row("tune", "dev-a", "none.fast", 100, [8, 0]),
        row("tune", "dev-b", "none.fast", 100, [8, 4]),
        row("tune", "dev-a", "aent.low", 100, [4, 0]),
        row("tune", "dev-b", "aent.low", 100, [4, 0]),
        row("tune", "dev-a", "sac.low", 100, [16, 16]),
        row("evaluate", "dev-b", "sac.low", 0, [16, 16]),
    )
    evidence.choose()
    chosen = yaml.safe_load(evidence.SETTINGS.read_text())
    assert chosen == {"none": candidates["none.fast"], "aent": candidates["aent.low"]}
    assert "sac.low was not run on all of dev-a, dev-b; left out" in capsys.readouterr().out


def test_the_table_pairs_a_method_with_the_baseline_on_its_own_seeds(evidence, capsys):
    """Seed 1 of plain GRPO has no partner: it counts in its own line, not in the difference."""
    write(
        evidence,
        row("evaluate", "eval-a", "none", 0, [8, 8, 8, 8]),
        row("evaluate", "eval-a", "none", 1, [16, 16, 16, 16]),
        row("evaluate", "eval-a", "aent", 0, [12, 12, 12, 12], entropy=0.8),
    )
    evidence.tables()
    lines = capsys.readouterr().out.splitlines()
    assert "| start | | 0.000 | 0.000 | 0.000 | 0.000 | 1.00 |" in lines
    assert "| none | 2 | 0.750 | 1.000 | 0.750 | 0.750 | 0.50 |" in lines
    gained = "0.750 (+0.250 [+0.250, +0.250])"
    assert f"| aent | 1 | {gained} | 1.000 (+0.000 [+0.000, +0.000]) | {gained} | {gained} | 0.80 |" in lines


def test_ties_share_their_rank(evidence, capsys):
    scores = {"none": [8, 8], "aent": [16, 16], "sac": [8, 8]}
    write(evidence, *(row("evaluate", "eval-a", label, 0, correct) for label, correct in scores.items()))
    evidence.tables()
    ranks = capsys.readouterr().out.splitlines()[-3:]
    assert ranks == ["| aent | 1.00 | 2.00 |", "| none | 2.50 | 2.00 |", "| sac | 2.50 | 2.00 |"]


def test_ranks_are_by_the_gain_on_the_same_seeds(evidence, capsys):
    """sac gained on the seed it has, though plain GRPO had more in the mean of both."""
    write(
        evidence,
        row("evaluate", "eval-a", "none", 0, [4, 4]),
        row("evaluate", "eval-a", "none", 1, [16, 16]),
        row("evaluate", "eval-a", "sac", 0, [6, 6]),
    )
    evidence.tables()
    assert capsys.readouterr().out.splitlines()[-2:] == ["| sac | 1.00 | 1.50 |", "| none | 2.00 | 1.50 |"]


def test_all_tasks_are_paired_by_seed_where_none_is_missing(evidence, capsys):
    write(
        evidence,
        *(row("evaluate", task, "none", seed, [8, 8]) for task in ("eval-a", "eval-b") for seed in (0, 1)),
        row("evaluate", "eval-a", "aent", 0, [12, 12]),
        row("evaluate", "eval-b", "aent", 0, [16, 16]),
        row("evaluate", "eval-a", "aent", 1, [16, 16]),
    )
    evidence.tables()
    together = capsys.readouterr().out.partition("### All tasks")[2]
    assert "| none | 2 | 0.500 |" in together
    assert "| aent | 1 | 0.875 (+0.375 [" in together


def test_a_map_without_its_baseline_says_so(evidence, capsys):
    write(evidence, row("map", "dev-a", "aent.64-tokens", 0, [8, 8]))
    evidence.tables()
    part = capsys.readouterr().out.partition("### Map: 64 tokens")[2]
    assert part.strip() == "Plain GRPO, which all is compared with, was not run here yet."
