"""A small Ray actor that keeps every worker's progress note; the launcher reads it for its live view."""

from collections.abc import Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.execution.executor import Note

NAME = "orchestrator-notes"


class Notes:
    """The latest progress note of every worker."""

    def __init__(self) -> None:
        self.notes: dict[str, Note] = {}

    def put(self, key: str, note: Note) -> None:
        self.notes[key] = note

    def read(self) -> dict[str, Note]:
        return self.notes


def start() -> Any:
    """The notes of this cluster's launcher, on its node: any other may go."""
    this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=this_node)(Notes).options(name=NAME, get_if_exists=True).remote()


def read(actor: Any) -> Mapping[str, Note]:
    """All notes; none where they have gone with another launcher that had started them."""
    try:
        notes: dict[str, Note] = ray.get(actor.read.remote())
    except ray.exceptions.RayActorError:
        return {}
    return notes


def put(key: str, note: Note) -> None:
    """Fire and forget, from any worker. Where nobody keeps notes any more, nothing happens."""
    try:
        actor = ray.get_actor(NAME)
    except ValueError:
        return
    actor.put.remote(key, note)
