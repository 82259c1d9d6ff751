"""The warm workers of a launch: one a slot, started once, and the tasks that they take from a queue."""

import warnings
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ray

from orchestrator.execution.executor import End, Ended, Listener, RungReport, Task, end_after
from orchestrator.execution.on_ray.attempts import Course, Reply, end_of, outcome
from orchestrator.execution.on_ray.crew import AGAIN_S, GONE, Crew
from orchestrator.execution.on_ray.progress import beating
from orchestrator.planning.early_stopping import Decision
from tune_spaces.schema import Resources

if TYPE_CHECKING:
    from orchestrator.execution.on_ray.images import SharedImages


class WarmWorker:
    """A Ray actor that works on one task at a time, from one report to the next.

    Whoever has a handle of it imports this module: torch is imported by the actor alone.
    """

    def __init__(self, images: bytes) -> None:
        """images: SharedImages, pickled by the pool."""
        import torch

        # what the object store maps cannot be written to, which torch warns of; nothing writes to images
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        self.images: SharedImages = ray.cloudpickle.loads(images)
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

        with computing(task.work.threads), beating(f"{task.id}/0"):
            try:
                if afresh or self.reports is None:
                    self.stop()
                    self.reports, decision = task.work.run(RayWorker(self.images, self.device, task)), None
                return self.reports.send(decision)
            except StopIteration as ended:
                end: End = ended.value
            except Exception as error:
                end = end_of(error)
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
        # References that are pickled here keep their objects as long as this process is connected to Ray, so launches
        # in a Ray that is not ended between them add up: Ray 2.60 has no call that frees an object. Ray does not keep
        # those among the arguments of a constructor, which a worker that is started again needs once more, and warns
        # of them.
        self.images = ray.cloudpickle.dumps(images)
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
        self.working: dict[Any, tuple[int, Course]] = {}  # Ray's reference of the answer -> who works on what

    def run(self, workers: Sequence[Any]) -> None:
        crew = Crew(workers)
        while True:
            while (course := self.ready()) and (number := crew.take()) is not None:
                self.waiting.remove(course)
                course.begin(self.listener)
                self.working[workers[number].advance.remote(course.task, True)] = number, course
            if not self.waiting and not self.working:
                return
            if crew.gone and not self.working:
                self.give_up()
                return
            for answer in crew.look(self.working, AGAIN_S):
                if answer in self.working:
                    self.hear(answer, crew)

    def ready(self) -> Course | None:
        """The first task that waits for none of the others. Those that come after a failed one end here."""
        unfinished = {course.task.id for _, course in self.working.values()} | {c.task.id for c in self.waiting}
        for course in self.waiting:
            if course.task.after & unfinished:
                continue
            if failed := course.task.after & self.failures.keys():
                self.waiting.remove(course)
                self.listener.hear(Ended(course.task, end_after(failed, self.failures)))
                return self.ready()
            return course
        return None

    def hear(self, answer: Any, crew: Crew) -> None:
        """Take a worker's answer. A task whose worker is lost is for whoever is free first."""
        number, course = self.working.pop(answer)
        reply = outcome(answer)
        goes_on, failed = course.hear(reply, self.listener), isinstance(reply, End)
        lost = isinstance(reply, End) and reply.lost
        if goes_on and not lost:  # what failed is not gone on with, also where its report alone could not be sent
            worker = crew.workers[number]
            self.working[worker.advance.remote(course.task, failed, course.decision)] = number, course
            return
        if goes_on:
            self.waiting.insert(0, course)
        crew.release(number)

    def give_up(self) -> None:
        """End all tasks, for no worker is left."""
        for course in self.waiting:
            self.listener.hear(Ended(course.task, GONE))
