"""Ray Tune's part: it starts trials where there is room, and asks the listener whether they go on.

Tune's own restore, which unpickles an experiment, is never used: the ledger and the trials' files are what resumes.
"""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import ray.train
from ray import tune
from ray.train import FailureConfig, RunConfig
from ray.tune.execution import class_cache
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from orchestrator.data.split_store import SplitManifest
from orchestrator.execution.executor import Listener, Task
from orchestrator.execution.on_ray.gang import scaling_of, trainer
from orchestrator.execution.on_ray.workers import RayWorker, lone_device, place, streamed_splits
from orchestrator.execution.work.trial import TrialWork
from orchestrator.execution.work.worker import End, RungReport, computing, last_line
from orchestrator.planning.early_stopping import Decision
from orchestrator.record.paths import RunPaths
from tune_spaces.schema import Resources

RESTARTS = 2  # of Train's workers, when one of them is lost


def run_trials(tasks: Sequence[Task], listener: Listener, manifest: SplitManifest, paths: RunPaths, slots: int) -> None:
    """Run trials to their end, at most `slots` at once. One that fails is told to the listener; the others go on."""
    claim, folder = tasks[0].claim, str(paths.folder / "ray")
    function = tune.with_parameters(run_trial, tasks=list(tasks), manifest=manifest, folder=folder)
    keep_credentials_out_of_logs()
    tune.Tuner(
        tune.with_resources(function, share_of(claim)),
        param_space={"trial": tune.grid_search(list(range(len(tasks))))},
        tune_config=tune.TuneConfig(
            scheduler=Asking(tasks, listener), max_concurrent_trials=min(slots, len(tasks)), reuse_actors=False
        ),
        run_config=tune.RunConfig(
            name=f"trials-{uuid4().hex[:8]}",
            storage_path=folder,
            verbose=0,
            callbacks=[Telling(tasks, listener)],
            failure_config=tune.FailureConfig(max_failures=tasks[0].retries),
        ),
    ).fit()


def share_of(claim: Resources) -> dict[str, float]:
    """What a trial's own process claims: all that its only worker needs.

    Beside several workers it only waits: it must claim something, or Tune would refuse it, but no CPU.
    """
    if claim.workers > 1:
        return {"cpu": 0, "memory": 2**20}
    return {"cpu": claim.cpus_per_worker} | ({"gpu": claim.gpus_per_worker} if claim.gpus_per_worker else {})


def run_trial(params: dict[str, Any], tasks: Sequence[Task], manifest: SplitManifest, folder: str) -> None:
    """The function that Tune runs. tasks: by the index that Tune calls `trial`. folder: for Ray Train's own files."""
    task = tasks[params["trial"]]
    # a single worker runs in this very process: on small jobs, starting others costs more than the work
    local = task.claim.workers == 1
    run = RunConfig(
        name=f"{task.name}-{uuid4().hex[:8]}",
        storage_path=folder,
        callbacks=[] if local else [TuneReportCallback()],
        failure_config=FailureConfig(max_failures=0 if local else RESTARTS),
    )
    scaling = scaling_of(task.claim, 0 if local else task.claim.workers)
    trainer(train_trial, {"task": task, "local": local}, manifest, scaling, task.claim, run).fit()


def train_trial(config: dict[str, Any]) -> None:
    """Inside a Ray Train worker: do the work of the `task`, and report every rung, to Tune itself from its own process
    (`local`). config: also the images' `manifest`."""
    task, manifest, local = config["task"], config["manifest"], config["local"]
    work: TrialWork = task.work
    with computing(work.threads):
        units = work.assigned(*place(), manifest.shape, manifest.counts)
        splits = streamed_splits(manifest, work.method, units)
        device = lone_device() if local else ray.train.torch.get_device()
        for rung in work.run(RayWorker(splits, device, task.id)):
            tune.report(rung.metrics) if local else ray.train.report(rung.metrics)


class Asking(FIFOScheduler):
    """Starts trials in their order, and asks the listener at every rung."""

    def __init__(self, tasks: Sequence[Task], listener: Listener) -> None:
        super().__init__()
        self.tasks, self.listener = tasks, listener

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as below

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        task = self.tasks[trial.config["trial"]]
        decision = self.listener.reported(task, RungReport(task.name, result["budget"], metrics_of(result)))
        return TrialScheduler.STOP if decision == Decision.STOP else TrialScheduler.CONTINUE


class Telling(tune.Callback):
    """Tells the listener how trials begin and end."""

    def __init__(self, tasks: Sequence[Task], listener: Listener) -> None:
        self.tasks, self.listener = tasks, listener

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks for its own restore, which is never used

    def task_of(self, trial: Any) -> Task:
        return self.tasks[trial.config["trial"]]

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.listener.started(self.task_of(trial))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.listener.ended(self.task_of(trial), End())

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error = trial.get_error()
        self.listener.ended(self.task_of(trial), End(error=last_line(error) if error else "unknown error"))


TUNE_KEYS = frozenset(
    "timestamp checkpoint_dir_name done training_iteration trial_id date time_this_iter_s time_total_s pid hostname "  # noqa: SIM905
    "node_ip config time_since_restore iterations_since_restore experiment_tag should_checkpoint".split()
)


def metrics_of(result: dict[str, Any]) -> dict[str, Any]:
    """What the worker reported, without the keys that Tune adds."""
    return {key: value for key, value in result.items() if key not in TUNE_KEYS}


def keep_credentials_out_of_logs() -> None:
    """Tune would put AWS_* into the runtime environment of its trials, and Ray writes that into its logs in clear.

    Trials have them without that: their processes inherit the launcher's environment, or that of their node.
    """
    forwarded = class_cache.ENV_VARS_TO_PROPAGATE
    forwarded -= {name for name in forwarded if name.startswith("AWS_")}
