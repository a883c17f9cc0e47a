"""Every method with every algorithm in verl: it works on a batch, or says beforehand why it cannot.

``.venv-verl/bin/python tests/verl/test_matrix.py`` prints the rows of docs/verl.md.
"""

import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from specs import SPECS
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.utils.losses import ppo_loss

from aent import InputError
from aent.controllers import Foresighted
from aent.methods.load import load_method
from aent.verl.config import Settings, prepare
from aent.verl.export import ALGORITHMS, export
from aent.verl.loss import MethodLoss
from aent.verl.refusals import refuse
from aent.verl.rollouts import RolloutScores, Rows

DOCS = Path(__file__).parents[2] / "docs/verl.md"
SIZES = (4, 2, 3, 1)


def composed():
    """verl's configuration of each algorithm."""
    from hydra import compose, initialize_config_module

    options = {name: export(name, {"name": "none"}, {}).options for name in ALGORITHMS}
    with initialize_config_module("verl.trainer.config", version_base=None):
        return {name: compose("ppo_trainer", given) for name, given in options.items()}


def prepared(method, config):
    """A copy of verl's configuration with the method; a string if it is refused."""
    config, settings = copy.deepcopy(config), Settings(method=method, spec=method.name)
    try:
        refuse(config, settings)
        prepare(config, settings)
    except InputError as error:
        return str(error)
    return config


def rows(configs):
    """Markdown: which methods are refused with which algorithms, and the first clause of why."""
    reasons, table = {}, {}
    for name in SPECS:
        for algorithm, config in configs.items():
            reason = prepared(load_method(SPECS[name]), config)
            if isinstance(reason, str):
                why = reason.partition(";")[0].replace(f"method '{name}'", "the method")
                reasons.setdefault((name, why), []).append(f"`{algorithm}`")
    for (name, why), algorithms in reasons.items():
        table.setdefault((", ".join(algorithms), why), []).append(f"`{name}`")
    return [f"| {', '.join(names)} | {refused} | {why} |" for (refused, why), names in table.items()]


@pytest.fixture(scope="module")
def configs():
    return composed()


def test_the_page_lists_what_is_refused_and_why(configs):
    section = DOCS.read_text().partition("### Methods with algorithms")[2].partition("\n## ")[0]
    listed = [line for line in section.splitlines() if line.startswith("| `")]
    assert listed == rows(configs)


def batch(micro_batch, sloped):
    """Four rollouts of one prompt, with everything that verl may keep."""
    draw = torch.Generator().manual_seed(0)

    def values(scale=1.0, shift=0.0, width=()):
        return [(scale * torch.randn(n, *width, generator=draw) + shift).tolist() for n in SIZES]

    step = {"coef": 0.05, "band": (0.5, 0.5), "last_entropy": 0.6, "remaining": 0.5}
    columns = {"aent_solved": [[0.5]] * 4, "aent_group_reward": [[0.25]] * 4}
    logp = values(0.3, -2.0)
    entropy = [[abs(x) for x in row] for row in values()]
    return micro_batch(
        logp=logp,
        old_logp=[[x + 0.3 * (-1) ** i for i, x in enumerate(row)] for row in logp],
        entropy=entropy,
        entropy_of_old=[[1.1 * x for x in row] for row in entropy],
        advantages=values(),
        slopes=values(width=(3,)) if sloped else None,
        ref_log_prob=values(0.3, -2.0),
        step=step,
        **columns,
    )


def on_the_driver(method):
    """The method's rewards and advantages for two groups, as the trainer asks for them."""
    lengths = (2, 1, 3, 2)
    scores = [[0.0] * (n - 1) + [r] for n, r in zip(lengths, (1.0, 0.0, 1.0, 0.0), strict=True)]
    jagged = {
        name: torch.nested.as_nested_tensor([torch.tensor(row) for row in values], layout=torch.jagged)
        for name, values in (
            ("rm_scores", scores),
            ("old_log_probs", [[-1.0] * n for n in lengths]),
            ("response_mask", [[1] * n for n in lengths]),
        )
    }
    made = RolloutScores(method, Rows.of([f"a_{i}_0" for i in range(4)], [{}] * 4), jagged, 4)
    for part, result in (("rewards", made.changed_scores), ("group_advantages", made.advantages)):
        if getattr(method, part):
            assert result().values().isfinite().all()


@pytest.mark.parametrize("name", SPECS)
def test_the_others_have_a_finite_loss_and_gradient(name, configs, micro_batch):
    method = load_method(SPECS[name])
    on_the_driver(method)
    for algorithm, plain in configs.items():
        config = prepared(method, plain)
        if isinstance(config, str):
            continue
        config.actor_rollout_ref.actor.rollout_n = 4
        actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
        output, data, leaves = batch(micro_batch, isinstance(method.controller, Foresighted))
        loss, metrics = MethodLoss(method, partial(ppo_loss, config=actor))(output, data)
        loss.backward()
        assert leaves["log_probs"].grad.isfinite().all(), algorithm
        assert metrics["aent/tokens"].aggregate() == sum(SIZES)
        if "bonus" in method.parts:
            assert leaves["entropy"].grad.abs().sum() > 0, algorithm


if __name__ == "__main__":
    print("\n".join(rows(composed())))
