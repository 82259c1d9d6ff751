"""The seam between a launch and the place where it runs: what an executor is given to do, and what it tells of it."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.planning.capacity import Node
from orchestrator.planning.early_stopping import Decision
from orchestrator.record.events import Mishap, RungMetrics
from tune_spaces.schema import Resources
from workloads.errors import UserError

if TYPE_CHECKING:  # torch, which whoever only watches, or hands reports on, does not need
    from orchestrator.data.split_store import SplitStore
    from orchestrator.execution.work.worker import Work
    from workloads.data.splits import Splits


@dataclass(frozen=True)
class Task:
    """One thing to be done. It is plain data, so that it can travel.

    id: "stage/<key>", "trial/<id>", "analysis/<name>/<target>" or "baseline/<name>". claim: what it needs of a machine.
    after: tasks, of this call or an earlier one, none of which may have failed. retries: attempts after a failed one.
    """

    id: str
    work: "Work"
    claim: Resources
    after: frozenset[str] = frozenset()
    retries: int = 1

    @property
    def kind(self) -> str:
        """The first part of the id."""
        return self.id.partition("/")[0]

    @property
    def name(self) -> str:
        """The id without its kind: a stage's key, a trial's id."""
        return self.id.partition("/")[2]

    @property
    def trials(self) -> Sequence[Any]:
        """The trials that it trains; none of any other kind of task."""
        return getattr(self.work, "trials", ())


@dataclass(frozen=True)
class Note:
    """How far a worker is: `done` of `total`, in any unit, and what it is at."""

    done: float
    total: float
    text: str

    @property
    def fraction(self) -> float:
        """In [0, 1]."""
        return min(1.0, self.done / self.total) if self.total else 0.0


@dataclass(frozen=True)
class RungReport:
    """A trial has reached a rung."""

    trial: str
    rung: int
    metrics: RungMetrics


@dataclass(frozen=True)
class End:
    """Work is over. seconds, steps: of a stage's training, whoever did it. error: why it failed; else empty. lost: not
    the work failed, the process that did it is gone. world: the machine around refuses what the next task would ask,
    too (a full disk, rights)."""

    seconds: float = 0.0
    steps: int = 0
    error: str = ""
    lost: bool = False
    world: UserError | None = None


@dataclass(frozen=True)
class Started:
    """An attempt at a task begins."""

    task: Task


@dataclass(frozen=True)
class Ended:
    """A task is over: it came to its end, was stopped, or has failed for good."""

    task: Task
    end: End


TaskEvent = Started | RungReport | Ended | Mishap


def error_text(error: BaseException) -> str:
    """What a user is told of an error: all that one for users says, of others the type and the last line."""
    if isinstance(error, UserError):
        return str(error)
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[-1]}"


class Listener(Protocol):
    """Hears of everything that happens to tasks, and decides which trials go on."""

    def hear(self, event: TaskEvent) -> Decision:
        """Take in what has happened; of a rung, whether its trial goes on."""
        ...


class Executor(Protocol):
    """Runs tasks on the images that it has been started with."""

    name: str

    def ahead(self) -> AbstractContextManager[object]:
        """Begin to start, beside what the launcher does inside; on the way out what was started has ended. `started`
        waits for it, and starts by itself where this was left out."""
        ...

    def started(self, store: "SplitStore", digest: str, splits: "Splits | None") -> AbstractContextManager[object]:
        """Start what is needed and bring the images to the workers; on the way out end all that was started, after
        Ctrl-C too. splits: what the store keeps under the digest, where the launcher has it in memory."""
        ...

    def nodes(self) -> Sequence[Node]:
        """What every node offers, once it is started."""
        ...

    def run(self, tasks: Sequence[Task], listener: Listener, slots: int | None = None) -> None:
        """Run tasks, in their order where they wait for the same place, until all have ended.

        slots: trials at once; counted from the nodes where absent. One that fails is told to the listener; the others
        go on, but for those that come after it. Raises UserError where there is no room for even one.
        """
        ...

    def notes(self) -> Mapping[str, Note]:
        """How far the tasks are, by task id and rank of the worker: "trial/<id>/0"."""
        ...


def end_after(failed: Collection[str], failures: Mapping[str, str]) -> End:
    """How a task ends that comes after some that have failed. failures: task id -> error."""
    first = min(failed)
    return End(error=f"{first} failed: {failures[first]}")
