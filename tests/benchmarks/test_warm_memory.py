"""Whether a warm worker grows: what every worker holds for itself while it serves one tiny trial after the other.

TRIALS=64 python -m pytest tests/benchmarks/test_warm_memory.py -m benchmark
"""

import os
import time
from collections import defaultdict
from threading import Event, Thread

import psutil
import pytest

from orchestrator.execution.launch import launch
from orchestrator.record.state import Outcome
from tests.benchmarks.test_launch_cost import HERE
from tests.helpers.launches import request_for

pytestmark = pytest.mark.benchmark

EVERY_S = 2.0


def watch(ended: Event, seen: dict[int, list[float]]) -> None:
    """MiB that each warm worker shares with nobody, again and again, by its id."""
    while not ended.wait(EVERY_S):
        for process in psutil.Process().children(recursive=True):
            try:
                if " ".join(process.cmdline()).startswith("ray::WarmWorker"):
                    seen[process.pid].append(process.memory_full_info().uss / 2**20)
            except psutil.Error:
                continue


def test_print_what_warm_workers_hold_after_many_trials(tmp_path, capsys):
    seen: dict[int, list[float]] = defaultdict(list)
    ended = Event()
    beside = Thread(target=watch, args=(ended, seen))
    beside.start()
    begun = time.perf_counter()
    try:
        finished = launch(request_for(tmp_path, HERE / "scale_space.py", name="many", scheduler="fifo"))
    finally:
        ended.set()
        beside.join()
    assert finished.outcome == Outcome.COMPLETE
    with capsys.disabled():
        wall, load = time.perf_counter() - begun, os.getloadavg()[0]
        print(f"\n{len(finished.state.trials)} trials in {wall:.0f} s, {finished.phases}, load {load:.1f}")
        for sizes in seen.values():
            quarters = [sizes[round(part * (len(sizes) - 1))] for part in (0.25, 0.5, 0.75, 1.0)]
            print(
                "MiB of a worker after a quarter, half, three quarters, all: "
                + ", ".join(map("{:.0f}".format, quarters))
            )
    for sizes in seen.values():
        assert max(sizes[-3:]) < 1.15 * sizes[len(sizes) // 2]
