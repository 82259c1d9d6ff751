"""Runs every task in this process, one after the other. No Ray: breakpoints work, and errors stay what they are."""

import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

import torch

from orchestrator.data.shared import SharedSplits
from orchestrator.execution.executor import Listener, Note, Task
from orchestrator.execution.work.worker import End, Worker
from orchestrator.planning.capacity import Node
from orchestrator.planning.early_stopping import Decision
from workloads.data.splits import Splits


class LocalExecutor:
    """One process, tasks in their order.

    Workers that would share a trial are one: networks are trained one after the other, batches are not shared.
    travelling: pickle every task and read it back, so that tests find here what could not travel to another process.
    """

    name = "local"

    def __init__(self, *, travelling: bool = False) -> None:
        self.travelling = travelling
        self.splits: SharedSplits | None = None
        self.current: dict[str, Note] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.current.clear()

    def nodes(self) -> Sequence[Node]:
        return [{"CPU": float(os.cpu_count() or 1)}]

    def share(self, splits: Splits, folder: str) -> SharedSplits:  # noqa: ARG002 - they are in memory
        self.splits = SharedSplits.of(splits)
        return self.splits

    def notes(self) -> Mapping[str, Note]:
        return dict(self.current)

    def run(self, tasks: Sequence[Task], listener: Listener, slots: int | None = None) -> None:  # noqa: ARG002 - one
        failures: dict[str, str] = {}
        for task in tasks:
            if lacking := sorted(task.after & failures.keys()):
                end = End.failure(f"{lacking[0]} failed: {failures[lacking[0]]}")
            else:
                end = self.attempts(task, listener)
            if end.failed:
                failures[task.id] = end.error
            listener.ended(task, end)

    def attempts(self, task: Task, listener: Listener) -> End:
        """Run a task, again where it failed and may be tried again."""
        sent: Task = pickle.loads(pickle.dumps(task)) if self.travelling else task  # noqa: S301 - made in this line
        for attempt in range(1, task.retries + 2):
            listener.started(task, attempt)
            try:
                return self.attempt(sent, listener)
            except Exception as error:
                lines = str(error).strip().splitlines() or ["no message"]
                end = End.failure(f"{type(error).__name__}: {lines[-1]}")
        return end

    def attempt(self, task: Task, listener: Listener) -> End:
        assert self.splits is not None, "share() comes before run()"
        worker = Worker(0, 1, device_of(task), self.splits, lambda note: self.current.update({f"{task.id}/0": note}))
        with torch_settings(task.claim.cpus):
            steps = task.work.run(worker)
            try:
                while True:
                    if listener.reported(task, next(steps)) == Decision.STOP:
                        steps.close()
                        return End.stopped()
            except StopIteration as stop:
                end: End = stop.value
                return end
            finally:
                self.current.pop(f"{task.id}/0", None)


def device_of(task: Task) -> torch.device:
    return torch.device("cuda:0" if task.claim.gpus and torch.cuda.is_available() else "cpu")


@contextmanager
def torch_settings(cpus: float) -> Iterator[None]:
    """Give torch as many threads as a worker elsewhere has, and put this process's own back."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, int(cpus)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
