"""The checks of the theory, all of them, and what they come to."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console

from aent.progress import progress_bar
from aent.study.theory import SHAPES, Case, check, random_mdps


def all_cases(seeds: Sequence[int], console: Console) -> list[Case]:
    """Check every shape with every seed."""
    cases: list[Case] = []
    with progress_bar(console) as bar:
        for seed in bar.track(seeds, description="random MDPs"):
            for shape in range(len(SHAPES)):
                cases += check(seed, shape)
    return cases


def summary(name: str, cases: Sequence[Case]) -> dict[str, Any]:
    """Count the cases and violations of a check, and say how tight it is (value / bound).

    Rewards are at most 1, so a bound of 1 or more says nothing; that is counted too.
    """
    mine = [case for case in cases if case.check == name]
    tight = np.array([case.value / case.bound for case in mine if case.bound > 1e-9])
    tenth, half, most = np.quantile(tight, [0.1, 0.5, 0.9])
    return {
        "check": name,
        "MDPs": len(mine),
        "violations": sum(case.violated for case in mine),
        "bound < 1": sum(case.bound < 1 for case in mine),
        "10 %": float(tenth),
        "median": float(half),
        "90 %": float(most),
        "tightest": float(tight.max()),
    }


def describe(case: Case) -> str:
    """Write out the MDP of a case: rewards of all responses, and the policy."""
    seed, shape, index = case.where
    mdps = random_mdps(seed, shape)
    policy = [level[index].tolist() for level in mdps.policy]
    return f"rewards {mdps.rewards[index].tolist()}\npolicy {policy}\ncoef {mdps.coef}"
