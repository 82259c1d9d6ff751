"""What work sees of a process of Ray's, a lone one or one of a group."""

import torch
import torch.distributed as dist

from orchestrator.execution.executor import Note, Task
from orchestrator.execution.on_ray import progress
from orchestrator.execution.on_ray.images import SharedImages
from orchestrator.execution.work.worker import Worker


class RayWorker(Worker):
    """A worker of a process group, or a lone one. task: the id of what it works on."""

    def __init__(self, images: SharedImages, device: torch.device, task: Task) -> None:
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        super().__init__(images.of(task.work, rank, world), device, rank, world)
        self.task = task.id

    def progress(self, done: float, total: float, text: str) -> None:
        progress.put(f"{self.task}/{self.rank}", Note(done, total, text))

    def barrier(self) -> None:
        if dist.is_initialized():
            dist.barrier()
