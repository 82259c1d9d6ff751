"""One Tune trial: a point of the space, trained from where its files say it is.

Tune's own restore, which unpickles an experiment, is never used: the ledger and the trial's files are what resumes.
"""

import json
from collections.abc import Sequence
from typing import Any

import ray.train
from ray import tune
from ray.train import FailureConfig, RunConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from upath import UPath

from orchestrator.data.split_store import SplitManifest
from orchestrator.execution.on_ray.workers import (
    RayWorker,
    lone_device,
    place,
    stream,
    streamed_splits,
    whole_stream,
)
from orchestrator.execution.work.trial import TrialWork
from orchestrator.execution.work.worker import computing
from orchestrator.record.paths import TrialPaths
from workloads.files import read_checked


def recorded(paths: TrialPaths, rungs: Sequence[int]) -> list[dict[str, Any]]:
    """Metrics of the rungs that were finished, in order, without a gap."""
    metrics = []
    for rung in rungs:
        if not paths.rung(rung).exists():
            break
        metrics.append(json.loads(read_checked(paths.rung(rung))))
    return metrics


def run_trial(
    params: dict[str, Any],
    works: Sequence[TrialWork],
    known: Sequence[Sequence[int]],
    manifest: SplitManifest,
    ray_folder: str,
    scaling: Any,
    torch_config: Any,
) -> None:
    """The function Tune runs. works, known: by the index that Tune calls `trial`, the work and the rungs that the
    ledger has of it. ray_folder: for Ray Train's own files."""
    work = works[params["trial"]]
    (trial,) = work.trials
    past = recorded(TrialPaths(UPath(trial.folder)), work.rungs)
    for metrics in past:
        if metrics["budget"] not in known[params["trial"]]:  # written just before the last launcher died
            tune.report(metrics)
    if len(past) == len(work.rungs):
        return
    # a single worker runs in this very process: on small jobs, starting others costs more than the work
    local = scaling.num_workers == 0
    TorchTrainer(
        train_trial,
        train_loop_config={"work": work, "manifest": manifest, "local": local},
        torch_config=torch_config,
        scaling_config=scaling,
        run_config=RunConfig(
            name=f"{trial.id}-{len(past)}",
            storage_path=ray_folder,
            callbacks=[] if local else [TuneReportCallback()],
            failure_config=FailureConfig(max_failures=0 if local else 2),
        ),
        datasets={"images": stream(manifest)},
        dataset_config=whole_stream(),
    ).fit()


def train_trial(config: dict[str, Any]) -> None:
    """Inside a Ray Train worker: do the `work`, and report every rung, to Tune itself from its own process (`local`).

    config: also the images' `manifest`.
    """
    work: TrialWork = config["work"]
    manifest: SplitManifest = config["manifest"]
    local: bool = config["local"]
    with computing(work.threads):
        units = work.assigned(*place(), manifest.shape, manifest.counts)
        splits = streamed_splits(manifest, work.method, units)
        device = lone_device() if local else ray.train.torch.get_device()
        for rung in work.run(RayWorker(splits, device, work.trials[0].id)):
            tune.report(rung.metrics) if local else ray.train.report(rung.metrics)
