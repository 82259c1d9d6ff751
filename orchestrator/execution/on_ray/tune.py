"""Ray Tune's part: it starts trials where there is room, and asks the listener whether they go on.

A trial of one worker is driven by a light process without torch, which asks a warm worker for the next report. Tune's
own restore, which unpickles an experiment, is never used: the ledger and the trials' files are what resumes. Nor is its
own way of trying again: a trial that goes on after a loss is a new one to Tune, on a worker that is there.
"""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import ray
from ray import tune
from ray.train.constants import RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE
from ray.tune.execution import class_cache
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from orchestrator.clusters.session import environment
from orchestrator.execution.executor import End, Ended, Listener, Task, error_text
from orchestrator.execution.on_ray.attempts import Course, Reply, outcome
from orchestrator.execution.on_ray.crew import GONE, Crew

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
        return {REPLY: reply}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """There is nothing to save."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """There is nothing to load."""


def relay_trials(tasks: Sequence[Task], listener: Listener, workers: Sequence[Any], folder: str) -> None:
    """Run trials on warm workers, as many at once as there are of these. folder: for Tune's own files."""
    trainable = tune.with_parameters(Relay, workers=list(workers), tasks=[ray.put(task) for task in tasks])
    claim = {"cpu": 0, "memory": RELAY_BYTES}
    run_trials(tune.with_resources(trainable, claim), Driver(tasks, listener, workers), folder, reuse=True)


def run_trials(trainable: Any, driver: "Driver", folder: str, *, reuse: bool) -> None:
    """Run trials to their end. The trainable reports, under `REPLY`, what workers answer until it is stopped.

    reuse: its process for other trials, which a function's cannot be.
    """
    keep_credentials_out_of_logs()
    with environment({RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE: "1"}):  # else Tune tries those again by itself
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                scheduler=driver,
                search_alg=Waiting(driver),
                num_samples=-1,
                max_concurrent_trials=driver.slots,
                reuse_actors=reuse,
            ),
            run_config=tune.RunConfig(name=f"trials-{uuid4().hex[:8]}", storage_path=folder, verbose=0),
        ).fit()


class Driver(FIFOScheduler):
    """Hands each trial a worker that is there, and the listener what they report.

    workers: each of which has one trial at a time; it is told to let go of a trial that is over.
    """

    def __init__(self, tasks: Sequence[Task], listener: Listener, workers: Sequence[Any]) -> None:
        super().__init__()
        self.courses = [Course(task) for task in tasks]
        self.listener = listener
        self.slots = min(len(workers), len(tasks))
        self.crew = Crew(workers)
        self.waiting = list(range(len(tasks)))
        self.working: dict[int, bool | None] = {}  # number -> whether it waits again; None until that is known

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it for its own restore, which is never used

    def begin(self) -> dict[str, int] | str | None:
        """The next trial and its worker, by their numbers; None while there is none, FINISHED once none will come."""
        if not self.waiting:
            return None if self.working else Searcher.FINISHED
        worker = self.crew.take()
        if worker is None:
            return self.give_up() if not self.working and self.crew.gone else None
        number = self.waiting.pop(0)
        self.courses[number].begin(self.listener)
        self.working[number] = None
        return {"trial": number, "worker": worker}

    def give_up(self) -> str:
        """End the trials that wait, for no worker is left."""
        for number in self.waiting:
            self.listener.hear(Ended(self.courses[number].task, GONE))
        self.waiting = []
        return Searcher.FINISHED

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether it goes on where it is: after a loss it does so on another worker."""
        reply = result[REPLY]
        lost = isinstance(reply, End) and reply.lost
        goes_on = self.hear(trial, reply, moves=lost)
        return TrialScheduler.CONTINUE if goes_on and not lost else TrialScheduler.STOP

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self.over(trial)

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        """The trial's own process was lost, or could not be started."""
        if self.working[trial.config["trial"]] is None:  # else it was over, and Tune was about to stop it
            error = trial.get_error()
            text = error_text(error) if error else "the process that drove it is gone"
            self.hear(trial, End(error=text, lost=True), moves=True)
        self.over(trial)

    def hear(self, trial: Any, reply: Reply, *, moves: bool) -> bool:
        """Whether the trial goes on. moves: if it does, it waits for any worker that is there."""
        number = trial.config["trial"]
        goes_on = self.courses[number].hear(reply, self.listener)
        if moves or not goes_on:
            self.working[number] = goes_on
        return goes_on

    def over(self, trial: Any) -> None:
        """The trial's worker may have another. Tune lets time pass between its decision to stop a trial and this."""
        number = trial.config["trial"]
        if self.working.pop(number):
            self.waiting.insert(0, number)
        self.crew.release(trial.config["worker"])


class Waiting(Searcher):
    """Tells Tune which trial is to begin, and on which worker."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self.driver = driver

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as above

    def suggest(self, trial_id: str) -> Any:
        return self.driver.begin()

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The driver hears of it as Tune's scheduler."""

    def save(self, checkpoint_path: str) -> None:
        """There is nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """It is never restored."""


def keep_credentials_out_of_logs() -> None:
    """Tune would put AWS_* into the runtime environment of its trials, and Ray writes that into its logs in clear.

    Trials have them without that: their processes inherit the launcher's environment, or that of their node.
    """
    forwarded = class_cache.ENV_VARS_TO_PROPAGATE
    forwarded -= {name for name in forwarded if name.startswith("AWS_")}
