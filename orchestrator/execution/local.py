"""Runs every task in this process, one after the other. No Ray: breakpoints work."""

import os
import pickle
from collections.abc import Mapping, Sequence
from typing import Self

import torch

from orchestrator.data.shared import SharedSplits, SplitsInMemory
from orchestrator.data.split_store import SplitStore
from orchestrator.execution.executor import End, Listener, Note, Task, error_text, lacking
from orchestrator.execution.work.trial import TrialWork
from orchestrator.execution.work.worker import Worker, computing
from orchestrator.planning.capacity import Node
from orchestrator.planning.early_stopping import Decision
from workloads.data.splits import Splits
from workloads.errors import Kind, UserError


class LocalExecutor:
    """One process, tasks in their order.

    Workers that a trial would have elsewhere are one here: units are trained one after the other, whole batches at a
    time. travelling: pickle every task and read it back, so that tests find here what could not go to another process.
    """

    name = "local"

    def __init__(self, *, travelling: bool = False) -> None:
        self.travelling = travelling
        self.splits: SharedSplits | None = None
        self.running: dict[str, Note] = {}
        self.failures: dict[str, str] = {}  # task id -> error, of all calls

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.running.clear()

    def nodes(self) -> Sequence[Node]:
        return [{"CPU": float(os.cpu_count() or 1)}]

    def share(self, store: SplitStore, digest: str, splits: Splits | None) -> None:
        self.splits = SplitsInMemory(splits or store.read(digest))

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
        for task in tasks:
            end = lacking(task, self.failures) or self.attempts(task, listener)
            if end.error:
                self.failures[task.id] = end.error
            listener.ended(task, end)

    def attempts(self, task: Task, listener: Listener) -> End:
        """Do a task, and again where it failed."""
        sent: Task = pickle.loads(pickle.dumps(task)) if self.travelling else task  # noqa: S301 - made in this line
        end = End()
        for _ in range(1 + task.retries):
            listener.started(task)
            try:
                end = self.attempt(sent, listener)
            finally:
                self.running.pop(f"{task.id}/0", None)
            if not end.error:
                break
        return end

    def attempt(self, task: Task, listener: Listener) -> End:
        if self.splits is None:
            raise ValueError("images are shared before tasks run")
        work, worker = task.work, LocalWorker(self.splits, task, self.running)
        going = {trial.id for trial in work.trials} if isinstance(work, TrialWork) else set()
        with computing(work.threads):
            rungs, decision = work.run(worker), None
            while True:
                try:
                    rung = rungs.send(decision)
                except StopIteration as stop:
                    end: End = stop.value
                    return end
                except Exception as error:  # the work's; what the listener raises ends the launch
                    return End(error=error_text(error))
                decision = listener.reported(task, rung)
                if decision == Decision.STOP:
                    going.discard(rung.trial)
                    if not going:
                        rungs.close()
                        return End()


class LocalWorker(Worker):
    """The only worker of a task; it notes how far it is in a dictionary of the executor's."""

    def __init__(self, splits: SharedSplits, task: Task, notes: dict[str, Note]) -> None:
        super().__init__(splits, torch.device("cuda:0" if task.claim.gpus_per_worker else "cpu"))
        self.key, self.notes = f"{task.id}/0", notes

    def progress(self, done: float, total: float, text: str) -> None:
        self.notes[self.key] = Note(done, total, text)
