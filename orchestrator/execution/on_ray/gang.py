"""Ray Train's part: workers that belong together, a trial's several or those that share the batches of stages."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import ray
import ray.train
from ray import tune
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, WorkerGroupError
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from upath import UPath

from orchestrator.clusters.session import off_main_thread
from orchestrator.execution.executor import End, Listener, Task
from orchestrator.execution.on_ray.attempts import end_of
from orchestrator.execution.on_ray.images import SharedImages
from orchestrator.execution.on_ray.progress import beating
from orchestrator.execution.on_ray.rendezvous import LocalStoreConfig
from orchestrator.execution.on_ray.tune import REPLY, Driver, run_trials
from orchestrator.execution.on_ray.workers import RayWorker
from orchestrator.execution.work.stage import StageWork
from orchestrator.execution.work.worker import computing
from tune_spaces.schema import Resources
from workloads.training.checkpoint import is_complete

MEETING_S = 7 * 24 * 3600  # workers that share out units meet at barriers alone, after hours perhaps
RESTARTS = 2  # of a trial's workers, when one of them is lost


def trainer(loop: Any, config: dict[str, Any], claim: Resources, run: RunConfig) -> TorchTrainer:
    """Workers that run `loop(config)`; as few as the claim allows, where it allows fewer."""
    nccl = claim.share == "batches" and claim.gpus_per_worker >= 1  # NCCL refuses two workers on one GPU
    resources = {"CPU": claim.cpus_per_worker} | ({"GPU": claim.gpus_per_worker} if claim.gpus_per_worker else {})
    elastic = claim.least_workers < claim.workers
    return TorchTrainer(
        loop,
        train_loop_config=config,
        torch_config=LocalStoreConfig(backend="nccl" if nccl else "gloo", timeout_s=MEETING_S),
        scaling_config=ScalingConfig(
            num_workers=(claim.least_workers, claim.workers) if elastic else claim.workers,
            use_gpu=claim.gpus_per_worker > 0,
            resources_per_worker=resources,
        ),
        run_config=run,
    )


def train_round(tasks: Sequence[Task], images: SharedImages, folder: str, gangs: int) -> dict[str, End]:
    """Train stages that wait for none of each other: so many gangs side by side, each of workers that share every
    batch, and each with its stages one after the other.

    Where one fails, those before it in its gang are done and those after it not begun, and not in what is returned:
    task id -> how it ended. folder: for Ray Train's own files.
    """
    shares = [tasks[first::gangs] for first in range(min(gangs, len(tasks)))]
    failed: dict[int, End] = {}

    def train(number: int) -> None:
        run = RunConfig(
            name=f"stages-{uuid4().hex[:8]}",
            storage_path=folder,
            failure_config=FailureConfig(max_failures=min(task.retries for task in shares[number])),
        )
        work = {"tasks": list(shares[number]), "images": images}
        try:
            trainer(train_stages, work, tasks[0].claim, run).fit()
        except TrainingFailedError as failure:
            failed[number] = end_after_failure(failure)

    off_main_thread(*(partial(train, number) for number in range(len(shares))))
    ends: dict[str, End] = {}
    for number, share in enumerate(shares):
        ends |= ends_of(share, failed.get(number, End(error="its artifact is not there")))
    return ends


def ends_of(tasks: Sequence[Task], failure: End) -> dict[str, End]:
    """How the stages of a gang ended, by task id, up to the first that is not made: it has ended by the failure."""
    ends: dict[str, End] = {}
    for task in tasks:
        work = task.work
        assert isinstance(work, StageWork)
        if not is_complete(UPath(work.folder)):
            ends[task.id] = failure
            break
        ends[task.id] = work.end()
    return ends


def end_after_failure(failure: TrainingFailedError) -> End:
    """Why training failed: the first worker's error, where it was one of theirs."""
    errors: list[BaseException] = [failure]
    if isinstance(failure, WorkerGroupError):
        errors = [*failure.worker_failures.values()]
    return end_of(getattr(errors[0], "_base_exc", errors[0]))  # Train hands on the worker's error, wrapped


def train_stages(config: dict[str, Any]) -> None:
    """Inside a Ray Train worker: all of the stages. config: `tasks` and `images`."""
    tasks: list[Task] = config["tasks"]
    for task in tasks:
        with computing(task.work.threads), beating(f"{task.id}/{ray.train.get_context().get_world_rank()}"):
            worker = RayWorker(config["images"], ray.train.torch.get_device(), task)
            for _ in task.work.run(worker):
                pass  # a stage has no rungs
    ray.train.report({"done": len(tasks)})  # a barrier: nobody goes on before every artifact is there


def run_gang_trials(tasks: Sequence[Task], listener: Listener, images: SharedImages, slots: int, folder: str) -> None:
    """Run trials of several workers, at most `slots` at once."""
    references = [ray.put(task) for task in tasks]
    function = tune.with_parameters(run_trial, tasks=references, images=images, folder=folder)
    # it only waits for its workers: it must claim something, or Tune would refuse it, but no CPU
    trainable = tune.with_resources(function, {"cpu": 0, "memory": 2**20})
    run_trials(trainable, Driver(tasks, listener, [None] * slots), folder, reuse=False)


def run_trial(params: dict[str, Any], tasks: Sequence[Any], images: SharedImages, folder: str) -> None:
    """The function that Tune runs, and stops: attempts at a trial. tasks: references, by the number of the trial."""
    task: Task = ray.get(tasks[params["trial"]])
    while True:
        run = RunConfig(
            name=f"{task.name}-{uuid4().hex[:8]}",
            storage_path=folder,
            callbacks=[TuneReportCallback()],
            failure_config=FailureConfig(max_failures=RESTARTS),
        )
        end = End()
        try:
            trainer(train_trial, {"task": task, "images": images}, task.claim, run).fit()
        except TrainingFailedError as failure:
            end = end_after_failure(failure)
        tune.report({REPLY: end})


def train_trial(config: dict[str, Any]) -> None:
    """Inside a Ray Train worker: do the work of the `task` with the `images`, and report every rung."""
    task: Task = config["task"]
    with computing(task.work.threads), beating(f"{task.id}/{ray.train.get_context().get_world_rank()}"):
        for rung in task.work.run(RayWorker(config["images"], ray.train.torch.get_device(), task)):
            ray.train.report({REPLY: rung})
