"""Everything that has to be checked on an NVIDIA GPU, in order of importance, by one command.

    python benchmarks/speed/gpu.py --minutes 9       # or: make gpu
    python benchmarks/speed/gpu.py --only right      # only the checks whose name starts with this
    python benchmarks/speed/gpu.py --dry             # on a CPU, at toy size, in Triton's interpreter

Every check runs in its own process with its own time limit. Its figures are appended to
benchmarks/speed/gpu.jsonl as soon as it ends, so a second call continues where the first stopped: it skips
what has run before on the same card with the same code. The command ends with a table. The exit code is 0 if
every check ran and none was missed, 1 if one was missed, and 3 if none was missed but some did not run.

A dry run only shows that the checks work. It judges right and wrong but no speed, checks that need a card do
not count, and it writes nothing unless --out says where.
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MET, MISSED, RAN, NOT_RUN = "met", "missed", "ran", "not run"
"""The states of a check; it `ran` if nothing is asked of its figures."""
DRY_FACTOR = 10
"""How many times its limit a check may take in a dry run, since an interpreter on a busy CPU is slow."""


class Check(NamedTuple):
    """One check: a function of a module beside this file, and the seconds that it may take."""

    name: str
    seconds: int
    run: Callable[[Any], Iterable[Any]]

    @property
    def title(self) -> str:
        """The first line of the function's docstring."""
        return (self.run.__doc__ or "").partition("\n")[0].rstrip(".")


def checks() -> list[Check]:
    """Return all checks, the most important first."""
    import gpu_fast
    import gpu_right
    import gpu_step

    return [
        Check("right-values", 90, gpu_right.values),
        Check("right-cut", 30, gpu_right.cut),
        Check("right-promises", 40, gpu_right.promises),
        Check("fast-copy", 30, gpu_fast.copy),
        Check("fast-trl", 30, gpu_fast.trl),
        Check("step-grpo", 90, gpu_step.grpo),
        Check("fast-naive", 40, gpu_fast.naive),
        Check("fast-subsets", 30, gpu_fast.subsets),
        Check("fast-linear", 45, gpu_fast.linear),
        Check("fast-tiles", 60, gpu_fast.tiles),
        Check("right-sanitizer", 60, gpu_right.sanitizer),
        Check("step-options", 60, gpu_step.options),
        Check("step-vllm", 60, gpu_step.vllm),
        Check("fast-others", 60, gpu_fast.others),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks, print the table and return the exit code."""
    options = parsed(argv)
    sys.path.insert(0, str(HERE))
    if options.dry:
        os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported
        preload()
    from gpu_common import Place

    place = Place("cpu" if options.dry else "cuda", options.dry)
    about = machine(options.dry)
    if about is None:
        print("torch sees no CUDA device here. Run it on a machine with an NVIDIA GPU, or try it with --dry.")
        return 2
    out = options.out or (None if options.dry else HERE / "gpu.jsonl")
    earlier = {} if options.again else finished(out, about)
    deadline, results = time.monotonic() + 60 * options.minutes, []
    for check in checks():
        if not check.name.startswith(tuple(options.only)):
            continue
        left = deadline - time.monotonic()
        if check.name in earlier:
            result = earlier[check.name]
        elif left < 5:
            result = outcome(check, NOT_RUN, note=f"no time left of {options.minutes:g} minutes")
        else:
            seconds = min(check.seconds * place.small(1, DRY_FACTOR), left)
            result = run(check, place, seconds)
            write(out, {**result, **about})
        results.append(result)
        print(f"{result['state']:8} {check.name}: {check.title}. {result['note']}".rstrip(), flush=True)
    show(results, about, out)
    return exit_code(results, options.dry)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=9, help="time for all checks together")
    parser.add_argument("--only", nargs="+", default=[""], help="names of checks, or how they start")
    parser.add_argument("--again", action="store_true", help="repeat checks that have run before")
    parser.add_argument("--dry", action="store_true", help="toy sizes on a CPU, in Triton's interpreter")
    parser.add_argument("--out", type=Path, help="where results are appended")
    return parser.parse_args(argv)


def preload() -> None:
    """Import slow modules once for all checks. Not on a card, where they might start CUDA too early."""
    for module in ("trl.trainer.utils", "trl.kernels", "step"):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def run(check: Check, place: Any, seconds: float) -> dict[str, Any]:
    """Run a check in a process of its own; end the process and its children after so many seconds."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=child, args=(check, place, there))
    start = time.monotonic()
    process.start()
    there.close()
    try:
        state, figures, note = (
            here.recv() if here.poll(seconds) else (NOT_RUN, [], f"did not end within {seconds:.3g} s")
        )
    except EOFError:
        process.join()
        state, figures, note = MISSED, [], f"its process ended with code {process.exitcode}"
    finally:
        end(process)
    took = round(time.monotonic() - start, 1)
    return {**outcome(check, state, figures, note), "took": took}


def child(check: Check, place: Any, there: Any) -> None:
    """Do the work of a check and send (state, figures, note)."""
    from gpu_common import NotHereError

    os.setsid()
    try:
        figures = list(check.run(place))
    except NotHereError as reason:
        there.send((NOT_RUN, [], str(reason)))
    except Exception as error:
        traceback.print_exc()
        there.send((MISSED, [], f"{type(error).__name__}: {error}"))
    else:
        judged = {figure.met for figure in figures}
        state = MISSED if False in judged else MET if True in judged else RAN
        there.send((state, [figure.row() for figure in figures], ""))


def end(process: Any) -> None:
    """End a process with everything that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.join()


def outcome(check: Check, state: str, figures: Sequence[dict] = (), note: str = "") -> dict[str, Any]:
    return {"check": check.name, "state": state, "figures": list(figures), "note": note, "took": 0.0}


def machine(dry: bool) -> dict[str, Any] | None:
    """Return card, driver, versions, commit and a digest of the code; None without a card.

    Asked of nvidia-smi and of a process of its own, as a process that uses CUDA must not be forked.
    """
    ask = "import json; from aent.records import versions; print(json.dumps(versions()))"
    versions = json.loads(subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True).stdout)
    if versions["gpu"] == "none" and not dry:
        return None
    return {
        "card": "none: dry run" if dry else versions["gpu"],
        "driver": said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "versions": versions,
        "commit": said("git", "-C", str(ROOT), "rev-parse", "HEAD"),
        "code": digest(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def digest() -> str:
    """Return a digest of the code that the checks run: the operators, the subsets and the checks."""
    files = [*(ROOT / "src/aent/ops").rglob("*.py"), ROOT / "src/aent/subsets.py", *HERE.glob("gpu*.py")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()[:12]


def said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def finished(out: Path | None, about: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the results of this card and code that need no second run."""
    if out is None or not out.exists():
        return {}
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    same = [row for row in rows if (row["card"], row["code"]) == (about["card"], about["code"])]
    return {row["check"]: {**row, "note": "as run before"} for row in same if row["state"] != NOT_RUN}


def write(out: Path | None, row: dict[str, Any]) -> None:
    if out is not None:
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")


def show(results: Sequence[dict[str, Any]], about: dict[str, Any], out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("check", "figure", "measured", "asked", "", title=f"{about['card']}, code {about['code']}")
    for result in results:
        table.add_section()
        table.add_row(f"[b]{result['check']}", result["note"], f"{result['took']:.0f} s", "", result["state"])
        for figure in result["figures"]:
            table.add_row("", figure["what"], figure["value"], figure["asked"], figure["state"])
    Console(width=150).print(table)
    counts = {state: sum(r["state"] == state for r in results) for state in (MET, MISSED, RAN, NOT_RUN)}
    print(", ".join(f"{count} {state}" for state, count in counts.items()) + (f"; {out}" if out else ""))
    if about["card"].startswith("none"):
        print("This was a dry run on a CPU at toy size: it says nothing about a GPU.")


def exit_code(results: Sequence[dict[str, Any]], dry: bool) -> int:
    states = {result["state"] for result in results}
    return 1 if MISSED in states else 3 if NOT_RUN in states and not dry else 0


if __name__ == "__main__":
    sys.exit(main())
