"""Ray Tune's part: it starts trials where there is room, and asks the listener whether they go on.

A trial of one worker is driven by a light process without torch, which asks a warm worker for the next report. Tune's
own restore, which unpickles an experiment, is never used: the ledger and the trials' files are what resumes.
"""

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import ray
from ray import tune
from ray.tune.execution import class_cache
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from orchestrator.execution.executor import End, Listener, Task, error_text
from orchestrator.execution.on_ray.attempts import LOSSES, Course, outcome

REPLY = "reply"  # what a worker answered, under the name that Tune knows it by
RELAY_BYTES = 200 * 2**20  # of memory, which a relay takes; Tune refuses a trial that claims nothing


class Relay(tune.Trainable):
    """Asks the warm worker that its trial has been handed for one report after the other."""

    def setup(self, config: dict[str, Any], workers: Sequence[Any], tasks: Sequence[Any]) -> None:
        """config: of Tune's trial: its number, and that of its worker. tasks: references of them."""
        self.workers, self.tasks = workers, tasks
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Go on with another trial: no process is started for it."""
        self.config, self.afresh = new_config, True
        return True

    def step(self) -> dict[str, Any]:
        worker = self.workers[self.config["worker"]]
        reply = outcome(worker.advance.remote(self.tasks[self.config["trial"]], self.afresh))
        self.afresh = isinstance(reply, End)  # what failed is not gone on with
        if isinstance(reply, End) and reply.lost:
            wait_for(worker)
        return {REPLY: reply}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """There is nothing to save."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """There is nothing to load."""


def wait_for(worker: Any) -> None:
    """Until a lost worker is there again; not for long where Ray says that it does not come back."""
    for _ in range(LOSSES):
        try:
            ray.get(worker.ready.remote())
        except ray.exceptions.RayError:
            time.sleep(1)
        else:
            return


def relay_trials(tasks: Sequence[Task], listener: Listener, workers: Sequence[Any], folder: str) -> None:
    """Run trials on warm workers, as many at once as there are of these. folder: for Tune's own files."""
    trainable = tune.with_parameters(Relay, workers=list(workers), tasks=[ray.put(task) for task in tasks])
    claim = {"cpu": 0, "memory": RELAY_BYTES}
    run_trials(tasks, tune.with_resources(trainable, claim), Driver(tasks, listener, workers), folder, reuse=True)


def run_trials(tasks: Sequence[Task], trainable: Any, driver: "Driver", folder: str, *, reuse: bool) -> None:
    """Run trials to their end. The trainable reports, under `REPLY`, what workers answer until it is stopped.

    reuse: its process for other trials, which a function's cannot be.
    """
    keep_credentials_out_of_logs()
    tune.Tuner(
        trainable,
        param_space={"trial": tune.grid_search(list(range(len(tasks))))},
        tune_config=tune.TuneConfig(scheduler=driver, max_concurrent_trials=driver.slots, reuse_actors=reuse),
        run_config=tune.RunConfig(
            name=f"trials-{uuid4().hex[:8]}",
            storage_path=folder,
            verbose=0,
            callbacks=[Starts(driver)],
            failure_config=tune.FailureConfig(max_failures=LOSSES),
        ),
    ).fit()


class Driver(FIFOScheduler):
    """Hands each trial a worker, and the listener what they report.

    workers: each of which has one trial at a time; it is told to let go of a trial that is over.
    """

    def __init__(self, tasks: Sequence[Task], listener: Listener, workers: Sequence[Any]) -> None:
        super().__init__()
        self.courses = [Course(task) for task in tasks]
        self.listener, self.workers = listener, workers
        self.free = list(range(min(len(workers), len(tasks))))
        self.slots = len(self.free)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it for its own restore, which is never used

    def course(self, trial: Any) -> Course:
        return self.courses[trial.config["trial"]]

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        trial.config["worker"] = self.free.pop(0)

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        goes_on = self.course(trial).hear(result[REPLY], self.listener)
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self.over(trial)

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        """The trial's own process was lost too often."""
        error = trial.get_error()
        self.listener.ended(self.course(trial).task, End(error=error_text(error) if error else "unknown error"))
        self.over(trial)

    def over(self, trial: Any) -> None:
        """The trial's worker is free."""
        number = trial.config["worker"]
        if self.workers[number] is not None:
            self.workers[number].stop.remote()
        self.free.append(number)


class Starts(tune.Callback):
    """Tells the listener that an attempt at a trial begins."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as above

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.driver.listener.started(self.driver.course(trial).task)


def keep_credentials_out_of_logs() -> None:
    """Tune would put AWS_* into the runtime environment of its trials, and Ray writes that into its logs in clear.

    Trials have them without that: their processes inherit the launcher's environment, or that of their node.
    """
    forwarded = class_cache.ENV_VARS_TO_PROPAGATE
    forwarded -= {name for name in forwarded if name.startswith("AWS_")}
