"""A trial: its detectors trained from rung to rung, scored and written at each; resumable at any point."""

import json
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
from upath import UPath

from orchestrator.execution.executor import End, RungReport
from orchestrator.execution.work.worker import (
    Artifacts,
    Share,
    UnitWork,
    Worker,
    balance,
    cost,
    method_of,
    view_of,
)
from orchestrator.record.paths import TrialPaths
from orchestrator.results.evaluation import finish_rung, write_part
from workloads.files import read_checked
from workloads.method import Detector, GroupDetector
from workloads.scoring.evaluate import score, score_groups
from workloads.scoring.table import join
from workloads.training.batches import unit_batches
from workloads.training.checkpoint import is_complete
from workloads.training.loop import Progress, discard, resume, save_progress, train
from workloads.units import ImageShape, TrainingCounts, Unit


@dataclass(frozen=True)
class TrialUnits:
    """The detectors of one trial. folder: the trial's."""

    id: str
    folder: str
    units: tuple[UnitWork, ...]


@dataclass(frozen=True)
class TrialWork:
    """Trials of equal shapes that are trained together: one today. rungs: thousandths of the schedule, ascending.
    threads: of the CPU, for each worker."""

    method: str
    trials: tuple[TrialUnits, ...]
    rungs: tuple[int, ...] = (1000,)
    share: Share = "units"
    threads: int = 1

    def assigned(self, rank: int, world: int, shape: ImageShape, counts: TrainingCounts) -> list[UnitWork]:
        """What a worker trains: everything where workers share batches, else a balanced part."""
        (trial,) = self.trials
        if self.share == "batches":
            return list(trial.units)
        shares = balance(trial.units, lambda u: cost(self.method, u, shape, counts), lambda u: u.unit, world)
        return shares[rank]

    def run(self, worker: Worker) -> Generator[RungReport, None, End]:
        """Train from where the trial's files say it is; every rung is written before it is reported.

        Rungs that are there are reported first: an earlier attempt may have died before anybody heard of the last one.
        """
        (trial,) = self.trials
        paths = TrialPaths(UPath(trial.folder))
        done = [rung for rung in self.rungs if paths.rung(rung).exists()]
        for rung in done:
            yield report(trial.id, paths, rung)
        if len(done) == len(self.rungs):
            return End()
        training = _Training(self, paths, worker)
        for rung in done[:-1]:
            training.forget(rung)  # an attempt that died after it had written the next rung has left its state
        start = done[-1] if done else 0
        # what an earlier attempt has spent counts, so that the books add up after a resume
        begun = time.monotonic() - (json.loads(read_checked(paths.rung(start)))["train_seconds"] if done else 0.0)
        for before, rung in rung_pairs(start, self.rungs):
            training.reach(before, rung)
            worker.barrier()
            if worker.rank == 0:
                training.finish(rung, time.monotonic() - begun)
            worker.barrier()
            training.forget(before)
            yield report(trial.id, paths, rung)
        return End()


def report(trial: str, paths: TrialPaths, rung: int) -> RungReport:
    """A trial's report of a rung that it has finished, from its file."""
    return RungReport(trial, rung, json.loads(read_checked(paths.rung(rung))))


def rung_pairs(start: int, rungs: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(rung before, rung) for every rung still to do."""
    return pairwise([start, *(rung for rung in rungs if rung > start)])


class _Training:
    """A worker's detectors of a trial, and what they have behind them."""

    def __init__(self, work: TrialWork, paths: TrialPaths, worker: Worker) -> None:
        self.work, self.paths, self.worker = work, paths, worker
        self.parallel = worker.parallel(work.share)
        self.writes = worker.rank < worker.writers(work.share)
        self.units = work.assigned(worker.rank, worker.world, worker.splits.shape, worker.splits.counts)
        self.costs = [self.cost(unit) for unit in self.units]  # which brings the images here, before time is taken
        self.artifacts = Artifacts(worker.device)
        self.running: dict[Unit, tuple[Detector, Progress]] = {}

    def reach(self, before: int, rung: int) -> None:
        """Bring every detector from one rung to another, score it, and write this worker's scores."""
        last, seconds = rung == self.work.rungs[-1], {}
        scores: list[pa.Table] = []
        groups: list[pa.Table] = []
        for number, work in enumerate(self.units):
            detector, progress = self.advance(number, before, rung)
            seconds[str(work.unit)] = round(progress.seconds, 2)
            if self.writes:
                view = view_of(self.worker, self.work.method, work, test=True)
                scores.append(score(detector, view, last=last))
                if isinstance(detector, GroupDetector):
                    groups.append(score_groups(detector, view, last=last))
            if last:
                del self.running[work.unit]  # its state is saved; memory does not grow with the classes
        if self.writes:
            write_part(self.paths.scores_part(rung, self.worker.rank), join([*scores, *groups]), seconds)

    def advance(self, number: int, before: int, rung: int) -> tuple[Detector, Progress]:
        """Bring this worker's `number`-th detector to a rung, from wherever a state of it is."""
        work = self.units[number]
        unit, folder = work.unit, self.paths.unit(work.unit, rung)
        view = view_of(self.worker, self.work.method, work, test=False)
        if unit not in self.running:
            self.running[unit] = self.started(work, before, rung)
        detector, progress = self.running[unit]
        batches = unit_batches(unit, work.config["seed"], view, detector.batch_size, self.parallel)
        costs, whole = self.costs, sum(self.costs)
        done = sum(costs[:number]) * (rung - before) / 1000 + whole * before / 1000

        def save() -> None:
            if self.writes:
                save_progress(folder, detector, progress)

        def show(step: int) -> None:
            part = costs[number] * (step / detector.total_steps - before / 1000)
            self.worker.progress(done + part, whole, f"{unit.target} {unit.part}")

        until = round(detector.total_steps * rung / 1000)
        behind = progress.step
        train(detector, progress, until, batches, save, show, str(unit))
        if behind < until or not is_complete(folder):  # so short a schedule that two rungs fall on one step
            save()
        return detector, progress

    def started(self, work: UnitWork, before: int, rung: int) -> tuple[Detector, Progress]:
        """A detector with the latest state that is there: of this rung, of the one before, or none."""
        method = method_of(self.work.method, work.config)
        artifacts = self.artifacts.read({str(n): work.artifacts[str(n)] for n in method.needs(work.unit)})
        view = view_of(self.worker, self.work.method, work, test=False)
        detector = method.detector(work.unit, view, artifacts, self.parallel)
        progress = resume(self.paths.unit(work.unit, rung), detector)
        if progress is None and before:
            progress = resume(self.paths.unit(work.unit, before), detector)
        return detector, progress or Progress()

    def cost(self, work: UnitWork) -> float:
        """Multiply-accumulates of a unit, with the images that its own target has."""
        view = view_of(self.worker, self.work.method, work, test=False)
        return cost(self.work.method, work, view.shape, view.counts)

    def finish(self, rung: int, seconds: float) -> None:
        """Join all workers' scores of a rung, and compute its metrics."""
        method = method_of(self.work.method, self.units[0].config)
        macs = sum(self.costs) * rung / 1000
        finish_rung(self.paths, rung, self.worker.writers(self.work.share), method, seconds, macs)

    def forget(self, rung: int) -> None:
        """Remove the states of a rung that later ones have replaced; there are none at rung 0."""
        if self.writes and rung:
            for work in self.units:
                discard(self.paths.unit(work.unit, rung))
