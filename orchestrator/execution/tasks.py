"""From a plan and its ledger to the tasks that remain, and to their being done."""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean
from typing import Any

from orchestrator.data.split_store import SplitStore
from orchestrator.execution.continuation import OpenRun
from orchestrator.execution.executor import End, Ended, Executor, Started, Task
from orchestrator.execution.observer import Observer
from orchestrator.execution.recorder import Recorder
from orchestrator.execution.work.analysis import AnalysisWork, is_found
from orchestrator.execution.work.baseline import BaselineWork
from orchestrator.execution.work.stage import StageWork, is_made
from orchestrator.execution.work.trial import (
    TrialUnits,
    TrialWork,
    forget_rungs,
    lacks_scores,
    remove_shares,
    rungs_done,
)
from orchestrator.execution.work.worker import UnitWork
from orchestrator.planning.cluster_size import check_crowded_nodes
from orchestrator.planning.code_digest import plain
from orchestrator.planning.early_stopping import Decision
from orchestrator.planning.identity import StagePlan, TrialPlan, analysis_digest
from orchestrator.planning.plan import Plan, trial_macs
from orchestrator.planning.request import Request
from orchestrator.planning.search import Tried, chosen_points
from orchestrator.record import method_code
from orchestrator.record.events import StageEnded
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import BASELINE, RunPaths
from orchestrator.record.rates import keep_rates
from orchestrator.record.state import DONE, RunState, State, TrialState
from tune_spaces.schema import Resources, Space
from workloads.data.splits import Splits
from workloads.files import is_whole, remove_partials
from workloads.registry import code_of
from workloads.scoring.baselines import CONVOLUTIONS
from workloads.scoring.selection import CRITERIA

GOES_ON = (State.PENDING, State.RUNNING, State.INTERRUPTED)
"""States of trials that a launch has not brought to their end, one that it has seen fail apart."""

PHASES = {"stages": "baselines and shared stages", "trials": "trials", "analyses": "analyses"}
"""What an executor does, in its order: name -> title."""


@dataclass(frozen=True)
class Launch:
    """What a launch holds once its images are read and its run is open."""

    request: Request
    plan: Plan
    paths: RunPaths
    splits: Splits
    store: SplitStore
    run: OpenRun
    observer: Observer
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def state(self) -> RunState:
        return self.run.ledger.state


def run_all(work: Launch, executor: Executor, recorder: Recorder) -> None:
    """Have everything done that is left to do, phase by phase. However it ends, the speed that it had is kept, and what
    was running is recorded as interrupted."""
    plan, request = work.plan, work.request
    try:
        if (code := code_of(plan.space.workload)) is not None:
            method_code.keep(work.paths, code)
        if plan.space.data.path is not None:
            method_code.keep_space(work.paths, plan.space, request.loaded.doc)
        run_tasks(work, executor, recorder, time.monotonic())
    except BaseException:  # Ctrl-C, too
        recorder.interrupted()
        raise
    finally:
        trials = work.state.trials.values()
        keep_rates(request.storage, plan.name, plan.preset, plan.space.resources, request.workers, trials)


def run_tasks(work: Launch, executor: Executor, recorder: Recorder, begun: float) -> None:
    """Have the executor do the tasks that remain. begun: when its start-up did."""
    plan = work.plan
    tasks = remaining(work, recorder)
    if not any(tasks.values()):
        return
    with executor.started(work.store, work.splits.digest, work.splits):
        work.phases["start-up"] = time.monotonic() - begun
        if plan.space.resources.sharing_a_gpu > 1 and (warning := check_crowded_nodes(plan, executor.nodes())):
            work.observer.warn(warning)
        with work.observer.watching(lambda: work.state, executor.notes):
            for name, title in PHASES.items():
                if name == "analyses" and plan.space.analyses:  # of the winner, who is known once all trials are over
                    tasks[name] = space_analyses(plan, work.paths, work.run)
                if tasks[name]:  # nothing is timed or shown of a phase without any
                    work.observer.phase(title)
                    begun = time.monotonic()
                    try:
                        while tasks[name]:
                            executor.run(tasks[name], recorder, work.request.slots)
                            further = name == "trials" and plan.space.unfolds
                            tasks[name] = trials_to_come(work, recorder) if further else []
                    finally:
                        work.phases[name] = time.monotonic() - begun


def remaining(work: Launch, recorder: Recorder) -> dict[str, list[Task]]:
    """All that is left to do, by phase: baselines and shared stages, trials, analyses. What lies on disk and not in the
    ledger is recorded first."""
    plan, paths, run = work.plan, work.paths, work.run
    remove_partials(paths.folder, below=True)  # what a killed launcher was writing: this one alone writes there
    rest = trials_left(plan, paths, run, run.ledger.state.winner)
    if plan.space.seeds > 1:
        rest = [trial for trial in rest if not recorder.waits(trial.id)]
    trials = reconcile([trial_task(plan, paths, trial) for trial in rest], recorder)
    if plan.space.unfolds and not trials:
        trials = trials_to_come(work, recorder)
    analyses = space_analyses(plan, paths, run)
    after = {task for later in (*trials, *analyses) for task in later.after}
    stages = [stage for stage in stages_to_make(run) if f"stage/{stage.key}" in after]
    first = baseline_tasks(paths, run, work.splits, plan.space.resources) + stage_tasks(plan, paths, stages, run.ledger)
    return {"stages": first, "trials": trials, "analyses": analyses}


def stages_to_make(run: OpenRun) -> Sequence[StagePlan]:
    """Those that this code may make: where other code was accepted, what a trial that has ended was trained on is not
    made again."""
    state = run.ledger.state
    trials = [trial for trial in run.trials if not state.accepted or state.trials[trial.id].state not in DONE]
    keys = {key for trial in trials for key in trial.stages.values()}
    return [stage for stage in run.stages if stage.key in keys]


def baseline_tasks(paths: RunPaths, run: OpenRun, splits: Splits, claim: Resources) -> list[Task]:
    """Baselines that are not there yet, or damaged.

    Where a target is a whole dataset there is the cheap one alone, tested on the out sets: distances to all its images
    would take hours.
    """
    wanted = [CONVOLUTIONS] if splits.targets.members else list(run.baselines)
    files = {name: paths.baselines / run.baselines[name] / BASELINE for name in wanted}
    works = {
        name: BaselineWork(name, str(file)) for name, file in files.items() if not is_whole(file, vouched=paths.vouched)
    }
    return [Task(f"baseline/{name}", work, claim, retries=0) for name, work in works.items()]


def stage_tasks(plan: Plan, paths: RunPaths, stages: Sequence[StagePlan], ledger: Ledger) -> list[Task]:
    """Stages that no earlier launch has left in this storage, those that others read first.

    Each one that is there already is recorded as reused.
    """
    tasks: list[Task] = []
    known, resources = ledger.state.stages, plan.space.resources
    for stage in stages:
        folder = paths.stages / stage.key
        if is_made(folder):
            if stage.key not in known:
                ledger.append(StageEnded(str(stage.unit), stage.key, reused=True))
            continue
        unit = UnitWork(stage.unit, stage.config, artifact_folders(paths, stage.needs))
        work = StageWork(plan.space.workload, unit, str(folder), resources.share, threads(resources))
        tasks.append(Task(f"stage/{stage.key}", work, resources, after_stages(tasks, stage.needs.values()), retries=2))
    return tasks


def trials_to_come(work: Launch, recorder: Recorder) -> list[Task]:
    """What trials are left once all that could run have: those that have waited for others at a rung, or else those at
    the points that the search chooses next."""
    plan, run, states = work.plan, work.run, work.state.trials
    while True:
        left = [t for t in run.trials if states[t.id].state in GOES_ON and not recorder.waits(t.id)]
        if not left:
            points = chosen_points(plan.space, tried_points(plan.space, run))
            known = [plain(trial.point) for trial in run.trials] if points else []
            repeated = [again for point in points for again in plan.space.repeated(point) if plain(again) not in known]
            if not repeated:
                return []
            left = run.add(plan, work.splits, repeated)
        # of a run whose ledger was lost a whole round may be on disk: then the next is due
        if tasks := reconcile([trial_task(plan, work.paths, trial) for trial in left], recorder):
            return tasks


def tried_points(space: Space, run: OpenRun) -> list[Tried]:
    """The points so far, in the order in which they were chosen. The last is not among them where the launcher died
    before all its seeds were added."""
    states, metric = run.ledger.state.trials, CRITERIA[space.select_by].metric
    repeats: dict[str, list[TrialPlan]] = {}
    for trial in run.trials:
        repeats.setdefault(run.ledger.state.point_of(trial.id), []).append(trial)
    tried = []
    for trials in (trials for trials in repeats.values() if len(trials) == space.seeds):
        known = {t.id: value for t in trials if (value := states[t.id].metric(metric)) is not None}
        rung = min((states[trial].reached for trial in known), default=0)
        point = {key: trials[0].point[key] for key in space.axes}
        tried.append(Tried(point, fmean(known.values()) if known else None, rung))
    return tried


def trials_left(plan: Plan, paths: RunPaths, run: OpenRun, best: TrialState | None) -> list[TrialPlan]:
    """Trials that are not over, and those that are whose files were damaged since: what is lacking of `best`, the
    winner so far, is made again, and of others the scores.

    Without a rule that stops some, the longest come first, so that none begins when all the others end. Successive
    halving spares the first to reach a rung, so there the plan's order stays.
    """
    states = run.ledger.state.trials
    rest = [trial for trial in run.trials if states[trial.id].state not in DONE or (best and trial.id == best.id)]
    if len(plan.rungs) == 1:
        rest.sort(key=lambda trial: -trial_macs(run.methods[trial.id], plan.targets, plan.shape, plan.counts))
    going_on = {trial.id for trial in rest}
    over = [trial for trial in run.trials if trial.id not in going_on]
    with ThreadPoolExecutor(16) as pool:  # an object store answers many requests at once
        lacking = pool.map(lambda trial: lacks_scores(units_of(plan, paths, trial), states[trial.id].reached), over)
        return rest + [trial for trial, lacks in zip(over, lacking, strict=True) if lacks]


def trial_task(plan: Plan, paths: RunPaths, trial: TrialPlan) -> Task:
    """A trial, after its stages."""
    resources, trials = plan.space.resources, (units_of(plan, paths, trial),)
    pooled = plan.space.data.protocol == "in_out"
    work = TrialWork(plan.space.workload, trials, plan.rungs, resources.share, threads(resources), pooled)
    return Task(f"trial/{trial.id}", work, resources, frozenset(f"stage/{key}" for key in trial.stages.values()))


def units_of(plan: Plan, paths: RunPaths, trial: TrialPlan) -> TrialUnits:
    """A trial's detectors."""
    folders = artifact_folders(paths, trial.stages)
    units = tuple(UnitWork(unit, trial.config, folders) for unit in plan.units)
    return TrialUnits(trial.id, str(paths.trials / trial.id), units)


def space_analyses(plan: Plan, paths: RunPaths, run: OpenRun) -> list[Task]:
    """Those that the space asks for, of the winner so far; none where no trial has reached the end."""
    names, state = plan.space.analyses, run.ledger.state
    best = state.winner if names else None
    if best is None:
        return []
    return analysis_tasks(paths, state, names, best, run.methods[best.id], plan.space.resources)


def analysis_tasks(
    paths: RunPaths, state: RunState, names: Iterable[str], best: TrialState, instance: Any, resources: Resources
) -> list[Task]:
    """Analyses that the run's winner `best` has not been through with the keys of its method, or whose files are
    damaged."""
    config = instance.config
    same = ("", analysis_digest(type(config), asdict(config)))  # "": an earlier version's
    events = {key: event for key, event in state.analyses.items() if event.trial == best.id and event.config in same}
    done = {
        key
        for key, event in events.items()
        if is_found(paths.analysis(event.name, event.target), vouched=paths.vouched)
    }
    pairs = [(name, target) for name in names for target in state.opened.targets if f"{name}/{target}" not in done]
    claim = resources.model_copy(update={"workers": 1, "min_workers": None})
    tasks = []
    for name, target in pairs:
        work = AnalysisWork(
            state.opened.space["workload"],
            asdict(config),
            name,
            target,
            best.id,
            stages={str(unit): str(paths.stage(best.stages[str(unit)])) for unit in instance.stages([target])},
            detectors={str(unit): str(paths.trial(best.id).unit(unit, 1000)) for unit in instance.units([target])},
            path=str(paths.analysis(name, target)),
            threads=threads(claim),
        )
        after = frozenset(f"stage/{best.stages[unit]}" for unit in work.stages)
        tasks.append(Task(f"analysis/{name}/{target}", work, claim, after, retries=0))
    return tasks


def reconcile(tasks: Sequence[Task], recorder: Recorder) -> list[Task]:
    """Record and decide on rungs that lie on disk and not in the ledger: a launcher died between the two. A trial that
    the rule had stopped, or that was at its end, ends here where the launcher died before it could say so.

    Returns the tasks that remain, with the trials that remain of each.
    """
    remaining = []
    for task in tasks:
        work = task.work
        assert isinstance(work, TrialWork)
        rest = tuple(trial for trial in work.trials if goes_on(task, trial, recorder))
        if rest:
            remaining.append(replace(task, work=replace(work, trials=rest)))
    return remaining


def goes_on(task: Task, trial: TrialUnits, recorder: Recorder) -> bool:
    """Whether a trial of the task has anything left to do, once its rungs on disk are recorded."""
    work = task.work
    assert isinstance(work, TrialWork)
    alone = replace(task, work=replace(work, trials=(trial,)))
    done = rungs_done(trial, work.rungs)
    remove_shares(trial, done)
    forget_rungs(trial, done[:-1])
    decisions = [recorder.hear(trial.report(rung)) for rung in done]
    if Decision.WAIT in decisions:
        return False
    stopped = Decision.STOP in decisions
    if not stopped and done != list(work.rungs):
        return True
    recorder.hear(Started(alone))
    recorder.hear(Ended(alone, End()))
    return False


def after_stages(tasks: Sequence[Task], keys: Iterable[str]) -> frozenset[str]:
    """The tasks among `tasks` that train the stages with these keys; the others are there already."""
    return frozenset(f"stage/{key}" for key in keys) & {task.id for task in tasks}


def artifact_folders(paths: RunPaths, keys: Mapping[str, str]) -> dict[str, str]:
    """str(unit) of stages -> the folder of its artifact. keys: str(unit) -> the stage's key."""
    return {unit: str(paths.stages / key) for unit, key in keys.items()}


def threads(resources: Resources) -> int:
    """Of the CPU, for each worker."""
    return max(1, int(resources.cpus_per_worker))
