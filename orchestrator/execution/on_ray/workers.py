"""Workers in processes of Ray's: where they run, how they say how far they are, and how images reach them."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import ray
import ray.train
import torch
import torch.distributed as dist

from orchestrator.data.shared import ShardedSplits, SharedSplits
from orchestrator.data.split_store import AUXILIARY_SHARDS, SHARDS, SplitManifest
from orchestrator.execution.on_ray.progress import pin
from orchestrator.execution.work.worker import UnitWork, Worker, needs_auxiliary
from tune_spaces.schema import Resources


class RayWorker(Worker):
    """A worker of a process group, or a lone one. label: whose it is, on the live view."""

    def __init__(self, splits: SharedSplits, device: torch.device, label: str) -> None:
        super().__init__(splits, device, *place())
        self.label = label
        self.behind, self.part, self.whole = 0.0, 1.0, 0.0

    def queue(self, behind: float, part: float, whole: float) -> None:
        """From here on, progress is that of a `part` of the worker's `whole` work, and so much is `behind` it."""
        self.behind, self.part, self.whole = behind, part, whole

    def progress(self, done: float, total: float, text: str) -> None:
        if self.whole:
            done, total = self.behind + self.part * done / total, self.whole
        pin(f"{self.label}/{self.rank}", done, total, text)

    def barrier(self) -> None:
        if dist.is_initialized():
            dist.barrier()


def place() -> tuple[int, int]:
    """This process's rank, and how many there are in its group."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def lone_device() -> torch.device:
    """Of a process that Ray has given a GPU, or none."""
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


def stream(manifest: SplitManifest) -> Any:
    """The shards as a Ray dataset, read by Ray's tasks and streamed to whoever iterates."""
    import ray.data

    held = manifest.counts.auxiliary and manifest.streamed is None
    folders = [SHARDS, AUXILIARY_SHARDS] if held else [SHARDS]
    return ray.data.read_parquet([f"{manifest.path}/{folder}" for folder in folders])


def whole_stream() -> Any:
    """Every worker sees every image and keeps what its units need; batches are shared out by row later."""
    from ray.train import DataConfig

    return DataConfig(datasets_to_split=[])


def scaling(resources: Resources, workers: int) -> Any:
    """So many workers, or as few as the space allows where it allows fewer; 0 is the calling process itself."""
    from ray.train import ScalingConfig

    claim = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        claim["GPU"] = resources.gpus_per_worker
    elastic = workers and resources.least_workers < workers
    count = (resources.least_workers, workers) if elastic else workers
    return ScalingConfig(num_workers=count, use_gpu=resources.gpus_per_worker > 0, resources_per_worker=claim)


def torch_config(resources: Resources) -> Any:
    """Workers that split units only meet at barriers, after hours perhaps; NCCL refuses two workers on one GPU."""
    from orchestrator.execution.on_ray.rendezvous import LocalStoreConfig

    nccl = resources.share == "batches" and resources.gpus_per_worker >= 1
    return LocalStoreConfig(backend="nccl" if nccl else "gloo", timeout_s=7 * 24 * 3600)


def threads(resources: Resources) -> int:
    """Of the CPU, for each worker."""
    return max(1, int(resources.cpus_per_worker))
