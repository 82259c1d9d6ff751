"""A small Ray actor that keeps every worker's progress note and signs of life; the launcher reads it."""

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.execution.executor import Note

NAME = "orchestrator-notes"
BEAT_S = 5.0


@dataclass(frozen=True)
class Silence:
    """For how long a worker has shown no sign of life, and where it is. node: Ray's id."""

    seconds: float
    pid: int
    host: str
    node: str


class Notes:
    """The latest progress note of every worker, and when each that works has last shown a sign of life."""

    def __init__(self) -> None:
        self.notes: dict[str, Note] = {}
        self.beats: dict[str, Silence] = {}  # seconds: of this process's clock

    def put(self, key: str, note: Note) -> None:
        self.notes[key] = note

    def read(self) -> dict[str, Note]:
        return self.notes

    def beat(self, key: str, pid: int, host: str, node: str) -> None:
        self.beats[key] = Silence(time.monotonic(), pid, host, node)

    def rest(self, key: str, pid: int) -> None:
        """A worker does not work on that any more; another one may have begun to."""
        if key in self.beats and pid in (0, self.beats[key].pid):
            del self.beats[key]

    def silent(self, seconds: float) -> dict[str, Silence]:
        """Those that work and have shown no sign of life for longer."""
        ages = {key: replace(beat, seconds=time.monotonic() - beat.seconds) for key, beat in self.beats.items()}
        return {key: silence for key, silence in ages.items() if silence.seconds > seconds}


def start() -> Any:
    """The notes of this cluster's launcher, on its node: any other may go."""
    this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(num_cpus=0, scheduling_strategy=this_node)(Notes)
    return actor.options(name=NAME, get_if_exists=True).remote()


def read(actor: Any) -> Mapping[str, Note]:
    """All notes; none where they have gone with another launcher that had started them, or with Ray."""
    try:
        notes: dict[str, Note] = ray.get(actor.read.remote())
    except ray.exceptions.RayError:
        return {}
    return notes


def put(key: str, note: Note) -> None:
    """Fire and forget, from any worker. Where nobody keeps notes any more, nothing happens."""
    with suppress(ValueError):
        ray.get_actor(NAME).put.remote(key, note)


def forget(actor: Any, key: str) -> None:
    """Whoever worked on that is gone."""
    actor.rest.remote(key, 0)


@contextmanager
def beating(key: str) -> Iterator[None]:
    """Show signs of life, from any worker, until the block ends."""
    ended, pid = threading.Event(), os.getpid()

    def beat() -> None:
        with suppress(Exception):  # Ray ends
            actor, node = ray.get_actor(NAME), ray.get_runtime_context().get_node_id()
            while not ended.is_set():
                actor.beat.remote(key, pid, socket.gethostname(), node)
                ended.wait(BEAT_S)
            actor.rest.remote(key, pid)

    threading.Thread(target=beat, name="beat", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
