import json
from dataclasses import replace

import pytest

from aent.errors import InputError
from aent.evaluation import EvalConfig, load_results
from aent.evaluation.suite import Suite, free_folder
from aent.lock import locked
from aent.policies.generate import TransformersSampler
from aent.tasks import MathTask

CONFIG = EvalConfig(samples=2, batch_size=2, max_tokens=4)


@pytest.fixture
def tasks(tmp_path):
    """Two tasks of two and of one problem."""
    for name, count in (("two", 2), ("one", 1)):
        rows = [{"question": f"{n}+1", "answer": str(n + 1)} for n in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        name: MathTask(path=str(tmp_path), train=None, test=f"{name}.jsonl", template="{question}=")
        for name in ("two", "one")
    }


@pytest.fixture
def loaded(model, tokenizer, monkeypatch):
    """How often the model was loaded; none is on disk."""
    count = []

    def load(name, backend, dtype):
        count.append(name)
        return TransformersSampler(model, tokenizer)

    monkeypatch.setattr("aent.evaluation.suite.load_sampler", load)
    monkeypatch.setattr("aent.evaluation.suite.check_model", lambda name: None)
    return count


def open_suite(tasks, folder, **changes):
    return Suite.open("some-model", tasks, changes.get("config", CONFIG), folder, "transformers")


def test_one_model_is_loaded_for_all_tasks_and_none_for_finished_ones(tasks, loaded, tmp_path):
    seen = []

    def progress(task):
        return lambda done, total, tokens: seen.append((task, done, total))

    first = open_suite(tasks, tmp_path / "out").run(progress)
    assert list(first) == ["two", "one"]
    assert seen == [("two", 2, 4), ("two", 4, 4), ("one", 2, 2)]
    assert loaded == ["some-model"]
    again = open_suite(tasks, tmp_path / "out").run()
    assert loaded == ["some-model"]
    assert {name: each.records for name, each in again.items()} == {n: e.records for n, e in first.items()}
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert list(summary) == ["two", "one", "mean"]
    assert load_results(tmp_path / "out" / "one").metrics == first["one"].metrics


def test_a_single_task_is_evaluated_in_the_folder_itself(tasks, loaded, tmp_path):
    open_suite({"one": tasks["one"]}, tmp_path / "out").run()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".lock",
        "results.json",
        "samples.jsonl",
        "settings.json",
    ]


def test_only_what_is_not_finished_is_done(tasks, loaded, tmp_path):
    open_suite(tasks, tmp_path / "out").run()
    (tmp_path / "out/one/results.json").unlink()
    seen = []
    open_suite(tasks, tmp_path / "out").run(lambda task: lambda done, total, tokens: seen.append(task))
    assert seen == []  # its answers are all there; they are judged and counted again
    assert (tmp_path / "out/one/results.json").exists()


def test_a_place_that_cannot_be_written_is_named_before_the_model_is_loaded(tasks, loaded, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/out cannot be written.*another --output"):
        open_suite(tasks, tmp_path / "file" / "out")
    assert loaded == []


def test_folders_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(free_folder("eval")) == "eval-001"
    (tmp_path / "eval-001").mkdir()
    assert str(free_folder("eval")) == "eval-001"  # empty
    (tmp_path / "eval-001/x").write_text("")
    assert str(free_folder("eval")) == "eval-002"


def test_one_process_at_a_time_evaluates_in_a_folder(tasks, loaded, tmp_path):
    suite = open_suite(tasks, tmp_path / "out")
    with (
        locked(tmp_path / "out", ""),
        pytest.raises(InputError, match=r"another aent eval is at work in .*out"),
    ):
        suite.run()
    assert loaded == []


def test_answers_that_are_not_the_planned_ones_are_refused(tasks, loaded, tmp_path):
    """What two processes at once left behind before there was a lock: the first answers, twice."""
    open_suite(tasks, tmp_path / "out").run()
    samples = tmp_path / "out/two/samples.jsonl"
    first = samples.read_text().splitlines(keepends=True)[:2]
    samples.write_text("".join(first * 2))
    (tmp_path / "out/two/results.json").unlink()
    with pytest.raises(InputError, match=r"samples.jsonl is damaged: its answers are not those"):
        open_suite(tasks, tmp_path / "out").run()


def test_a_limit_that_does_not_fit_can_be_corrected_in_the_same_folder(tasks, loaded, model, tmp_path):
    too_long = replace(CONFIG, max_tokens=model.config.max_position_embeddings)
    with pytest.raises(InputError, match="lower max_tokens"):
        open_suite(tasks, tmp_path / "out", config=too_long).run()
    assert len(open_suite(tasks, tmp_path / "out").run()) == 2


def test_a_folder_with_other_tasks_is_left_alone(tasks, loaded, tmp_path):
    """Its summary.json would lose them; a further task joins those that are there."""
    out = tmp_path / "out"
    three = {**tasks, "three": tasks["one"]}
    open_suite(tasks, out).run()
    with pytest.raises(InputError, match="out already holds two, which is none of the tasks one, three"):
        open_suite({name: three[name] for name in ("one", "three")}, out)
    assert list(json.loads((out / "summary.json").read_text())) == ["two", "one", "mean"]
    assert list(open_suite(three, out).run()) == ["two", "one", "three"]
