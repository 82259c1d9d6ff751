"""A run's launcher: only one at a time, and a sign of its life, on any storage.

The lock is the operating system's: a killed process leaves none behind. A ledger that is open says nothing of a
launcher that was killed; its heartbeat does.
"""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from filelock import FileLock, Timeout

from orchestrator.record.paths import RunPaths
from orchestrator.record.state import RunState
from workloads.errors import Kind, UserError
from workloads.files import MISSED, PERIOD_S, leased, write_atomically

AHEAD_S = 3600
"""Seconds by which a launcher's clock may be ahead: of another machine's, or before this one was set back."""


@contextmanager
def launcher_lock(paths: RunPaths) -> Iterator[None]:
    """Only one live launcher a run. Raises UserError (exit 4) where another holds the run.

    On remote storage, which has no locks, it is a lease: whoever finds one waits up to `PERIOD_S` seconds for a sign of
    life, and takes over from a dead launcher after `MISSED` times as long.
    """
    paths.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            if paths.is_local:
                held.enter_context(FileLock(str(paths.folder / ".launcher.lock")).acquire(timeout=0))
            else:
                held.enter_context(leased(paths.folder / ".launcher.lease", waits=False))
        except (Timeout, BlockingIOError):
            raise UserError(
                f"the run {paths.run!r} already has a live launcher",
                fix=f"watch it with `python -m orchestrator status {paths.run}`, or give this one another --name",
                kind=Kind.REFUSED,
            ) from None
        yield


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


@contextmanager
def last_words(text: str) -> Iterator[None]:
    """Have `text` written to the standard error where this process ends inside without a word: killed, out of memory,
    or ended by a library. A shell waits for that; it costs nothing."""
    waits = ["/bin/sh", "-c", 'read -r _ || printf "%s\\n" "$1" >&2', "sh", text]
    try:
        # a session of its own: Ctrl-C in the terminal is not for it
        shell = subprocess.Popen(waits, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
    except OSError:  # too many files, no memory: then not
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            shell.communicate(b"\n")


def write_beat(paths: RunPaths, period: float) -> None:
    facts = {"pid": os.getpid(), "host": socket.gethostname(), "time": time.time(), "period": period}
    write_atomically(paths.heartbeat, json.dumps(facts).encode())


def is_alive(paths: RunPaths) -> bool:
    """Whether a launcher has lately shown a sign of life."""
    try:
        beat = json.loads(paths.heartbeat.read_bytes())
        age = time.time() - beat["time"]
        return bool(-AHEAD_S <= age <= MISSED * beat["period"])  # a clock may have been set back
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
