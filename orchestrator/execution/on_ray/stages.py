"""Work shared between trials, done once: found by content hash, trained by Ray Train where it is missing."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import ray.train
from ray.train import FailureConfig, RunConfig
from ray.train.torch import TorchTrainer

from orchestrator.clusters.session import off_main_thread
from orchestrator.data.split_store import SplitManifest
from orchestrator.execution.on_ray.workers import (
    RayWorker,
    place,
    scaling,
    stream,
    streamed_splits,
    threads,
    torch_config,
    whole_stream,
)
from orchestrator.execution.work.stage import StageWork
from orchestrator.execution.work.worker import UnitWork, balance, computing, cost
from orchestrator.planning.plan import Plan, StagePlan
from orchestrator.record.events import StageEnded
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from workloads.files import read_checked
from workloads.training.checkpoint import is_complete


def missing(paths: RunPaths, stages: Sequence[StagePlan]) -> list[StagePlan]:
    """The stages that no earlier launch has left in this storage."""
    return [stage for stage in stages if not is_complete(paths.stage(stage.key))]


def artifacts(paths: RunPaths, keys: Mapping[str, str]) -> dict[str, str]:
    """str(unit) -> the folder of its artifact, as workers read it."""
    return {unit: str(paths.stage(key)) for unit, key in keys.items()}


def run_stages(
    plan: Plan, manifest: SplitManifest, paths: RunPaths, stages: Sequence[StagePlan], ledger: Ledger, slots: int
) -> None:
    """Train what is missing on all workers of the cluster, in rounds: a stage after those it reads.

    Each stage that was there is recorded as such.
    """
    todo = missing(paths, stages)
    for stage in stages:
        if stage not in todo and stage.key not in ledger.state.stages:
            ledger.append(StageEnded(str(stage.unit), stage.key, reused=True))
    while todo:
        waiting = {stage.key for stage in todo}
        ready = [stage for stage in todo if not waiting & set(stage.needs.values())]
        run_round(plan, manifest, paths, ready, ledger, slots)
        todo = [stage for stage in todo if stage not in ready]


def stage_work(plan: Plan, paths: RunPaths, stage: StagePlan) -> StageWork:
    """What a worker must know of a stage."""
    unit = UnitWork(stage.unit, stage.config, artifacts(paths, stage.needs))
    resources = plan.space.resources
    folder = str(paths.stage(stage.key))
    return StageWork(plan.space.workload, unit, folder, resources.share, threads(resources))


def run_round(
    plan: Plan, manifest: SplitManifest, paths: RunPaths, stages: Sequence[StagePlan], ledger: Ledger, slots: int
) -> None:
    """Train stages that wait for none of each other."""
    resources = plan.space.resources
    workers = resources.workers if resources.share == "batches" else min(slots * resources.workers, len(stages))
    works = [stage_work(plan, paths, stage) for stage in stages]
    trainer = TorchTrainer(
        train_stages,
        train_loop_config={"works": works, "manifest": manifest},
        torch_config=torch_config(resources),
        scaling_config=scaling(resources, workers),
        run_config=RunConfig(
            name=f"stages-{len(ledger.events)}",
            storage_path=str(paths.folder / "ray"),
            failure_config=FailureConfig(max_failures=2),
        ),
        datasets={"images": stream(manifest)},
        dataset_config=whole_stream(),
    )
    off_main_thread(trainer.fit)
    for stage in stages:
        facts = json.loads(read_checked(paths.stage(stage.key) / "history.json"))
        ledger.append(StageEnded(str(stage.unit), stage.key, False, facts["seconds"], facts["steps"]))


def train_stages(config: dict[str, Any]) -> None:
    """Inside a Ray Train worker: its share of the stages, one after the other, or, where workers share batches, all.

    config: `works` and the images' `manifest`.
    """
    works: list[StageWork] = config["works"]
    manifest: SplitManifest = config["manifest"]
    rank, world = place()

    def cost_of(work: StageWork) -> float:
        return cost(work.method, work.stage, manifest.shape, manifest.counts)

    if works[0].share == "units":
        works = balance(works, cost_of, lambda work: (work.stage.unit, work.folder), world)[rank]
    with computing(config["works"][0].threads):
        splits = streamed_splits(manifest, config["works"][0].method, [work.stage for work in works])
        worker = RayWorker(splits, ray.train.torch.get_device(), "stages")
        behind, whole = 0.0, sum(map(cost_of, works))
        for work in works:
            worker.queue(behind, cost_of(work), whole)
            for _ in work.run(worker):
                pass  # a stage has no rungs
            worker.progress(1, 1, str(work.stage.unit))
            behind += cost_of(work)
    ray.train.report({"done": len(works)})  # a barrier: nobody goes on before every artifact is there
