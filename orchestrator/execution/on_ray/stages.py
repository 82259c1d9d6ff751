"""Work shared between trials, done once: found by content hash, trained by Ray Train where it is missing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from typing import Any

from orchestrator.clusters.session import off_main_thread
from orchestrator.data.split_store import Prepared, stream
from orchestrator.execution.work.worker import Job, train_stages
from orchestrator.planning.plan import Plan, StagePlan
from orchestrator.record.events import StageEnded
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tune_spaces.schema import Resources
from workloads.files import read_checked
from workloads.training.checkpoint import is_complete


def missing(places: RunPaths, stages: Sequence[StagePlan]) -> list[StagePlan]:
    """The stages that no earlier launch has left in this storage."""
    return [stage for stage in stages if not is_complete(places.stage(stage.key))]


def artifacts(places: RunPaths, keys: Mapping[str, str]) -> dict[str, str]:
    """str(unit) -> the folder of its artifact, as workers read it."""
    return {unit: str(places.stage(key)) for unit, key in keys.items()}


def job_of(plan: Plan, prepared: Prepared, pieces: Sequence[dict[str, Any]], label: str) -> dict[str, Any]:
    """What Train workers must know, as plain data."""
    job = Job(
        workload=plan.space.workload,
        prepared=asdict(prepared),
        pieces=list(pieces),
        folder="",
        rungs=list(plan.rungs),
        share=plan.space.resources.share,
        label=label,
    )
    return asdict(job)


def run_stages(
    plan: Plan, prepared: Prepared, places: RunPaths, stages: Sequence[StagePlan], ledger: Ledger, slots: int
) -> None:
    """Train what is missing on all workers of the cluster, in rounds: a stage after those it reads.

    Each stage that was found is recorded as such.
    """
    todo = missing(places, stages)
    for stage in stages:
        if stage not in todo and stage.key not in ledger.state.stages:
            ledger.append(StageEnded(str(stage.unit), stage.key, reused=True))
    while todo:
        waiting = {stage.key for stage in todo}
        ready = [stage for stage in todo if not waiting & set(stage.needs.values())]
        run_round(plan, prepared, places, ready, ledger, slots)
        todo = [stage for stage in todo if stage not in ready]


def run_round(
    plan: Plan, prepared: Prepared, places: RunPaths, stages: Sequence[StagePlan], ledger: Ledger, slots: int
) -> None:
    """Train stages that wait for none of each other."""
    from ray.train import FailureConfig, RunConfig
    from ray.train.torch import TorchTrainer

    resources = plan.space.resources
    workers = resources.workers if resources.share == "batches" else min(slots * resources.workers, len(stages))
    pieces = [
        {
            "unit": astuple(stage.unit),
            "config": stage.config,
            "artifacts": artifacts(places, stage.needs),
            "folder": str(places.stage(stage.key)),
        }
        for stage in stages
    ]
    trainer = TorchTrainer(
        train_stages,
        train_loop_config=job_of(plan, prepared, pieces, "stages"),
        torch_config=torch_config(plan.space.resources),
        scaling_config=scaling(plan, workers),
        run_config=RunConfig(
            name=f"stages-{len(ledger.events)}",
            storage_path=str(places.folder / "ray"),
            failure_config=FailureConfig(max_failures=2),
        ),
        datasets={"images": stream(prepared)},
        dataset_config=whole_stream(),
    )
    off_main_thread(trainer.fit)
    for stage in stages:
        facts = json.loads(read_checked(places.stage(stage.key) / "history.json"))
        ledger.append(StageEnded(str(stage.unit), stage.key, False, facts["seconds"], facts["steps"]))


def scaling(plan: Plan, workers: int) -> Any:
    from ray.train import ScalingConfig

    resources = plan.space.resources
    each = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        each["GPU"] = resources.gpus_per_worker
    elastic = workers and resources.least_workers < workers
    count = (resources.least_workers, workers) if elastic else workers
    return ScalingConfig(num_workers=count, use_gpu=resources.gpus_per_worker > 0, resources_per_worker=each)


def torch_config(resources: Resources) -> Any:
    """Workers that split units only meet at barriers, after hours perhaps; NCCL refuses two workers on one GPU."""
    from orchestrator.execution.on_ray.rendezvous import LocalStoreConfig

    nccl = resources.share == "batches" and resources.gpus_per_worker >= 1
    return LocalStoreConfig(backend="nccl" if nccl else "gloo", timeout_s=7 * 24 * 3600)


def whole_stream() -> Any:
    """Every worker sees every image and keeps what its units need; batches are shared out by row later."""
    from ray.train import DataConfig

    return DataConfig(datasets_to_split=[])
