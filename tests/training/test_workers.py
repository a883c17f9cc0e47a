"""Jobs in processes of their own; the processes here are small scripts instead of runs."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from aent.runs.comparison import Comparison, ComparisonFolder, Entrant
from aent.training import workers as module
from aent.training.workers import Workers, visible_gpus

SCRIPT = """
import os, pathlib, signal, sys, time
words = sys.argv[1:]
print(os.environ.get("OMP_NUM_THREADS"), os.environ.get("CUDA_VISIBLE_DEVICES"), *words, flush=True)
if "fails" in words:
    sys.exit(3)
if "waits" in words:
    signal.signal(signal.SIGINT, lambda *_: (print("stopped", flush=True), sys.exit(130)))
    pathlib.Path("waiting").write_text("")
    time.sleep(60)
if "stubborn" in words:
    signal.signal(signal.SIGINT, lambda *_: print("still in its step", flush=True))
    pathlib.Path("waiting").write_text("")
    for _ in range(600):
        time.sleep(0.1)
"""


@pytest.fixture
def folder(workplace, monkeypatch):
    """Jobs whose process is SCRIPT: it gets the words that a run would get."""
    (workplace / "script.py").write_text(SCRIPT)
    popen = module.subprocess.Popen

    def started(command, **options):
        assert command[1:3] == ["-m", "aent.training.worker"]
        return popen([sys.executable, str(workplace / "script.py"), *command[3:]], **options)

    monkeypatch.setattr(module.subprocess, "Popen", started)
    return ComparisonFolder(workplace / "compared")


def comparison(*methods, seeds=(0,)):
    return Comparison(
        recipe="countdown",
        entrants={name: Entrant(method=name) for name in methods},
        algorithms=("grpo",),
        seeds=seeds,
        baseline=methods[0],
    )


def test_each_job_has_its_words_and_log_and_failures_are_kept(folder):
    compared = comparison("works", "fails")
    workers = Workers(compared, folder, count=2)
    ticks = []
    workers.run(compared.jobs, lambda: ticks.append(len(workers.running)))
    assert {job.label: code for job, code in workers.failed.items()} == {"fails": 3}
    first = compared.jobs[0]
    words = folder.log(first).read_text().split()
    assert words[:2] == ["1", "None"]  # one thread each, where there is no GPU
    assert words[2:] == [*compared.argv(first), "--output_dir", str(folder.run(first).path)]
    assert len(ticks) >= 2
    assert workers.running == {}


def test_a_begun_run_is_resumed_and_one_cut_off_in_its_creation_starts_anew(folder):
    compared = comparison("begun", "cut")
    begun, cut = compared.jobs
    for job in (begun, cut):
        folder.run(job).path.mkdir(parents=True)
    (folder.run(begun).path / "config.yaml").write_text("algorithm: grpo\n")
    (folder.run(cut).path / "versions.json").write_text("{}")
    Workers(compared, folder, count=1).run(compared.jobs, lambda: None)
    assert folder.log(begun).read_text().split()[2:] == ["--resume", str(folder.run(begun).path)]
    assert "--output_dir" in folder.log(cut).read_text()
    assert not folder.run(cut).path.exists()


def test_gpus_are_shared_in_turn(folder):
    compared = comparison("works", seeds=(0, 1, 2, 3))
    Workers(compared, folder, count=4, gpus=("0", "1")).run(compared.jobs, lambda: None)
    seen = [folder.log(job).read_text().split()[1] for job in compared.jobs]
    assert sorted(seen) == ["0", "0", "1", "1"]


@pytest.mark.parametrize(
    ("listed", "count", "names"),
    [(None, 2, ["0", "1"]), ("", 0, []), ("5,3", 2, ["5", "3"]), ("GPU-8d,7,-1,2", 2, ["GPU-8d", "7"])],
)
def test_runs_stay_on_the_gpus_that_the_user_left_visible(monkeypatch, listed, count, names):
    """CUDA counts the visible ones from 0, and stops reading the list at a number that does not exist."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert visible_gpus() == names


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a process on some cores")
def test_only_the_cores_of_this_process_count():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    code += "from aent.training.workers import usable_cores; print(usable_cores())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "1\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_reaches_every_run_and_no_other_is_started(folder, workplace, number):
    compared = comparison("waits", seeds=(0, 1))
    workers = Workers(compared, folder, count=1)

    def tick():
        if (workplace / "waiting").exists():
            (workplace / "waiting").unlink()
            threading.Thread(target=lambda: os.kill(os.getpid(), number)).start()

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        workers.run(compared.jobs, tick)
    assert signal.getsignal(number) == before
    assert folder.log(compared.jobs[0]).read_text().splitlines()[-1] == "stopped"
    assert not folder.log(compared.jobs[1]).exists()


def test_a_second_signal_does_not_wait_for_the_step(folder, workplace):
    compared = comparison("stubborn")
    workers = Workers(compared, folder, count=1)
    (job,) = compared.jobs

    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        while "still in its step" not in folder.log(job).read_text():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    def tick():
        if (workplace / "waiting").exists():
            (workplace / "waiting").unlink()
            threading.Thread(target=twice).start()

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        workers.run(compared.jobs, tick)
    while workers.running:
        time.sleep(0.05)
    assert time.monotonic() - start < 30  # the step takes 60 seconds
    assert workers.failed == {job: -signal.SIGKILL}


def test_two_signals_in_a_row_reach_every_run(folder, workplace):
    """The second one came before the first was passed on, and the comparison waited for all its runs."""
    compared = comparison("waits", seeds=(0, 1))
    workers = Workers(compared, folder, count=1)

    def tick():
        if (workplace / "waiting").exists():
            (workplace / "waiting").unlink()
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        workers.run(compared.jobs, tick)
    assert time.monotonic() - start < 30  # the run takes 60 seconds
    assert not folder.log(compared.jobs[1]).exists()


def test_a_signal_while_a_process_starts_reaches_it(folder, monkeypatch):
    """It was started all the same, and the comparison waited for the whole run."""
    compared = comparison("waits")
    workers = Workers(compared, folder, count=1)
    popen, stops = module.subprocess.Popen, []

    def started(*args, **options):
        process = popen(*args, **options)
        stops.append(threading.Thread(target=workers._stop))
        stops[0].start()
        stops[0].join(0.5)  # where nothing holds it up, it is done before the process is known
        return process

    monkeypatch.setattr(module.subprocess, "Popen", started)
    start = time.monotonic()
    workers.run(compared.jobs, lambda: None)
    stops[0].join()
    assert time.monotonic() - start < 30
