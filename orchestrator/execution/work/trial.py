"""A trial: its detectors trained from rung to rung, scored and written at each; resumable at any point."""

import json
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, takewhile

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
from orchestrator.planning.early_stopping import Decision
from orchestrator.record.events import RungMetrics
from orchestrator.record.paths import TrialPaths
from orchestrator.results.evaluation import finish_rung, write_share
from workloads.data.view import TargetView
from workloads.files import is_whole, read_checked, remove_checked
from workloads.learner import GroupDetector, Learner, Scorer
from workloads.scoring.evaluate import score, score_groups
from workloads.scoring.localisation import pixel_metrics
from workloads.scoring.pixel_metrics import PixelMetrics
from workloads.scoring.table import join
from workloads.training.batches import unit_batches
from workloads.training.checkpoint import is_complete, is_intact, load_state
from workloads.training.loop import Progress, discard, resume, save_progress, train
from workloads.units import ImageShape, TrainingCounts, Unit


@dataclass(frozen=True)
class TrialUnits:
    """The detectors of one trial. folder: the trial's."""

    id: str
    folder: str
    units: tuple[UnitWork, ...]

    @property
    def paths(self) -> TrialPaths:
        return TrialPaths(UPath(self.folder))

    def report(self, rung: int) -> RungReport:
        """Of a rung that the trial has finished, from its file."""
        return RungReport(self.id, rung, RungMetrics.parse(json.loads(read_checked(self.paths.rung(rung)))))


@dataclass(frozen=True)
class TrialWork:
    """Trials that are trained in turns, rung by rung. rungs: thousandths of the schedule, ascending. threads: of the
    CPU, for each worker. pooled: whether a whole dataset is normal."""

    method: str
    trials: tuple[TrialUnits, ...]
    rungs: tuple[int, ...] = (1000,)
    share: Share = "units"
    threads: int = 1
    pooled: bool = False

    def assigned(self, rank: int, world: int, shape: ImageShape, counts: TrainingCounts) -> list[UnitWork]:
        """What a worker trains of all trials: everything where workers share batches, else a balanced part of each."""
        return [unit for trial in self.trials for unit in self.assigned_of(trial, rank, world, shape, counts)]

    def assigned_of(
        self, trial: TrialUnits, rank: int, world: int, shape: ImageShape, counts: TrainingCounts
    ) -> list[UnitWork]:
        """What a worker trains of one trial."""
        if self.share == "batches":
            return list(trial.units)
        shares = balance(trial.units, lambda u: cost(self.method, u, shape, counts), lambda u: u.unit, world)
        return shares[rank]

    def run(self, worker: Worker) -> Generator[RungReport, Decision | None, End]:
        """Train from where the trials' files say they are; every rung is written before it is reported. A trial that
        whoever asks on decides to stop, or that is to wait, is left where it is.

        Rungs that are there are reported, too: an earlier attempt may have died before anybody heard of the last one.
        """
        artifacts = Artifacts(worker.device)
        trainings = [_Training(self, trial, worker, artifacts) for trial in self.trials]

        def note(text: str) -> None:
            done = sum(training.done for training in trainings)
            worker.progress(done, sum(training.whole for training in trainings), text)

        for rung in self.rungs:
            for training in list(trainings):
                training.bring_to(rung, note)
                decision = yield training.trial.report(rung)
                if decision is not None and decision.leaves:
                    trainings.remove(training)
        return End()


def rungs_done(trial: TrialUnits, rungs: Sequence[int]) -> list[int]:
    """Rungs that a trial has finished, in their order, without a gap. A rung whose files are not as they were written
    is to be made again, as is all that comes after it; so is the last one where a detector's last state is damaged."""
    paths = trial.paths
    done = list(takewhile(lambda rung: has_files(paths, rung), rungs))
    if len(done) == len(rungs):
        states = [paths.unit(work.unit, done[-1]) for work in trial.units]
        if any(state.exists() and not is_intact(state) for state in states):  # one that was removed is no damage
            done.pop()
    return done


def has_files(paths: TrialPaths, rung: int) -> bool:
    """Whether the files of a rung are there as they were written."""
    vouched = paths.vouched
    return all(is_whole(file, vouched=vouched) for file in (paths.rung(rung), paths.scores(rung)))


def lacks_scores(trial: TrialUnits, rung: int) -> bool:
    """Whether the files of a rung are missing or damaged, and can be made from the detectors' states. What was removed
    together with these is not missed."""
    paths = trial.paths
    return not has_files(paths, rung) and all(is_complete(paths.unit(work.unit, rung)) for work in trial.units)


def remove_shares(trial: TrialUnits, rungs: Sequence[int]) -> None:
    """Remove workers' shares of rungs that are done, which an attempt that was killed could not remove."""
    for share in [share for rung in rungs for share in trial.paths.scores_shares(rung)]:
        remove_checked(share)


def forget_rungs(trial: TrialUnits, rungs: Sequence[int]) -> None:
    """Remove the detectors' states of rungs that later ones have replaced, which a killed attempt could not remove."""
    for folder in [trial.paths.unit(work.unit, rung) for rung in rungs for work in trial.units]:
        discard(folder)


class _Training:
    """A worker's detectors of a trial, and what they have behind them.

    rung: the last that was written. seconds: of training and scoring so far, those of earlier attempts among them, so
    that the books add up after a resume.
    """

    def __init__(self, work: TrialWork, trial: TrialUnits, worker: Worker, artifacts: Artifacts) -> None:
        self.work, self.trial, self.paths, self.worker, self.artifacts = work, trial, trial.paths, worker, artifacts
        self.parallel = worker.parallel(work.share)
        self.writes = worker.rank < worker.writers(work.share)
        self.running: dict[Unit, tuple[Learner, Progress]] = {}
        self.written = rungs_done(trial, work.rungs)
        self.rung = self.written[-1] if self.written else 0
        self.seconds = trial.report(self.rung).metrics.train_seconds if self.rung else 0.0
        self.done = 0.0
        if worker.rank == 0:
            remove_shares(trial, self.written)

    @cached_property
    def units(self) -> list[UnitWork]:
        rank, world, splits = self.worker.rank, self.worker.world, self.worker.splits
        return self.work.assigned_of(self.trial, rank, world, splits.shape, splits.counts)

    @cached_property
    def costs(self) -> list[float]:
        """Multiply-accumulates of every unit, with the images that its own target has. They are brought here for it."""
        views = [view_of(self.worker, self.work.method, work, test=False) for work in self.units]
        return [
            cost(self.work.method, work, view.shape, view.counts) for work, view in zip(self.units, views, strict=True)
        ]

    @property
    def whole(self) -> float:
        """Multiply-accumulates of all the units together."""
        return sum(self.costs)

    def bring_to(self, rung: int, note: Callable[[str], None]) -> None:
        """Train to a rung, score, and write it, unless it is there already."""
        if rung <= self.rung:
            return
        self.done = self.whole * self.rung / 1000  # which brings the images here, before time is taken
        if not self.running:
            for old in self.written[:-1]:
                self.forget(old)  # an attempt that died after it had written the next rung has left its state
        begun = time.monotonic()
        self.reach(self.rung, rung, note)
        self.worker.barrier()
        if self.worker.rank == 0:
            self.finish(rung, self.seconds + time.monotonic() - begun)
        self.worker.barrier()
        self.forget(self.rung)
        self.rung, self.seconds = rung, self.seconds + time.monotonic() - begun

    def reach(self, before: int, rung: int, note: Callable[[str], None]) -> None:
        """Bring every detector from one rung to another, score it, and write this worker's scores."""
        last, seconds = rung == self.work.rungs[-1], {}
        scores: list[pa.Table] = []
        groups: list[pa.Table] = []
        for number, work in enumerate(self.units):
            learner, progress = self.advance(number, before, rung, note)
            seconds[str(work.unit)] = round(progress.seconds, 2)
            if self.writes:
                view = view_of(self.worker, self.work.method, work, test=True)
                scorer = self.scorer_of(work, learner, view)
                scores.append(score(learner, scorer, view, last=last))
                if isinstance(scorer, GroupDetector):
                    groups.append(score_groups(scorer, view, last=last))
            if last:
                del self.running[work.unit]  # its state is saved; memory does not grow with the classes
        if self.writes:
            write_share(self.paths.scores_share(rung, self.worker.rank), join([*scores, *groups]), seconds)

    def advance(self, number: int, before: int, rung: int, note: Callable[[str], None]) -> tuple[Learner, Progress]:
        """Bring this worker's `number`-th detector to a rung, from wherever a state of it is."""
        work = self.units[number]
        unit, folder = work.unit, self.paths.unit(work.unit, rung)
        view = view_of(self.worker, self.work.method, work, test=False)
        if unit not in self.running:
            self.running[unit] = self.started(work, before, rung)
        detector, progress = self.running[unit]
        batches = unit_batches(unit, work.config["seed"], view, detector.batch_size, self.parallel)
        costs = self.costs
        done = sum(costs[:number]) * (rung - before) / 1000 + self.whole * before / 1000

        def save() -> None:
            if self.writes:
                save_progress(folder, detector, progress)

        def show(step: int) -> None:
            self.done = done + costs[number] * (step / detector.total_steps - before / 1000)
            rate = (step - behind) * detector.batch_size / max(time.monotonic() - begun, 1e-6)
            note(f"{unit.target} {unit.part}, {rate:,.0f} images/s")

        until = round(detector.total_steps * rung / 1000)
        behind, begun = progress.step, time.monotonic()
        train(detector, progress, until, batches, save, show, str(unit))
        if behind < until or not is_complete(folder):  # so short a schedule that two rungs fall on one step
            save()
        return detector, progress

    def started(self, work: UnitWork, before: int, rung: int) -> tuple[Learner, Progress]:
        """A detector with the latest state that is there: of this rung, of the one before, or none."""
        method = method_of(self.work.method, work.config)
        artifacts = self.artifacts.read({str(n): work.artifacts[str(n)] for n in method.needs(work.unit)})
        view = view_of(self.worker, self.work.method, work, test=False)
        detector = method.learner(work.unit, view, artifacts, self.parallel)
        progress = resume(self.paths.unit(work.unit, rung), detector)
        if progress is None and before:
            progress = resume(self.paths.unit(work.unit, before), detector)
        return detector, progress or Progress()

    def scorer_of(self, work: UnitWork, learner: Learner, view: TargetView) -> Scorer:
        """The learner itself where it scores images, else the method's scorer of what it has learnt so far."""
        if isinstance(learner, Scorer):
            return learner
        method = method_of(self.work.method, work.config)
        stages = self.artifacts.read({str(n): work.artifacts[str(n)] for n in method.scoring_needs(work.unit)})
        scorer = method.scorer(work.unit, view.shape, stages, self.worker.device)
        scorer.load_state(learner.state())
        return scorer

    def finish(self, rung: int, seconds: float) -> None:
        """Join all workers' scores of a rung, and compute its metrics."""
        method = method_of(self.work.method, self.units[0].config)
        macs = self.whole * rung / 1000
        writers, pixels = self.worker.writers(self.work.share), dict[str, PixelMetrics]()
        if rung == self.work.rungs[-1]:
            by_target = groupby(sorted(self.trial.units, key=lambda u: u.unit.target), lambda u: u.unit.target)
            measured = {target: self.pixels(list(units), rung) for target, units in by_target}
            pixels = {target: metrics for target, metrics in measured.items() if metrics is not None}
        finish_rung(self.paths, rung, writers, method, seconds, macs, pooled=self.work.pooled, pixels=pixels)

    def pixels(self, units: Sequence[UnitWork], rung: int) -> PixelMetrics | None:
        """How well the maps of a target's whole detector agree with the masks; None without the one or the other.

        The detector is read back, for its parts may have been trained by several workers.
        """
        method, device = method_of(self.work.method, units[0].config), self.worker.device
        view = view_of(self.worker, self.work.method, units[0], test=True)
        if view.masks is None:
            return None
        scorers = []
        for work in units:
            stages = self.artifacts.read({str(n): work.artifacts[str(n)] for n in method.scoring_needs(work.unit)})
            scorers.append(method.scorer(work.unit, view.shape, stages, device))
            scorers[-1].load_state(load_state(self.paths.unit(work.unit, rung), device)["learner"])
        return pixel_metrics(method.localizing(scorers), view)

    def forget(self, rung: int) -> None:
        """Remove the states of a rung that later ones have replaced; there are none at rung 0."""
        if self.writes and rung:
            for work in self.units:
                discard(self.paths.unit(work.unit, rung))
