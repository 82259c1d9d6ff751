"""A sign of life of a run's launcher, on any storage: a ledger that is open says nothing of one that was killed."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from orchestrator.record.paths import RunPaths
from orchestrator.record.state import RunState
from workloads.files import write_atomically

PERIOD_S = 10.0
MISSED = 4
"""Beats that may be late, for a slow storage or clocks that differ, before a launcher counts as dead."""


@contextmanager
def heartbeat(paths: RunPaths, period: float = PERIOD_S) -> Iterator[None]:
    """Write `heartbeat.json` every `period` seconds until the block ends; then it is removed."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.is_set():
            try:
                write_beat(paths, period)
            except Exception as error:  # a storage that is away for a moment must not end what still works
                print(f"no heartbeat was written: {error}", flush=True)  # noqa: T201 - the launcher's log
            ended.wait(period)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=period)
        with suppress(OSError):  # what the block did stands
            paths.heartbeat.unlink(missing_ok=True)


def write_beat(paths: RunPaths, period: float) -> None:
    facts = {"pid": os.getpid(), "host": socket.gethostname(), "time": time.time(), "period": period}
    write_atomically(paths.heartbeat, json.dumps(facts).encode())


def is_alive(paths: RunPaths) -> bool:
    """Whether a launcher has lately shown a sign of life."""
    try:
        beat = json.loads(paths.heartbeat.read_bytes())
        return bool(time.time() - beat["time"] <= MISSED * beat["period"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or not a whole one
        return False


def life_of(paths: RunPaths, state: RunState) -> str:
    """How a run's last launch ended; of one that has not ended "running", or "dead" where its launcher is gone.

    Launchers of format 1 showed no sign of life: their runs are "open".
    """
    if state.closed is not None:
        return str(state.closed.outcome)
    if is_alive(paths):
        return "running"
    return "open" if paths.format_1_ledger.exists() else "dead"
