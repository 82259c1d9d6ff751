"""Runs tasks on Ray: on warm workers, trials driven by Ray Tune; what needs several workers at once by Ray Train."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from orchestrator.clusters.session import end_what_is_left, heed_signals, node_resources, ray_session
from orchestrator.execution.executor import Ended, Listener, Note, Started, Task, end_after
from orchestrator.execution.on_ray import progress
from orchestrator.execution.on_ray.attempts import Remembering
from orchestrator.execution.on_ray.method_check import check_nodes
from orchestrator.execution.on_ray.pool import Pool, Queue
from orchestrator.execution.on_ray.watch import Watch, watch_ray
from orchestrator.planning.capacity import Node, slots
from orchestrator.record.events import Mishap
from workloads.registry import code_of

if TYPE_CHECKING:
    from orchestrator.data.split_store import SplitStore
    from workloads.data.splits import Splits


class RayExecutor:
    """A Ray of its own on `cpus` cores of this machine, or the running one at `address` that the machine belongs to.

    workload: the method of the run; one from outside the tree is brought to every node. gangs: whether there may be
    tasks that several workers do together.
    """

    name = "ray"

    def __init__(
        self, cpus: int | None = None, address: str | None = None, workload: str = "mlsad", *, gangs: bool = True
    ) -> None:
        self.cpus, self.address, self.workload, self.gangs = cpus, address, workload, gangs
        self.failures: dict[str, str] = {}  # task id -> error, of all calls since it was started
        self.progress_notes: Any = None
        self.watch: Watch | None = None
        self.session = ExitStack()  # Ray, once it is there
        self.starting: Any = None  # the future that waits for it, inside `ahead`

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """In a thread that stays: Ray's processes end with the thread that has started them."""
        heed_signals()  # which that thread cannot have done
        with ThreadPoolExecutor(1, "ray") as thread:
            self.thread, self.starting = thread, thread.submit(self.start)
            try:
                yield
            finally:
                self.starting = None
                thread.submit(self.end).result()

    @contextmanager
    def started(self, store: "SplitStore", digest: str, splits: "Splits | None") -> Iterator[None]:
        from orchestrator.execution.on_ray.images import share_images  # torch, which Ray need not wait for

        self.failures.clear()
        with nullcontext() if self.starting else self.ahead():
            self.starting.result()
            self.folder = str(store.paths.folder / "ray")  # for Tune's and Train's own files
            assert self.watch is not None
            try:
                with self.watch.guard(self.folder):
                    self.images = share_images(store, digest, splits, self.nodes())
                    self.pool = Pool(self.images)
                    try:
                        yield
                    finally:
                        if not self.watch.ended:
                            self.pool.end()
            finally:
                self.thread.submit(self.end)  # beside what the launcher does without it

    def start(self) -> None:
        with ExitStack() as stack:  # closed here where the nodes are refused
            stack.enter_context(ray_session(self.cpus, self.address, code_of(self.workload), dashboard=self.gangs))
            check_nodes(self.workload)
            self.progress_notes = progress.start()
            self.watch = watch_ray(self.progress_notes)
            self.session = stack.pop_all()

    def end(self) -> None:
        if self.watch is not None:
            self.watch.end()
            if self.watch.ended:
                end_what_is_left()
            self.watch = None
        self.session.close()

    def nodes(self) -> Sequence[Node]:
        return node_resources()

    def notes(self) -> Mapping[str, Note]:
        return progress.read(self.progress_notes)

    def run(self, tasks: Sequence[Task], listener: Listener, slots: int | None = None) -> None:
        heard = Remembering(listener, self.failures)
        tells = (
            self.watch.telling(lambda task, text: listener.hear(Mishap(task=task, text=text))) if self.watch else None
        )
        with tells or nullcontext():
            try:
                self.run_all(tasks, heard, slots)
            except Exception:
                if heard.raised:
                    raise heard.raised[0] from None
                raise

    def run_all(self, tasks: Sequence[Task], heard: Remembering, slots: int | None) -> None:
        """Queue, trials and gangs, one after the other."""
        gangs = [task for task in tasks if is_gang(task)]
        trials = [task for task in tasks if task not in gangs and len(task.trials) == 1]
        alone = [task for task in tasks if task not in gangs and task not in trials]
        alone.sort(key=lambda task: task.kind == "baseline")  # nothing waits for them
        if alone:
            Queue(alone, heard, self.failures).run(self.workers(alone, slots))
        if ready := self.without_failed(trials, heard):
            from orchestrator.execution.on_ray.tune import relay_trials

            relay_trials(ready, heard, self.workers(ready, slots), self.folder)
        if gangs:
            self.pool.end()  # what it claims is the gangs'
            self.run_gangs(gangs, heard, slots)

    def workers(self, tasks: Sequence[Task], limit: int | None) -> list[Any]:
        """Warm workers: one a slot, or one a task where those are fewer."""
        claim = tasks[0].claim
        room = self.room(tasks[0], limit) * (claim.workers if claim.share == "units" else 1)
        return self.pool.workers(min(room, len(tasks)), claim)

    def run_gangs(self, tasks: Sequence[Task], listener: Listener, limit: int | None) -> None:
        """Stages whose batches workers share, in rounds: each after those that it reads; then trials."""
        from orchestrator.execution.on_ray.gang import run_gang_trials, train_round

        waiting = [task for task in tasks if task.kind == "stage"]
        while waiting := self.without_failed(waiting, listener):
            ids = {task.id for task in waiting}
            ready = [task for task in waiting if not task.after & ids]
            for task in ready:
                listener.hear(Started(task))
            ends = train_round(ready, self.images, self.folder, self.room(ready[0], limit))
            for task in ready:
                if task.id in ends:
                    listener.hear(Ended(task, ends[task.id]))
            waiting = [task for task in waiting if task.id not in ends]
        if trials := self.without_failed([task for task in tasks if task.kind == "trial"], listener):
            run_gang_trials(trials, listener, self.images, self.room(trials[0], limit), self.folder)

    def room(self, task: Task, limit: int | None) -> int:
        """How many tasks with the claim of this one run at once. Raises UserError where there is no room for any."""
        return limit or slots(task.claim, self.nodes())

    def without_failed(self, tasks: Sequence[Task], listener: Listener) -> list[Task]:
        """The tasks that may run; those that come after a failed one end here."""
        ready = []
        for task in tasks:
            if failed := task.after & self.failures.keys():
                listener.hear(Ended(task, end_after(failed, self.failures)))
            else:
                ready.append(task)
        return ready


def is_gang(task: Task) -> bool:
    """Whether the task needs several workers at once: a trial that has them, a stage whose batches they share."""
    several = task.claim.workers > 1
    return several and (task.kind == "trial" or (task.kind == "stage" and task.claim.share == "batches"))
