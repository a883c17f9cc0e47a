"""Run by test_ranks.py on two ranks: the main one takes longer than the timeout of their process group."""

import time
from datetime import timedelta

import torch.distributed as dist
from accelerate import PartialState

from aent.training.ranks import is_main, main_first

TIMEOUT = timedelta(seconds=2)

dist.init_process_group("gloo", timeout=TIMEOUT)
PartialState(cpu=True)
with main_first():
    if is_main():
        time.sleep(2 * TIMEOUT.total_seconds())
        print("main", time.time())
print("end", time.time())
dist.destroy_process_group()
