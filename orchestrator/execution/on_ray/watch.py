"""What may end or fall silent while tasks run: Ray's own processes, and workers.

Without it the end of Ray's directory (GCS) is noticed after a minute, and by a line of Ray's own, which ends the
launcher; and a worker that hangs is waited for for ever.
"""

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from upath import UPath

from orchestrator.execution.on_ray import progress
from orchestrator.execution.on_ray.progress import Silence
from workloads.errors import Kind, UserError
from workloads.files import write_atomically

LOOK_S = 1.0
SILENT_S, GIVEN_UP_S = 60.0, 300.0
"""Seconds without a sign of life after which a worker is said to be silent, and is ended; its task then goes to another
one."""
UNREACHED_S = 30.0
"""Seconds that the directory of a Ray that was joined may be away: a head that is replaced is back before."""
ANSWER_S = 30.0
STUCK_S = 30.0
"""Seconds in which the launcher is to hear that Ray has ended, before its process is ended where it stands."""
KEPT_BYTES = 2**20
"""Of each log file's end."""
LOGS = ("gcs_server*", "raylet*", "python-core-driver*", "ray_process_exit*")

Say = Callable[[str, str], object]
"""Takes a task's id, empty where none is concerned, and a sentence."""


class Watch:
    """Looks after Ray in a thread of its own, from Ray's start to its end.

    notes: the actor that hears of workers. parts: a question for each process without which Ray is none: how it has
    ended, empty while it is there. logs: Ray's folder of them. ended: what such a question was answered.
    """

    def __init__(self, notes: Any, parts: Sequence[Callable[[], str]], logs: Path) -> None:
        self.notes, self.ended, self.silent = notes, "", set[str]()
        self.say: Say | None = None
        self.lock = threading.RLock()  # nothing is told once whoever listens has gone
        self.guarded = 0  # the thread that is to hear of Ray's end
        self.parts, self.logs = parts, logs
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.loop, name="watch", daemon=True)
        self.thread.start()

    def loop(self) -> None:
        while not self.over.wait(LOOK_S):
            if self.look():
                self.interrupt()
                return
            with suppress(Exception):  # a worker that cannot be asked about is asked about again
                self.look_at_workers()

    def look(self) -> str:
        """Which of Ray's processes has ended, and how; empty where all are there."""
        self.ended = self.ended or next(filter(None, (part() for part in self.parts)), "")
        return self.ended

    def interrupt(self) -> None:
        """Have the launcher's thread raise. One that waits inside Ray may not: then the process ends here."""
        with suppress(Exception):
            self.tell("", f"{self.ended}; the launch ends")
        guarded = self.guarded
        if guarded == threading.main_thread().ident:
            signal.pthread_kill(guarded, signal.SIGINT)  # as Ctrl-C: a wait inside the system ends, too
        elif guarded:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(guarded), ctypes.py_object(KeyboardInterrupt))
        deadline = time.monotonic() + STUCK_S
        while self.guarded and not self.over.wait(LOOK_S):
            if time.monotonic() > deadline:
                print(f"error: {self.ended}, and the launcher waits for it in vain", file=sys.stderr, flush=True)  # noqa: T201
                os._exit(3)

    @contextmanager
    def guard(self, folder: str) -> Iterator[None]:
        """Where Ray ends inside, raise UserError in place of whatever comes of that. folder: takes Ray's logs."""
        if self.look():
            raise self.error(folder)
        self.guarded = threading.get_ident()
        try:
            yield
        except (Exception, KeyboardInterrupt):
            self.guarded = 0
            if self.look():
                raise self.error(folder) from None
            raise
        finally:
            self.guarded = 0

    def error(self, folder: str) -> UserError:
        place = keep_logs(self.logs, UPath(folder))
        fix = "Ray's logs, kept there, say why; `doctor` says whether memory is short; `resume` goes on"
        return UserError(self.ended, where=str(place), fix=fix, kind=Kind.ENVIRONMENT)

    def tell(self, task: str, text: str) -> None:
        with self.lock:
            if self.say is not None:
                self.say(task, text)

    def look_at_workers(self) -> None:
        """Say which workers have been silent for long, and end those that have been so for longer."""
        silences = ray.get(self.notes.silent.remote(SILENT_S), timeout=ANSWER_S)
        self.silent &= silences.keys()
        gone = {node["NodeID"] for node in ray.nodes() if not node["Alive"]} if silences else set()
        for key, silence in silences.items():
            if silence.node in gone:
                progress.forget(self.notes, key)
                continue
            with suppress(Exception):  # the others are looked at all the same
                self.look_at(key, silence)

    def look_at(self, key: str, silence: Silence) -> None:
        """At a worker that has been silent. key: of its task and itself."""
        task, name = key.rpartition("/")[0], f"process {silence.pid} on {silence.host}"
        if key not in self.silent:
            state = on_node(silence, state_of)
            if state is None:  # it has ended, which is told elsewhere
                progress.forget(self.notes, key)
                return
            self.silent.add(key)
            self.tell(task, f"its worker has been silent for {silence.seconds:.0f} s ({name} is {state})")
        elif silence.seconds > GIVEN_UP_S:
            on_node(silence, end)
            progress.forget(self.notes, key)
            self.tell(task, f"its worker was silent for {silence.seconds:.0f} s and is ended ({name})")

    @contextmanager
    def telling(self, say: Say) -> Iterator[None]:
        """What is seen inside is told."""
        with self.lock:
            self.say = say
        try:
            yield
        finally:
            with self.lock:
                self.say = None

    def end(self) -> None:
        """Look no more. A question that is under way is waited for: Ray ends a process that asks while it closes."""
        self.over.set()
        if not self.ended:
            self.thread.join(ANSWER_S)


def watch_ray(notes: Any) -> Watch:
    """Of the Ray that this process has started or joined."""
    node = ray._private.worker._global_node
    return Watch(notes, parts_of(node), Path(node.get_logs_dir_path()))


def parts_of(node: Any) -> Sequence[Callable[[], str]]:
    """node: Ray's own object of this machine."""
    ours = {name: infos[0].process for name, infos in node.all_processes.items() if name in ("gcs_server", "raylet")}
    if len(ours) == 2:
        return [partial(how_ended, name, process) for name, process in ours.items()]
    return [Directory(node.gcs_address), *raylet_here(node.raylet_socket_name)]


def how_ended(name: str, process: Any) -> str:
    code = process.poll()
    if code is None:
        return ""
    names = {number.value: number.name for number in signal.Signals}
    how = f"killed by {names.get(-code, -code)}" if code < 0 else f"with exit code {code}"
    return f"a process of Ray's, {name}, has ended ({how})"


class Directory:
    """Of a Ray that was joined: whether its directory can be reached."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address, self.reached = (host.strip("[]"), int(port)), time.monotonic()

    def __call__(self) -> str:
        try:
            socket.create_connection(self.address, timeout=LOOK_S).close()
        except OSError:
            away = time.monotonic() - self.reached
            return f"the cluster's directory (GCS) has not answered for {away:.0f} s" if away > UNREACHED_S else ""
        self.reached = time.monotonic()
        return ""


def raylet_here(name: str) -> list[Callable[[], str]]:
    """A question for the raylet of this node, where its process can be seen from here. name: of its socket."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "raylet" and any(name in word for word in process.cmdline()):
                return [partial(is_there, process)]
    return []


def is_there(process: psutil.Process) -> str:
    return "" if process.is_running() else "a process of Ray's on this node, raylet, has ended"


def keep_logs(logs: Path, folder: UPath) -> UPath:
    """Copy the ends of Ray's logs, which go with its temporary folder, to where the run lies."""
    place = folder / f"logs-{datetime.now():%Y%m%d-%H%M%S}"
    for pattern in LOGS:
        for file in sorted(logs.glob(pattern)):
            with suppress(OSError):
                write_atomically(place / file.name, file.read_bytes()[-KEPT_BYTES:])
    return place


def on_node(silence: Silence, question: Callable[[int], Any]) -> Any:
    """Ask about a process on its node."""
    if silence.node == ray.get_runtime_context().get_node_id():
        return question(silence.pid)
    place = NodeAffinitySchedulingStrategy(silence.node, soft=False)
    return ray.get(ray.remote(num_cpus=0, scheduling_strategy=place)(question).remote(silence.pid), timeout=ANSWER_S)


def state_of(pid: int) -> str | None:
    """What a worker's process is at ("stopped", "disk-sleep", "running"); None where it is gone."""
    try:
        process = psutil.Process(pid)
        return process.status() if "ray::" in " ".join(process.cmdline()) else None
    except psutil.NoSuchProcess:
        return None


def end(pid: int) -> None:
    if state_of(pid) is not None:
        os.kill(pid, signal.SIGKILL)
