"""One Tune trial: a point of the space, trained from where its files say it is.

Tune's own restore, which unpickles an experiment, is never used: the ledger and the trial's files are what resumes.
"""

import json
from typing import Any

from upath import UPath

from orchestrator.record.paths import TrialPaths
from workloads.files import read_checked


def recorded(places: TrialPaths, rungs: list[int]) -> list[dict[str, Any]]:
    """Metrics of the rungs that were finished, in order, without a gap."""
    found = []
    for rung in rungs:
        if not places.rung(rung).exists():
            break
        found.append(json.loads(read_checked(places.rung(rung))))
    return found


def run_trial(
    params: dict[str, Any], job: dict[str, Any], trials: list[dict[str, Any]], scaling: Any, torch_config: Any
) -> None:
    """The function Tune runs. `trials` holds, by index, id, pieces, folder and the rungs that the ledger knows."""
    from ray import tune
    from ray.train import FailureConfig, RunConfig
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    from orchestrator.data.split_store import Prepared, stream
    from orchestrator.execution.on_ray.stages import whole_stream
    from orchestrator.execution.work.worker import train_trial

    trial = trials[params["trial"]]
    past = recorded(TrialPaths(UPath(trial["folder"])), job["rungs"])
    for metrics in past:
        if metrics["budget"] not in trial["told"]:  # written just before the last launcher died
            tune.report(metrics)
    if len(past) == len(job["rungs"]):
        return
    # a single worker runs in this very process: on small jobs, starting others costs more than the work
    local = scaling.num_workers == 0
    job = job | {"pieces": trial["pieces"], "folder": trial["folder"], "label": trial["id"], "local": local}
    TorchTrainer(
        train_trial,
        train_loop_config=job,
        torch_config=torch_config,
        scaling_config=scaling,
        run_config=RunConfig(
            name=f"{trial['id']}-{len(past)}",
            storage_path=trial["ray"],
            callbacks=[] if local else [TuneReportCallback()],
            failure_config=FailureConfig(max_failures=0 if local else 2),
        ),
        datasets={"images": stream(Prepared(**job["prepared"]))},
        dataset_config=whole_stream(),
    ).fit()
