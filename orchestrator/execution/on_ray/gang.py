"""Ray Train's part: workers that belong together, the images that are brought to them, and stages trained by them."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import ray.data
import ray.train
from ray.train import DataConfig, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, WorkerGroupError
from ray.train.torch import TorchTrainer
from upath import UPath

from orchestrator.clusters.session import off_main_thread
from orchestrator.data.split_store import AUXILIARY_SHARDS, SHARDS, SplitManifest
from orchestrator.execution.executor import Task
from orchestrator.execution.on_ray.rendezvous import LocalStoreConfig
from orchestrator.execution.on_ray.workers import RayWorker, place, streamed_splits
from orchestrator.execution.work.stage import StageWork
from orchestrator.execution.work.worker import End, balance, computing, cost, last_line
from orchestrator.record.paths import RunPaths
from tune_spaces.schema import Resources
from workloads.training.checkpoint import is_complete

MEETING_S = 7 * 24 * 3600  # workers that share out units meet at barriers alone, after hours perhaps


def trainer(
    loop: Any, config: dict[str, Any], manifest: SplitManifest, scaling: ScalingConfig, claim: Resources, run: RunConfig
) -> TorchTrainer:
    """Workers that run `loop(config)`, each with the whole stream of shards."""
    held = manifest.counts.auxiliary and manifest.streamed is None
    folders = [SHARDS, AUXILIARY_SHARDS] if held else [SHARDS]
    nccl = claim.share == "batches" and claim.gpus_per_worker >= 1  # NCCL refuses two workers on one GPU
    return TorchTrainer(
        loop,
        train_loop_config=config | {"manifest": manifest},
        torch_config=LocalStoreConfig(backend="nccl" if nccl else "gloo", timeout_s=MEETING_S),
        scaling_config=scaling,
        run_config=run,
        datasets={"images": ray.data.read_parquet([f"{manifest.path}/{folder}" for folder in folders])},
        # every worker sees every image and keeps what its units need; batches are shared out by row later
        dataset_config=DataConfig(datasets_to_split=[]),
    )


def scaling_of(claim: Resources, workers: int) -> ScalingConfig:
    """So many workers, or as few as the claim allows where it allows fewer; 0 is the calling process itself."""
    resources = {"CPU": claim.cpus_per_worker} | ({"GPU": claim.gpus_per_worker} if claim.gpus_per_worker else {})
    elastic = workers and claim.least_workers < workers
    count = (claim.least_workers, workers) if elastic else workers
    return ScalingConfig(num_workers=count, use_gpu=claim.gpus_per_worker > 0, resources_per_worker=resources)


def train_round(tasks: Sequence[Task], manifest: SplitManifest, paths: RunPaths, workers: int) -> dict[str, End]:
    """Train stages that wait for none of each other, shared out over so many workers; task id -> how it ended."""
    claim = tasks[0].claim
    workers = claim.workers if claim.share == "batches" else min(workers, len(tasks))
    run = RunConfig(
        name=f"stages-{uuid4().hex[:8]}",
        storage_path=str(paths.folder / "ray"),
        failure_config=FailureConfig(max_failures=min(task.retries for task in tasks)),
    )
    gang = trainer(train_stages, {"tasks": list(tasks)}, manifest, scaling_of(claim, workers), claim, run)
    error = ""
    try:
        off_main_thread(gang.fit)
    except TrainingFailedError as failure:
        error = reason(failure)
    return {task.id: end_of(task, error) for task in tasks}


def end_of(task: Task, error: str) -> End:
    """How a stage of a round ended. error: the round's; the stages that were done before it happened are good."""
    work = task.work
    assert isinstance(work, StageWork)
    return work.end() if is_complete(UPath(work.folder)) else End(error=error)


def reason(failure: TrainingFailedError) -> str:
    """Why training failed, in a line: the first worker's error, where it was one of theirs."""
    errors = [*failure.worker_failures.values()] if isinstance(failure, WorkerGroupError) else [failure]
    return last_line(errors[0])


def train_stages(config: dict[str, Any]) -> None:
    """Inside a Ray Train worker: its share of the stages, one after the other, or, where workers share batches, all.

    config: `tasks` and the images' `manifest`.
    """
    manifest: SplitManifest = config["manifest"]
    tasks: list[Task] = config["tasks"]
    works: dict[str, StageWork] = {task.id: task.work for task in tasks}  # type: ignore[misc] # all are stages
    rank, world = place()

    def cost_of(task: str) -> float:
        return cost(works[task].method, works[task].stage, manifest.shape, manifest.counts)

    names = list(works)
    if tasks[0].claim.share == "units":
        names = balance(names, cost_of, lambda task: (works[task].stage.unit, works[task].folder), world)[rank]
    with computing(works[tasks[0].id].threads):
        splits = streamed_splits(manifest, works[tasks[0].id].method, [works[name].stage for name in names])
        for name in names:
            worker = RayWorker(splits, ray.train.torch.get_device(), name)
            for _ in works[name].run(worker):
                pass  # a stage has no rungs
            worker.progress(1, 1, str(works[name].stage.unit))
    ray.train.report({"done": len(names)})  # a barrier: nobody goes on before every artifact is there
