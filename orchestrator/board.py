"""A small Ray actor to which workers pin how far they are; the launcher reads it for its live view."""

from typing import Any

import ray

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
    """The board of this cluster's launcher."""
    return ray.remote(num_cpus=0)(Board).options(name=NAME, get_if_exists=True).remote()


def pin(key: str, done: float, total: float, text: str) -> None:
    """Fire and forget, from any worker; without a board (a worker run alone in a test) nothing happens."""
    try:
        board = ray.get_actor(NAME)
    except ValueError:
        return
    board.pin.remote(key, done, total, text)
