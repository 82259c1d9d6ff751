"""Work shared between trials, done once: found by content hash, trained by Ray Train where it is missing."""

import json
from dataclasses import asdict
from typing import Any

from upath import UPath

from orchestrator.cluster import off_main_thread
from orchestrator.ingest import Prepared, stream
from orchestrator.ledger import Ledger
from orchestrator.places import Places
from orchestrator.plan import Plan
from orchestrator.worker import Job, train_stages
from tune_spaces.schema import Resources
from workloads.checkpoint import is_complete


def missing(places: Places, keys: dict[str, str]) -> list[str]:
    """The stages that no earlier launch has left in this storage."""
    return [unit for unit, key in keys.items() if not is_complete(places.stage(key))]


def job_of(plan: Plan, prepared: Prepared, places: Places, keys: dict[str, str], **values: Any) -> dict[str, Any]:
    """What Train workers must know, as plain data."""
    base = {
        "workload": plan.space.workload,
        "prepared": asdict(prepared),
        "artefacts": {unit: str(places.stage(key)) for unit, key in keys.items()},
        "rungs": list(plan.rungs),
        "split": plan.space.resources.split,
        "folder": "",
    }
    return asdict(Job(**(base | values)))


def run_stages(
    plan: Plan, prepared: Prepared, places: Places, keys: dict[str, str], ledger: Ledger, slots: int
) -> None:
    """Train what is missing on all workers of the cluster; each stage that was found is recorded as such."""
    from ray.train import FailureConfig, RunConfig
    from ray.train.torch import TorchTrainer

    todo = missing(places, keys)
    for unit in keys:
        if unit not in todo and unit not in ledger.state.stages:
            ledger.append("stage", unit=unit, key=keys[unit], found=True)
    if not todo:
        return
    resources = plan.space.resources
    workers = resources.workers if resources.split == "data" else min(slots * resources.workers, len(todo))
    units = [tuple(unit.split("/")) for unit in todo]
    config = asdict(plan.space.config(plan.points[0]))
    job = job_of(plan, prepared, places, keys, config=config, units=units, label="stages")
    trainer = TorchTrainer(
        train_stages,
        train_loop_config=job,
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
    for unit in todo:
        facts = json.loads((UPath(places.stage(keys[unit])) / "history.json").read_text())
        ledger.append("stage", unit=unit, key=keys[unit], found=False, seconds=facts["seconds"], steps=facts["steps"])


def scaling(plan: Plan, workers: int) -> Any:
    from ray.train import ScalingConfig

    resources = plan.space.resources
    each = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        each["GPU"] = resources.gpus_per_worker
    return ScalingConfig(num_workers=workers, use_gpu=resources.gpus_per_worker > 0, resources_per_worker=each)


def torch_config(resources: Resources) -> Any:
    """Workers that split units only meet at barriers, after hours perhaps; NCCL refuses two workers on one GPU."""
    from ray.train.torch import TorchConfig

    nccl = resources.split == "data" and resources.gpus_per_worker >= 1
    return TorchConfig(backend="nccl" if nccl else "gloo", timeout_s=7 * 24 * 3600)


def whole_stream() -> Any:
    """Every worker sees every image and keeps what its units need; batches are shared out by row later."""
    from ray.train import DataConfig

    return DataConfig(datasets_to_split=[])
