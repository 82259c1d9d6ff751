"""Processes with torch: lone ones that stay and work on one task after the other, and workers of a group."""

import warnings
from collections.abc import Generator

import ray
import torch
import torch.distributed as dist

from orchestrator.execution.executor import End, Note, RungReport, Task, error_text
from orchestrator.execution.on_ray import progress
from orchestrator.execution.on_ray.attempts import Reply
from orchestrator.execution.on_ray.images import SharedImages
from orchestrator.execution.work.worker import Worker, computing
from orchestrator.planning.early_stopping import Decision


class RayWorker(Worker):
    """A worker of a process group, or a lone one. task: the id of what it works on."""

    def __init__(self, images: SharedImages, device: torch.device, task: Task) -> None:
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        super().__init__(images.of(task.work, rank, world), device, rank, world)
        self.task = task.id

    def progress(self, done: float, total: float, text: str) -> None:
        progress.pin(f"{self.task}/{self.rank}", Note(done, total, text))

    def barrier(self) -> None:
        if dist.is_initialized():
            dist.barrier()


class WarmWorker:
    """A Ray actor that works on one task at a time, from one report to the next."""

    def __init__(self, images: SharedImages) -> None:
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
