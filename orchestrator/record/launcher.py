"""The launcher of a run from outside: what it does, read from the ledger as it goes, and a polite end for it."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.planning.request import absolute
from orchestrator.record.events import Closed, Event
from orchestrator.record.heartbeat import is_alive
from orchestrator.record.ledger import read_events
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import open_run
from workloads.errors import Kind, UserError

LOOK_S = 1.0
ENOUGH_S = 120.0
"""Seconds that a launcher may take to close its books."""


@dataclass(frozen=True)
class RunLog:
    """What a run has done. folders: of the log files of its Ray, which are there while it works, and of what Ray Tune
    and Ray Train have written for it."""

    paths: RunPaths
    folders: tuple[Path, ...]

    def events(self, last: int, *, follow: bool) -> Iterator[Event]:
        """The last events, all where it is 0; with `follow`, those that come as well, until the launch has ended."""
        known = read_events(self.paths)
        yield from known[-last:]
        while follow and not isinstance(known[-1], Closed) and is_alive(self.paths):
            time.sleep(LOOK_S)
            events = read_events(self.paths)
            yield from events[len(known) :]
            known = events


def open_log(storage: str, run: str) -> RunLog:
    """Raises UserError, with the nearest name, where there is no such run."""
    paths, _ = open_run(absolute(storage), run)
    written = [Path(paths.storage) / run / "ray"] if paths.is_local else []
    return RunLog(paths, tuple(folder for folder in (*ray_logs(paths), *written) if folder.is_dir()))


def ray_logs(paths: RunPaths) -> list[Path]:
    """Where the Ray that a launcher on this machine has started writes its logs; none where it has none."""
    import psutil

    pid, host = beat_of(paths)
    if host != socket.gethostname():
        return []
    try:
        lines = [word for child in psutil.Process(pid).children(recursive=True) for word in child.cmdline()]
    except psutil.Error:  # it has ended
        return []
    return list(dict.fromkeys(Path(w.partition("=")[2]) for w in lines if w.startswith(("--log_dir=", "--log-dir="))))


def beat_of(paths: RunPaths) -> tuple[int, str]:
    """(process, host) of the launcher that works on a run; (0, "") where none does."""
    try:
        beat = json.loads(paths.heartbeat.read_bytes())
    except (OSError, ValueError):
        return 0, ""
    return (int(beat["pid"]), str(beat["host"])) if is_alive(paths) else (0, "")


def stop_launcher(storage: str, run: str, patience: float = ENOUGH_S) -> int:
    """End the launcher of a run on this machine as Ctrl-C does, and wait until its books are closed: its process.

    Raises UserError where no launcher works on the run, where it works on another host, where it is another user's, and
    where it does not end in time.
    """
    paths, _ = open_run(absolute(storage), run)
    pid, host = beat_of(paths)
    if not pid:
        raise UserError(f"no launcher works on {run}", fix=f"`status {run}` says how the last one ended")
    if host != socket.gethostname():
        fix = f"run `stop {run}` there; a launcher that is a cluster's job stops by `stop {run} --address`"
        raise UserError(f"the launcher of {run} works on another host", where=host, fix=fix, kind=Kind.REFUSED)
    try:
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        raise UserError(f"the launcher of {run} is gone already", fix=f"`resume {run}` goes on") from None
    except PermissionError:
        raise UserError(f"the launcher of {run} is another user's", where=f"process {pid}", fix="ask them") from None
    deadline = time.monotonic() + patience
    while beat_of(paths)[0] == pid:
        if time.monotonic() > deadline:
            headline = f"the launcher of {run} has not ended in {patience:g} s"
            raise UserError(headline, where=f"process {pid}", fix="wait, or end it by `kill`", kind=Kind.FAILED)
        time.sleep(LOOK_S / 5)
    return pid
