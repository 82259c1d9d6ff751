"""Workers in processes of Ray's: where they run, how they say how far they are, and how images reach them."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import ray
import ray.train
import torch
import torch.distributed as dist

from orchestrator.data.shared import ShardedSplits, SharedSplits
from orchestrator.data.split_store import SplitManifest, SplitStore
from orchestrator.execution.executor import Note, Task
from orchestrator.execution.on_ray import progress
from orchestrator.execution.work.analysis import AnalysisWork
from orchestrator.execution.work.worker import End, UnitWork, Worker, computing, needs_auxiliary


class RayWorker(Worker):
    """A worker of a process group, or a lone one. task: the id of what it works on."""

    def __init__(self, splits: SharedSplits, device: torch.device, task: str) -> None:
        super().__init__(splits, device, *place())
        self.task = task

    def progress(self, done: float, total: float, text: str) -> None:
        progress.put(f"{self.task}/{self.rank}", Note(done, total, text))

    def barrier(self) -> None:
        if dist.is_initialized():
            dist.barrier()


def place() -> tuple[int, int]:
    """This process's rank, and how many there are in its group."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def lone_device() -> torch.device:
    """The device of a process that Ray has given a GPU, or none."""
    return torch.device("cuda:0" if torch.cuda.is_available() and ray.get_gpu_ids() else "cpu")


def streamed_splits(manifest: SplitManifest, method: str, units: Sequence[UnitWork]) -> ShardedSplits:
    """The images of some units, out of the stream of shards that Ray Train brings to its workers."""

    def tables() -> Iterable[pa.Table]:
        batches: Iterable[pa.Table] = ray.train.get_dataset_shard("images").iter_batches(
            batch_size=None, batch_format="pyarrow"
        )
        return batches

    targets = sorted({work.unit.target for work in units})
    auxiliary = any(needs_auxiliary(method, work) for work in units)
    return ShardedSplits(manifest, tables, targets, auxiliary=auxiliary)


def do_alone(task: Task, store: SplitStore, manifest: SplitManifest) -> End:
    """Inside a Ray task: do work that has no rungs, with the images that the storage keeps; how it ended."""
    targets = [task.work.target] if isinstance(task.work, AnalysisWork) else manifest.targets.names
    masks = store.masks(manifest.digest)
    splits = ShardedSplits(manifest, lambda: store.tables(manifest.digest), targets, masks=masks)
    with computing(task.work.threads):
        work = task.work.run(RayWorker(splits, lone_device(), task.id))
        while True:
            try:
                next(work)
            except StopIteration as stop:
                end: End = stop.value
                return end
