"""Closer looks at a run's winner, a Ray task each."""

from collections.abc import Iterable
from dataclasses import asdict

import ray

from orchestrator.clusters.session import node_resources
from orchestrator.data.shared import ShardedSplits
from orchestrator.data.split_store import SplitStore
from orchestrator.execution.on_ray.progress import pin
from orchestrator.execution.on_ray.workers import RayWorker, lone_device, threads
from orchestrator.execution.work.analysis import AnalysisWork
from orchestrator.execution.work.worker import computing
from orchestrator.planning.capacity import slots
from orchestrator.record.events import AnalysisEnded
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import RunState, TrialState
from orchestrator.results.run import winner
from tune_spaces.schema import Resources
from workloads.registry import method


def missing(state: RunState, names: Iterable[str]) -> list[tuple[str, str]]:
    """(analysis, target) that the winner has not been through; none where no trial has reached the end."""
    best = winner(state)
    if best is None:
        return []
    pairs = [(name, target) for name in names for target in state.opened.targets]
    done = {key for key, event in state.analyses.items() if event.trial == best.id}
    return [(name, target) for name, target in pairs if f"{name}/{target}" not in done]


def analysis_work(paths: RunPaths, state: RunState, best: TrialState, name: str, target: str) -> AnalysisWork:
    """What a worker must know of one analysis of the winner's detector of a target."""
    space = state.space
    config = space.config(best.point)
    chosen = method(space.workload)(config)
    return AnalysisWork(
        space.workload,
        asdict(config),
        name,
        target,
        best.id,
        stages={str(unit): str(paths.stage(best.stages[str(unit)])) for unit in chosen.stages([target])},
        detectors={str(unit): str(paths.trial(best.id).unit(unit, 1000)) for unit in chosen.units([target])},
        path=str(paths.analysis(name, target)),
        threads=threads(space.resources),
    )


def run_analyses(paths: RunPaths, ledger: Ledger, names: Iterable[str], resources: Resources) -> None:
    """Do what is missing, as many at once as fit; each is recorded as it ends, and so is one that fails.

    Raises UserError where the cluster has no room for even one.
    """
    todo, best = missing(ledger.state, names), winner(ledger.state)
    slots(resources.model_copy(update={"workers": 1}), node_resources())
    if best is None:
        return
    task = ray.remote(num_cpus=resources.cpus_per_worker, num_gpus=resources.gpus_per_worker)(analyse)
    digest = ledger.state.opened.identity.data
    works = {(name, target): analysis_work(paths, ledger.state, best, name, target) for name, target in todo}
    running = {task.remote(work, paths, digest): pair for pair, work in works.items()}
    while running:
        (ready,), _ = ray.wait(list(running), num_returns=1)
        name, target = running.pop(ready)
        try:
            ray.get(ready)
            ledger.append(AnalysisEnded(name, target, best.id))
        except ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            ledger.append(AnalysisEnded(name, target, "", lines[-1][:500]))
        pin("analyses/all", len(todo) - len(running), len(todo), f"{name} {target}")


def analyse(work: AnalysisWork, paths: RunPaths, digest: str) -> None:
    """Inside a Ray task: do the work with the images that the storage keeps."""
    store = SplitStore(paths)
    with computing(work.threads):
        splits = ShardedSplits(
            store.manifest(digest), lambda: store.tables(digest), [work.target], masks=store.masks(digest)
        )
        for _ in work.run(RayWorker(splits, lone_device(), "analysis")):
            pass  # an analysis has no rungs
