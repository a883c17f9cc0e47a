"""``aent train``: a recipe, with any of its settings and any flag of TRL overridden."""

import textwrap
from collections.abc import Iterable, Sequence

from aent.algorithms import ALGORITHMS
from aent.methods.catalog import factories
from aent.runs.recipe import recipe_names

HELP = """\
usage: aent train [RECIPE] [FLAGS]
       aent train --resume RUN_FOLDER

Train a policy with an entropy method; evaluate it before and after on unseen problems.

RECIPE            the settings to start from: a recipe's name, or the path of a YAML file (default countdown)
{recipes}
--method NAME     how entropy is controlled; its arguments as --method.low 0.2 (see: aent methods)
{methods}
--task NAME       what the policy learns; its fields as --task.numbers 4 (docs/tasks.md)
{tasks}
--algorithm NAME  the policy-gradient algorithm (docs/algorithms.md)
{algorithms}
--policy.FIELD V  the policy that is made from scratch: vocab_size, hidden_size, layers, demonstrations, ...
--model_name_or_path M
                  train this model instead: a transformers folder or a hub id
--evaluation.FIELD V
                  the evaluation before and after: problems, samples, temperature, top_p, ...;
                  --evaluation null skips it
--output_dir DIR  the run folder (default: the next free runs/RECIPE-METHOD-NNN)
--resume RUN      continue a run from its last checkpoint; no other flag goes with it
--aent_update U   when the coefficient moves: after every optimizer step (step, the default), or after all
                  updates on a batch of rollouts (rollout)

With a critic (ppo, a2c):
--gamma G         discount per token (default 1)
--lam L           lambda of generalized advantage estimation (default 0.95)
--value_coef C    weight of the value loss in the loss (default 0.1)
--value_clip C    how far a value may move from its old one before its loss is clipped (default 0.2)
--whiten B        normalize advantages over a batch of rollouts (default true)
--critic C        own: a copy of the policy's body; shared: a value head on the policy's body (default own)
--critic_learning_rate R
                  learning rate of the critic (default: the policy's)

--FLAG V          any other flag of TRL, for instance --learning_rate 1e-5, --max_steps 100, --seed 3,
                  --num_generations 8, --per_device_train_batch_size 64, --logging_steps 10, --save_steps 50,
                  --use_peft. docs/trl.md says how they work with aent. TRL documents all of them:
                  those of GRPOConfig at https://huggingface.co/docs/trl/grpo_trainer#trl.GRPOConfig,
                  those of RLOOConfig at https://huggingface.co/docs/trl/rloo_trainer#trl.RLOOConfig,
                  those of ModelConfig (such as lora_r) with: python -c "import trl; help(trl.ModelConfig)"
"""


def main(argv: Sequence[str]) -> int:
    """Start or resume a run."""
    if "-h" in argv or "--help" in argv:
        print(_help(), end="")
        return 0
    from aent.training.train import train

    return train(argv)


def _help() -> str:
    from aent.tasks import TASKS

    return HELP.format(
        recipes=_listed(recipe_names()),
        methods=_listed(factories()),
        tasks=_listed(TASKS),
        algorithms=_listed(ALGORITHMS),
    )


def _listed(names: Iterable[str]) -> str:
    return textwrap.fill(
        ", ".join(names), 110, initial_indent=" " * 18, subsequent_indent=" " * 18, break_on_hyphens=False
    )
