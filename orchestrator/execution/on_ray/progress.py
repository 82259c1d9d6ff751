"""A small Ray actor to which workers pin how far they are; the launcher reads it for its live view."""

from collections.abc import Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.execution.executor import Note

NAME = "orchestrator-board"


class Board:
    """The latest note of every worker."""

    def __init__(self) -> None:
        self.notes: dict[str, Note] = {}

    def pin(self, key: str, note: Note) -> None:
        self.notes[key] = note

    def read(self) -> dict[str, Note]:
        return self.notes


def start() -> Any:
    """The board of this cluster's launcher, on its node: any other may go."""
    this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=this_node)(Board).options(name=NAME, get_if_exists=True).remote()


def read(board: Any) -> Mapping[str, Note]:
    """All notes; none where the board has gone with another launcher that had made it."""
    try:
        notes: dict[str, Note] = ray.get(board.read.remote())
    except ray.exceptions.RayActorError:
        return {}
    return notes


def pin(key: str, note: Note) -> None:
    """Fire and forget, from any worker. Where there is no board any more, nothing happens."""
    try:
        board = ray.get_actor(NAME)
    except ValueError:
        return
    board.pin.remote(key, note)
