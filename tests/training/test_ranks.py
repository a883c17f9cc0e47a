"""Several processes of one run: the others wait for the main one."""

from pathlib import Path

from aent.training.ranks import is_main, main_first


def test_the_others_wait_for_longer_than_their_timeout(launch):
    done = launch(Path(__file__).parent / "patient_ranks.py", ACCELERATE_USE_CPU="true")
    times = [(line.split()[0], float(line.split()[1])) for line in done.stdout.splitlines()]
    (main,) = (time for name, time in times if name == "main")
    ends = [time for name, time in times if name == "end"]
    assert len(ends) == 2
    assert min(ends) >= main


def test_a_process_of_its_own_is_the_main_one_and_waits_for_nobody():
    with main_first():
        assert is_main()
