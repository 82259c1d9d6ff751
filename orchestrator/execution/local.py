"""Runs every task in this process, one after the other. No Ray: breakpoints work."""

import os
import pickle
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass

import torch

from orchestrator.data.shared import SharedSplits, SplitsInMemory
from orchestrator.data.split_store import SplitStore
from orchestrator.execution.executor import (
    End,
    Ended,
    Listener,
    Note,
    RungReport,
    Started,
    Task,
    TaskEvent,
    end_after,
    error_text,
)
from orchestrator.execution.work.worker import Worker, computing
from orchestrator.planning.capacity import Node
from orchestrator.planning.early_stopping import Decision
from workloads.data.splits import Splits
from workloads.errors import Kind, UserError, meets_all


class LocalExecutor:
    """One process, tasks in their order.

    Workers that a trial would have elsewhere are one here: units are trained one after the other, whole batches at a
    time. travelling: pickle every task and read it back, so that tests find here what could not go to another process.
    """

    name = "local"
    ahead = nullcontext  # there is nothing to start

    def __init__(self, *, travelling: bool = False) -> None:
        self.travelling = travelling
        self.splits: SharedSplits | None = None
        self.running: dict[str, Note] = {}
        self.failures: dict[str, str] = {}  # task id -> error, of all calls since it was started

    @contextmanager
    def started(self, store: SplitStore, digest: str, splits: Splits | None) -> Iterator[None]:
        self.failures.clear()
        self.splits = SplitsInMemory(splits or store.read(digest))
        yield

    def nodes(self) -> Sequence[Node]:
        return [{"CPU": float(os.cpu_count() or 1)}]

    def notes(self) -> Mapping[str, Note]:
        return dict(self.running)

    def run(self, tasks: Sequence[Task], listener: Listener, slots: int | None = None) -> None:  # noqa: ARG002 - one
        if any(task.claim.gpus_per_worker for task in tasks) and not torch.cuda.is_available():
            raise UserError(
                "each worker asks for a GPU, and torch sees none here",
                where="resources.gpus_per_worker",
                fix="give --gpus-per-worker 0 to compute on the CPU, or mend this machine's CUDA",
                kind=Kind.ENVIRONMENT,
            )
        decision: Decision | None = None
        with closing(self.events(tasks)) as events, suppress(StopIteration):
            while True:
                decision = listener.hear(events.send(decision))

    def events(self, tasks: Sequence[Task]) -> Generator[TaskEvent, Decision | None, None]:
        """Do the tasks and yield what happens. Sent back is the decision on it."""
        for task in tasks:
            failed = task.after & self.failures.keys()
            end = end_after(failed, self.failures) if failed else (yield from self.attempts(task))
            if end.error:
                self.failures[task.id] = end.error
            yield Ended(task, end)

    def attempts(self, task: Task) -> Generator[TaskEvent, Decision | None, End]:
        """Do a task, and again where it failed."""
        end = End()
        for _ in range(1 + task.retries):
            reports = self.attempt(task)
            yield Started(task)
            going, decision = {trial.id for trial in task.trials}, None
            try:
                with computing(task.work.threads), closing(reports):
                    while True:
                        rung = reports.send(decision)
                        decision = yield rung
                        going -= {rung.trial} if decision is not None and decision.leaves else set()
                        if not going:
                            return End()
            except StopIteration as ended:
                end = ended.value
            except Exception as error:
                if meets_all(error):
                    raise
                end = End(error=error_text(error))
            finally:
                self.running.pop(f"{task.id}/0", None)
            if not end.error:
                break
        return end

    def attempt(self, task: Task) -> Generator[RungReport, Decision | None, End]:
        """The work of a task, not begun yet."""
        if self.splits is None:
            raise ValueError("images are shared before tasks run")
        sent: Task = pickle.loads(pickle.dumps(task)) if self.travelling else task  # noqa: S301 - made in this line
        device = torch.device("cuda:0" if task.claim.gpus_per_worker else "cpu")
        return sent.work.run(LocalWorker(self.splits, device, key=f"{task.id}/0", notes=self.running))


@dataclass(kw_only=True)
class LocalWorker(Worker):
    """The only worker of a task; it notes how far it is, under a key, in a dictionary of the executor's."""

    key: str
    notes: dict[str, Note]

    def progress(self, done: float, total: float, text: str) -> None:
        self.notes[self.key] = Note(done, total, text)
