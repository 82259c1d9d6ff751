"""Runs tasks on Ray: stages and trials in Ray Train workers, trials driven by Ray Tune, the rest in Ray tasks."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Self

import ray

from orchestrator.clusters.session import node_resources, ray_session
from orchestrator.data.split_store import SplitStore
from orchestrator.execution.executor import Listener, Note, Task, lacking
from orchestrator.execution.on_ray import progress
from orchestrator.execution.on_ray.gang import train_round
from orchestrator.execution.on_ray.method_check import check_nodes
from orchestrator.execution.on_ray.tune import run_trials
from orchestrator.execution.on_ray.workers import do_alone
from orchestrator.execution.work.worker import End, last_line
from orchestrator.planning.capacity import Node, slots
from workloads.data.splits import Splits
from workloads.registry import code_of


class RayExecutor:
    """A Ray of its own on `cpus` cores of this machine, or the running one at `address` that the machine belongs to.

    workload: the method of the run; one from outside the tree is brought to every node.
    Stages that are trained in one round fail together: those that are not done when one fails for good.
    """

    name = "ray"

    def __init__(self, cpus: int | None = None, address: str | None = None, workload: str = "mlsad") -> None:
        self.cpus, self.address, self.workload = cpus, address, workload
        self.stack = ExitStack()
        self.failures: dict[str, str] = {}  # task id -> error, of all calls
        self.progress_notes: Any = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # closed where the second step fails
            stack.enter_context(ray_session(self.cpus, self.address, code_of(self.workload)))
            check_nodes(self.workload)
            self.progress_notes = progress.start()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def nodes(self) -> Sequence[Node]:
        return node_resources()

    def share(self, store: SplitStore, digest: str, splits: Splits | None) -> None:  # noqa: ARG002 - workers read shards
        self.store, self.manifest = store, store.manifest(digest)

    def notes(self) -> Mapping[str, Note]:
        return progress.read(self.progress_notes)

    def run(self, tasks: Sequence[Task], listener: Listener, slots: int | None = None) -> None:
        by_kind: dict[str, list[Task]] = {}
        for task in tasks:
            by_kind.setdefault(task.kind, []).append(task)
        beside = self.start(by_kind.get("baseline", []), listener, cpus=0)  # training must not wait for them
        self.run_stages(by_kind.get("stage", []), listener, slots)
        self.wait(beside, listener)
        self.run_trials(by_kind.get("trial", []), listener, slots)
        self.wait(self.start(by_kind.get("analysis", []), listener), listener)

    def run_stages(self, tasks: Sequence[Task], listener: Listener, limit: int | None) -> None:
        """Train stages on all workers of the cluster, in rounds: each after those that it reads."""
        waiting = list(tasks)
        while waiting := self.without_failed(waiting, listener):
            ids = {task.id for task in waiting}
            ready = [task for task in waiting if not task.after & ids]
            for task in ready:
                listener.started(task)
            workers = self.room(ready[0], limit) * ready[0].claim.workers
            ends = train_round(ready, self.manifest, self.store.paths, workers)
            for task in ready:
                self.ended(task, ends[task.id], listener)
            waiting = [task for task in waiting if task.id not in ends]

    def run_trials(self, tasks: Sequence[Task], listener: Listener, limit: int | None) -> None:
        """Run trials under Tune, as many at once as fit."""
        if ready := self.without_failed(tasks, listener):
            run_trials(ready, listener, self.manifest, self.store.paths, self.room(ready[0], limit))

    def room(self, task: Task, limit: int | None) -> int:
        """How many tasks with the claim of this one run at once. Raises UserError where there is no room for any."""
        return limit or slots(task.claim, self.nodes())

    def without_failed(self, tasks: Sequence[Task], listener: Listener) -> list[Task]:
        """The tasks that may run; those that come after a failed one end here."""
        ready = []
        for task in tasks:
            if end := lacking(task, self.failures):
                self.ended(task, end, listener)
            else:
                ready.append(task)
        return ready

    def ended(self, task: Task, end: End, listener: Listener) -> None:
        if end.error:
            self.failures[task.id] = end.error
        listener.ended(task, end)

    def start(self, tasks: Sequence[Task], listener: Listener, cpus: float | None = None) -> dict[Any, Task]:
        """Start work that needs one process, each a Ray task of its own, as far as there is room; a future of each.

        cpus: that each claims, in place of what its own claim says. Raises UserError where not even one fits.
        """
        if tasks and cpus is None:
            self.room(tasks[0], None)
        running = {}
        for task in tasks:
            listener.started(task)
            cores = task.claim.cpus_per_worker if cpus is None else cpus
            gpus = task.claim.gpus_per_worker if cpus is None else 0
            running[ray.remote(num_cpus=cores, num_gpus=gpus)(do_alone).remote(task, self.store, self.manifest)] = task
        return running

    def wait(self, running: dict[Any, Task], listener: Listener) -> None:
        """Tell the listener of each task as it ends."""
        while running:
            (ready,), _ = ray.wait(list(running), num_returns=1)
            try:
                end: End = ray.get(ready)
            except ray.exceptions.RayError as error:
                end = End(error=last_line(error))
            self.ended(running.pop(ready), end, listener)
