"""Ray Tune over the plan's trials; every event goes into the ledger before anything else sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from orchestrator.data.split_store import SplitManifest
from orchestrator.execution.on_ray.stages import artifacts
from orchestrator.execution.on_ray.trial import run_trial
from orchestrator.execution.on_ray.workers import scaling, threads, torch_config
from orchestrator.execution.work.trial import TrialUnits, TrialWork
from orchestrator.execution.work.worker import UnitWork
from orchestrator.planning.plan import Plan, TrialPlan, trial_macs
from orchestrator.record.events import RungMetrics, RungReached, TrialMoved
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import DONE, State
from workloads.scoring.selection import CRITERIA


class Recorder(tune.Callback):
    """Writes what Tune tells into the ledger. What a retried trial reports again is there already, and stays."""

    def __init__(self, ledger: Ledger, trials: list[TrialPlan], changed: Callable[[], None]) -> None:
        self.ledger, self.trials, self.changed = ledger, trials, changed

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks for its own restore, which is never used: the ledger is what resumes

    def trial_of(self, trial: Any) -> str:
        return self.trials[trial.config["trial"]].id

    def move(self, trial: Any, state: State, error: str = "") -> None:
        key = self.trial_of(trial)
        if self.ledger.state.trials[key].state not in DONE:
            self.ledger.append(TrialMoved(key, state, error))
            self.changed()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.move(trial, State.RUNNING)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        key, budget = self.trial_of(trial), result["budget"]
        if budget not in self.ledger.state.trials[key].rungs:
            self.ledger.append(RungReached(key, budget, RungMetrics.parse(own_metrics(result))))
            self.changed()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        reached = self.ledger.state.trials[self.trial_of(trial)].reached
        self.move(trial, State.FINISHED if reached == 1000 else State.STOPPED)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        lines = str(trial.get_error()).strip().splitlines() if trial.get_error() else ["unknown error"]
        self.move(trial, State.FAILED, error=lines[-1][:500])


TUNE_KEYS = frozenset(
    "timestamp checkpoint_dir_name done training_iteration trial_id date time_this_iter_s time_total_s pid hostname "  # noqa: SIM905
    "node_ip config time_since_restore iterations_since_restore experiment_tag should_checkpoint".split()
)


def own_metrics(result: dict[str, Any]) -> dict[str, Any]:
    """What the worker reported, without the keys that Tune adds."""
    return {key: value for key, value in result.items() if key not in TUNE_KEYS}


@dataclass(frozen=True)
class PastTrial:
    """A trial of an earlier launch, as far as a scheduler asks."""

    trial_id: str


def scheduler_of(plan: Plan, ledger: Ledger) -> TrialScheduler:
    """ASHA whose milestones are the plan's rungs, or none.

    ASHA is told every rung that earlier launches have recorded, in their order, so a resumed sweep compares its trials
    with all that ran before; a trial that was promoted then is not asked again.
    """
    chosen, criterion = plan.space.scheduler, CRITERIA[plan.space.select_by]
    if chosen.kind == "fifo" or len(plan.rungs) == 1:
        return FIFOScheduler()
    asha = ASHAScheduler(
        time_attr="budget",
        metric=criterion.metric,
        mode=criterion.mode,
        max_t=1000,
        grace_period=plan.rungs[0],
        reduction_factor=chosen.eta,
    )
    past = {key: PastTrial(key) for key in ledger.state.trials}
    for trial in past.values():
        asha.on_trial_add(None, trial)
    for event in ledger.events:
        if isinstance(event, RungReached):
            asha.on_trial_result(None, past[event.trial], {"budget": event.rung, **event.metrics.numbers})
    return asha


def keep_credentials_out_of_logs() -> None:
    """Tune would put AWS_* into the runtime environment of its trials, and Ray writes that into its logs in clear.

    Trials have them without that: their processes inherit the launcher's environment, or that of their node.
    """
    forwarded = class_cache.ENV_VARS_TO_PROPAGATE
    forwarded -= {name for name in forwarded if name.startswith("AWS_")}


def longest_first(plan: Plan, trials: list[TrialPlan]) -> list[TrialPlan]:
    """So that no long trial begins when all the others end. Not for ASHA, which spares the first to reach a rung."""
    return sorted(trials, key=lambda t: -trial_macs(plan.method(t.point), plan.targets, plan.shape, plan.counts))


def trial_work(plan: Plan, paths: RunPaths, trial: TrialPlan) -> TrialWork:
    """What a worker must know of a trial."""
    folders = artifacts(paths, trial.stages)
    units = tuple(UnitWork(unit, trial.config, folders) for unit in plan.units)
    resources = plan.space.resources
    return TrialWork(
        plan.space.workload,
        (TrialUnits(trial.id, str(paths.trial(trial.id).folder), units),),
        plan.rungs,
        resources.share,
        threads(resources),
    )


def run_sweep(
    plan: Plan,
    trials: list[TrialPlan],
    manifest: SplitManifest,
    paths: RunPaths,
    ledger: Ledger,
    slots: int,
    changed: Callable[[], None],
) -> None:
    """Run, or finish running, every trial that is not over. One that fails is recorded; the others go on."""
    resources = plan.space.resources
    scheduler = scheduler_of(plan, ledger)
    todo = [t for t in trials if ledger.state.trials[t.id].state not in DONE]
    if isinstance(scheduler, FIFOScheduler):
        todo = longest_first(plan, todo)
    if not todo:
        return
    function = tune.with_parameters(
        run_trial,
        works=[trial_work(plan, paths, trial) for trial in todo],
        known=[list(ledger.state.trials[trial.id].rungs) for trial in todo],
        manifest=manifest,
        ray_folder=str(paths.folder / "ray"),
        scaling=scaling(resources, 0 if resources.workers == 1 else resources.workers),
        torch_config=torch_config(resources),
    )
    per_worker = {"cpu": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        per_worker["gpu"] = resources.gpus_per_worker
    # a nested trial's own process only waits: it must claim something, or Tune would refuse it, but no CPU
    claim = per_worker if resources.workers == 1 else {"cpu": 0, "memory": 2**20}
    together = min(slots, len(todo))
    keep_credentials_out_of_logs()
    tune.Tuner(
        tune.with_resources(function, claim),
        param_space={"trial": tune.grid_search(list(range(len(todo))))},
        tune_config=tune.TuneConfig(scheduler=scheduler, max_concurrent_trials=together, reuse_actors=False),
        run_config=tune.RunConfig(
            name=f"sweep-{ledger.state.launches}",
            storage_path=str(paths.folder / "ray"),
            verbose=0,
            callbacks=[Recorder(ledger, todo, changed)],
            failure_config=tune.FailureConfig(max_failures=1),
        ),
    ).fit()
