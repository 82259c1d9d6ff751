"""A small Ray actor to which workers pin how far they are; the launcher reads it for its live view."""

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

NAME = "orchestrator-board"


class Board:
    """Latest note by key: (done, total, text)."""

    def __init__(self) -> None:
        self.notes: dict[str, tuple[float, float, str]] = {}

    def pin(self, key: str, done: float, total: float, text: str) -> None:
        self.notes[key] = (done, total, text)

    def read(self) -> dict[str, tuple[float, float, str]]:
        return self.notes


def start() -> Any:
    """The board of this cluster's launcher, on its node: any other may go."""
    this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=this_node)(Board).options(name=NAME, get_if_exists=True).remote()


def read(board: Any) -> dict[str, tuple[float, float, str]]:
    """All notes; none where the board has gone with another launcher that had made it."""
    try:
        notes: dict[str, tuple[float, float, str]] = ray.get(board.read.remote())
    except ray.exceptions.RayActorError:
        return {}
    return notes


def pin(key: str, done: float, total: float, text: str) -> None:
    """Fire and forget, from any worker; without a board (a worker run alone in a test) nothing happens."""
    try:
        board = ray.get_actor(NAME)
    except ValueError:
        return
    board.pin.remote(key, done, total, text)
