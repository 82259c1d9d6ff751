"""What an executor is given to do, and what it tells of it: the seam between a launch and the place where it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

from orchestrator.data.shared import SharedSplits
from orchestrator.execution.work.worker import End, RungReport, Work
from orchestrator.planning.capacity import Node
from orchestrator.planning.early_stopping import Decision
from tune_spaces.schema import Resources
from workloads.data.splits import Splits

MOST_LOSSES = 5
"""Workers that a task may lose in a row without a new rung; after that it counts as failed."""


@dataclass(frozen=True)
class Claim:
    """What a task asks for: `workers` processes, at least `least_workers` of them, each with CPUs and GPUs."""

    workers: int = 1
    least_workers: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    share: Literal["units", "batches"] = "units"

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Return the claim of a trial with these resources."""
        return cls(
            resources.workers,
            resources.least_workers,
            resources.cpus_per_worker,
            resources.gpus_per_worker,
            resources.share,
        )


@dataclass(frozen=True)
class Task:
    """One thing to be done. It is plain data, so that it can travel.

    id: "stage/<key>", "trial/<id>", "analysis/<name>/<target>" or "baselines". after: ids of tasks of the same call
    that must have ended well. retries: further attempts after a failure.
    """

    id: str
    work: Work
    claim: Claim
    after: frozenset[str] = frozenset()
    retries: int = 1

    @property
    def kind(self) -> str:
        return self.id.partition("/")[0]

    @property
    def name(self) -> str:
        """The id without its kind: a stage's key, a trial's id."""
        return self.id.partition("/")[2]


@dataclass(frozen=True)
class Note:
    """How far a worker is: `done` of `total`, in any unit, and what it is at."""

    done: float
    total: float
    text: str

    @property
    def fraction(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0


class Listener(Protocol):
    """Hears of everything that happens to tasks, and decides which trials go on."""

    def started(self, task: Task, attempt: int) -> None:
        """A worker begins the task; attempts count from 1."""
        ...

    def reported(self, task: Task, rung: RungReport) -> Decision:
        """A trial of the task has reached a rung; whether it goes on."""
        ...

    def ended(self, task: Task, end: End) -> None:
        """The task is over, whether it ended well or not."""
        ...


class Executor(Protocol):
    """Runs tasks. Entering starts what it needs; leaving ends all that it has started, also after Ctrl-C."""

    name: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def nodes(self) -> Sequence[Node]:
        """What every node offers."""
        ...

    def share(self, splits: Splits, folder: str) -> SharedSplits:
        """Make the splits reachable for every worker. folder: where they lie as shards."""
        ...

    def run(self, tasks: Sequence[Task], listener: Listener, slots: int | None = None) -> None:
        """Run tasks in their order until all have ended. slots: trials at once; counted from the nodes where absent.

        A task that fails is told to the listener; the others go on, but for those that come after it.
        """
        ...

    def notes(self) -> Mapping[str, Note]:
        """How far the running tasks are, by task id and rank of the worker: "trial/<id>/0"."""
        ...
