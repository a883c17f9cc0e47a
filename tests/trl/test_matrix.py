"""Every method with every algorithm: it trains, or says beforehand why it cannot.

`python tests/trl/test_matrix.py` prints the rows of docs/algorithms.md.
"""

import inspect
import tempfile
from pathlib import Path

import pytest

from aent import InputError
from aent.algorithms import ALGORITHMS, with_options
from aent.methods.load import METHODS, load_method
from aent.trl.algorithms import classes
from aent.trl.refusals import fitted

BATCH = {"per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 4, "max_steps": 1}
UNPUBLISHED = {"steps": 10, "target": 0.4, "coef": 0.01, "lr": 0.01, "easy": 0.5, "hard": 1.5, "k": 2}
"""Arguments without a published default, as an example."""
NAMES = [name for name in METHODS if name != "stack"]
DOCS = Path(__file__).parents[2] / "docs/algorithms.md"


def spec(name):
    parameters = inspect.signature(METHODS[name]).parameters.values()
    needed = {p.name: UNPUBLISHED[p.name] for p in parameters if p.default is p.empty}
    return load_method({"name": name, **needed})


def given(algorithm, options):
    made = with_options(algorithm, options | BATCH)
    if algorithm == "dapo":  # it leaves out completions that were cut off, which here would be all
        made["generation_kwargs"] = {"eos_token_id": list(range(1, 60))}
    return made


def refusal(method, algorithm, options):
    """Why the two cannot go together; None where they can."""
    _, config = classes(algorithm)
    try:
        fitted(config(**given(algorithm, options)), method)
    except InputError as error:
        return str(error)
    return None


def rows(options):
    """Markdown: which methods are refused with which algorithms, and the first clause of why."""
    reasons, table = {}, {}
    for name in NAMES:
        for algorithm in ALGORITHMS:
            reason = refusal(spec(name), algorithm, options)
            if reason is not None:
                why = reason.partition(";")[0].replace(f"method '{name}'", "the method")
                reasons.setdefault((name, why), []).append(f"`{algorithm}`")
    for (name, why), algorithms in reasons.items():
        table.setdefault((", ".join(algorithms), why), []).append(f"`{name}`")
    return [f"| {', '.join(names)} | {refused} | {why} |" for (refused, why), names in table.items()]


def test_the_page_lists_what_is_refused_and_why(options):
    listed = [line for line in DOCS.read_text().splitlines() if line.endswith(" |") and "the method" in line]
    assert listed == rows({"use_cpu": True, "bf16": False, "output_dir": options["output_dir"]})


@pytest.fixture(scope="module")
def policy(make_model, tmp_path_factory):
    """A policy in a folder: where a method needs the reference policy, TRL loads it from there."""
    folder = str(tmp_path_factory.mktemp("policy"))
    make_model().save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_others_train(name, build, options, policy):
    method = spec(name)
    for algorithm in ALGORITHMS:
        if refusal(method, algorithm, options) is not None:
            continue
        trainer_class, config = classes(algorithm)
        trainer = build(trainer_class, config, given(algorithm, options), policy, method=method)
        trainer.train()
        assert trainer.state.global_step == 1
        assert all(p.isfinite().all() for p in trainer.model.parameters()), algorithm


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(rows({"use_cpu": True, "bf16": False, "output_dir": folder})))
