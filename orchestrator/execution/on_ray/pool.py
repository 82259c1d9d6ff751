"""The warm workers of a launch: one a slot, started once, and the tasks that they take from a queue."""

import time
import warnings
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ray

from orchestrator.execution.executor import End, Listener, RungReport, Task, error_text, lacking
from orchestrator.execution.on_ray.attempts import Course, Reply, outcome
from orchestrator.planning.early_stopping import Decision
from tune_spaces.schema import Resources

if TYPE_CHECKING:
    from orchestrator.execution.on_ray.images import SharedImages

LOOKS = 10  # at a worker that does not come back, a second apart, after which it is given up


class WarmWorker:
    """A Ray actor that works on one task at a time, from one report to the next.

    Whoever has a handle of it imports this module: torch is imported by the actor alone.
    """

    def __init__(self, images: "SharedImages") -> None:
        import torch

        # what the object store maps cannot be written to, which torch warns of; nothing writes to images
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        self.images = images
        self.device = torch.device("cuda:0" if torch.cuda.is_available() and ray.get_gpu_ids() else "cpu")
        self.reports: Generator[RungReport, Decision | None, End] | None = None

    def ready(self) -> None:
        """Answers once the process is there."""

    def advance(self, task: Task, afresh: bool, decision: Decision | None = None) -> Reply:
        """Work until the next report or the end. afresh: begin the task, in place of what was worked on so far.
        decision: on the last report, which work on several trials wants to hear.

        A process that was lost meanwhile begins as well: work looks for its states, and reports its rungs again.
        """
        from orchestrator.execution.on_ray.workers import RayWorker
        from orchestrator.execution.work.worker import computing

        with computing(task.work.threads):
            try:
                if afresh or self.reports is None:
                    self.stop()
                    self.reports, decision = task.work.run(RayWorker(self.images, self.device, task)), None
                return self.reports.send(decision)
            except StopIteration as ended:
                end: End = ended.value
            except Exception as error:
                end = End(error=error_text(error))
        self.stop()
        return end

    def stop(self) -> None:
        """Let go of what was worked on."""
        if self.reports is not None:
            self.reports.close()
        self.reports = None


class Pool:
    """Warm workers, all with one claim."""

    def __init__(self, images: "SharedImages") -> None:
        self.images = images
        self.actors: list[Any] = []
        self.claim: tuple[float, float] = (0, 0)

    def workers(self, count: int, claim: Resources) -> list[Any]:
        """So many workers with the claim, or more; those that are there already among them."""
        if (cores := (claim.cpus_per_worker, claim.gpus_per_worker)) != self.claim:
            self.end()
            self.claim = cores
        actor = ray.remote(num_cpus=cores[0], num_gpus=cores[1], max_restarts=-1)(WarmWorker)
        self.actors += [actor.remote(self.images) for _ in range(count - len(self.actors))]
        return self.actors

    def end(self) -> None:
        """End all of them; what they claim is free again."""
        for actor in self.actors:
            ray.kill(actor)
        self.actors = []


class Queue:
    """Tasks that workers take, the first that waits for none of the others, until all have ended.

    failures: task id -> error, of all that have failed so far; the listener adds to it.
    """

    def __init__(self, tasks: Sequence[Task], listener: Listener, failures: Mapping[str, str]) -> None:
        self.waiting = [Course(task) for task in tasks]
        self.listener, self.failures = listener, failures
        self.working: dict[Any, tuple[Any, Course]] = {}  # Ray's reference of the answer -> who works on what
        self.looking: dict[Any, tuple[Any, int]] = {}  # the same of a worker that is looked at, and for which time

    def run(self, workers: Sequence[Any]) -> None:
        idle: list[Any] = []
        self.looking = {worker.ready.remote(): (worker, 1) for worker in workers}
        while True:
            idle = [worker for worker in idle if not self.begin(worker)]
            if not self.waiting and not self.working:
                return
            (answer,), _ = ray.wait([*self.working, *self.looking], num_returns=1)
            idle += self.heard(answer) if answer in self.working else self.arrived(answer)
            if not idle and not self.working and not self.looking:
                self.give_up()

    def begin(self, worker: Any) -> bool:
        """Let a worker begin the next task; whether there is one."""
        unfinished = {course.task.id for _, course in self.working.values()} | {c.task.id for c in self.waiting}
        for course in [*self.waiting]:
            if course.task.after & unfinished:
                continue
            self.waiting.remove(course)
            if end := lacking(course.task, self.failures):
                self.listener.ended(course.task, end)
                return self.begin(worker)
            if not course.failures and not course.losses:
                self.listener.started(course.task)
            self.working[worker.advance.remote(course.task, True)] = worker, course
            return True
        return False

    def heard(self, answer: Any) -> list[Any]:
        """Take a worker's answer; the workers that are idle now."""
        worker, course = self.working.pop(answer)
        reply = outcome(answer)
        goes_on = course.hear(reply, self.listener)
        failed = isinstance(reply, End)
        lost = isinstance(reply, End) and reply.lost
        if goes_on and not lost:  # what failed is not gone on with, also where its report alone could not be sent
            self.working[worker.advance.remote(course.task, failed, course.decision)] = worker, course
            return []
        if goes_on:
            self.waiting.insert(0, course)  # for whoever is free first
        if lost:
            self.looking[worker.ready.remote()] = worker, 1
            return []
        return [worker]

    def arrived(self, answer: Any) -> list[Any]:
        """The worker that was looked at, if it is there; otherwise it is looked at again."""
        worker, times = self.looking.pop(answer)
        try:
            ray.get(answer)
        except ray.exceptions.RayError:
            if times < LOOKS:
                time.sleep(1)
                self.looking[worker.ready.remote()] = worker, times + 1
            return []
        return [worker]

    def give_up(self) -> None:
        """End all tasks, for no worker is left."""
        for course in self.waiting:
            self.listener.ended(course.task, End(error="no worker could be started, or came back"))
        self.waiting = []
