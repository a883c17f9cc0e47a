"""``aent plan``: memory and time that a recipe needs on several kinds of GPU."""

from collections.abc import Sequence

from rich.console import Console

from aent.planning.constants import GPUS, PAPER
from aent.progress import say
from aent.spec import take_flags, whole_number

OWN = ("gpu", "gpus", "server_gpus", "mean_length")
HELP = f"""\
usage: aent plan RECIPE [--gpu {",".join(GPUS)}] [--gpus N] [FLAGS OF aent train]

Estimate what a recipe needs on each kind of GPU, from a stated model (docs/recipes.md). Nothing is run, and
for the recipes' own models nothing is downloaded.

--gpu KIND,...      kinds of card (default: all)
--gpus N            GPUs that train (default: as many as the recipe is written for); its batches stay the same
--server_gpus N     GPUs of the vLLM server, with --vllm_mode server (default: as many as train)
--mean_length N     mean length of a completion in tokens; an assumption unless you give it
--model_name_or_path M   another model: a folder or a hub id
"""


def main(argv: Sequence[str]) -> int:
    """Print the estimate."""
    asked = "-h" in argv or "--help" in argv
    if not argv or asked or argv[0].startswith("-"):
        print(HELP, end="")
        return 0 if asked else 2
    own, rest = take_flags(argv, OWN)
    numbers = {name: whole_number(f"--{name}", own[name]) for name in OWN[1:] if name in own}
    from aent.planning.estimate import cards, plan
    from aent.planning.tables import memory_table, paper_lines, summary_lines, time_table
    from aent.training.prepare import read_request

    request = read_request(rest)
    kinds = cards(own.get("gpu"))
    estimate = plan(
        request.source,
        request.recipe,
        gpus=numbers.get("gpus"),
        server_gpus=numbers.get("server_gpus"),
        mean=numbers.get("mean_length"),
    )
    console = Console()
    for line in summary_lines(estimate):
        say(console, line)
    console.print(memory_table(estimate, kinds), crop=False)
    console.print(time_table(estimate, kinds), crop=False)
    if request.source in PAPER:
        for line in paper_lines(estimate, PAPER[request.source]):
            say(console, line)
    return 0
