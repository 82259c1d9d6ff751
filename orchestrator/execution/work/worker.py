"""The loop inside a Ray Train worker: its share of the units, one after the other, resumable at any point.

Both ways of splitting work are here. `units`: every worker trains whole networks of its own. `data`: all workers train
one network after the other, each on its rows of every batch, with averaged gradients.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import ray.train
import torch
import torch.distributed as dist
from ray import tune
from upath import UPath

from orchestrator.data.auxiliary.streamed import StreamedSet
from orchestrator.data.split_store import Prepared, Resident, collect, with_general
from orchestrator.execution.on_ray.progress import pin
from orchestrator.record.locks import alone
from orchestrator.record.paths import TrialPaths
from orchestrator.results.evaluation import finish_rung, write_part
from workloads.data.protocols import members_of, normal_for
from workloads.files import read_checked, write_checked
from workloads.method import (
    Detector,
    GroupDetector,
    GroupScores,
    Learner,
    Method,
    Scores,
    Stage,
    Tensors,
    UnitInputs,
)
from workloads.registry import method
from workloads.scoring.table import out_split
from workloads.training.batches import batch_rows, order_seed
from workloads.training.checkpoint import MANIFEST, CorruptCheckpointError, is_complete, load_state, save_state
from workloads.training.distributed import Parallel
from workloads.training.memory import keep_freed_memory
from workloads.units import GENERAL, ImageShape, Unit

SAVE_EVERY = 120.0  # seconds between saved states inside a long schedule; where they fall changes no number
PIN_EVERY = 1.0


@dataclass(frozen=True)
class Job:
    """Everything a worker must know, as plain data."""

    workload: str
    prepared: dict[str, Any]
    pieces: list[dict[str, Any]]  # unit, config, artifacts and folder of each `Piece`
    folder: str  # of the trial; unused by stages
    rungs: list[int]
    share: str  # "units" or "batches"
    label: str  # on the live view
    local: bool = False  # one worker inside the Tune trial's own process


@dataclass(frozen=True)
class Piece:
    """One unit of a job, and what makes it."""

    unit: Unit
    method: Method
    seed: int
    artifacts: dict[str, str]  # str(unit) of a stage that it reads -> its folder
    folder: UPath  # where a stage's artifact goes; of no use to a detector, whose trial has its own folder


def piece_of(
    workload: str, unit: Sequence[str], config: dict[str, Any], artifacts: dict[str, str], folder: str
) -> Piece:
    """A piece from the plain data of a job."""
    chosen = method(workload)
    values = chosen.config_type(**{key: as_tuple(value) for key, value in config.items()})
    return Piece(Unit(*unit), chosen(values), config["seed"], artifacts, UPath(folder))


class Bench:
    """A worker's place, device, method and images."""

    def __init__(self, job: Job) -> None:
        torch.set_flush_denormal(True)  # GAN activations that fade out slow a CPU down many times
        keep_freed_memory()
        world = dist.get_world_size() if dist.is_initialized() else 1
        rank = dist.get_rank() if dist.is_initialized() else 0
        self.job, self.rank, self.world = job, rank, world
        self.device = own_device(job.local)
        self.prepared = Prepared(**job.prepared)
        self.parallel = Parallel(rank, world) if job.share == "batches" else Parallel()
        self.writers = world if job.share == "units" else 1
        self.writes = rank < self.writers
        pieces = [piece_of(job.workload, **plain) for plain in job.pieces]
        self.mine = pieces if job.share == "batches" else share(pieces, self.cost, world)[rank]
        self.loaded: dict[str, Tensors] = {}
        batches = ray.train.get_dataset_shard("images").iter_batches(batch_size=None, batch_format="pyarrow")
        targets = sorted({p.unit.target for p in self.mine})
        general = any(need.target == GENERAL for p in self.mine for need in p.method.needs(p.unit))
        self.images = collect(batches, self.prepared, targets, self.device, auxiliary=general)
        self.stream: StreamedSet | None = None
        if self.prepared.general_set:
            shape = self.prepared.shape
            self.stream = StreamedSet(
                self.prepared.general_set, shape.auxiliary, shape.channels, self.parallel, self.device
            )
            self.images = with_general(self.images, *self.stream.sample())

    def shape(self, unit: Unit) -> ImageShape:
        shape = self.prepared.shape
        return replace(shape, images=len(self.images.train[unit.target])) if hasattr(self, "images") else shape

    def cost(self, piece: Piece) -> float:
        return piece.method.macs(piece.unit, self.shape(piece.unit))

    def inputs(self, piece: Piece) -> UnitInputs:
        """What a piece learns from. Artefacts that the one before has read, and this one does not, are dropped: memory
        does not grow with the classes."""
        wanted = {str(need): piece.artifacts[str(need)] for need in piece.method.needs(piece.unit)}
        kept = {folder: self.loaded[folder] for folder in wanted.values() if folder in self.loaded}
        self.loaded = kept | {f: load_state(UPath(f), self.device) for f in wanted.values() if f not in kept}
        artifacts = {unit: self.loaded[folder] for unit, folder in wanted.items()}
        target, images = piece.unit.target, self.images
        return UnitInputs(
            images.train[target],
            images.val[target],
            artifacts,
            labels=images.labels.get(target),
            classes=len(members_of(self.prepared.members, target)),
            auxiliary=images.auxiliary,
            stream=self.stream,
        )

    def batch(self, piece: Piece, learner: Learner, step: int) -> torch.Tensor:
        """This worker's rows of a step's images, uint8. Their order is a function of seed and step."""
        seed = order_seed(piece.seed, piece.unit)
        if piece.unit.target == GENERAL and self.stream is not None:
            return self.stream.batch(seed, learner.batch_size, step)
        images = self.images.train[piece.unit.target]
        chosen = batch_rows(seed, step, learner.batch_size, len(images))[self.parallel.rows(learner.batch_size)]
        return images[chosen.to(images.device)]


def as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def own_device(local: bool) -> torch.device:
    if local:
        return torch.device("cuda:0" if torch.cuda.is_available() and ray.get_gpu_ids() else "cpu")
    return ray.train.torch.get_device()


def share(pieces: Sequence[Piece], cost: Callable[[Piece], float], workers: int) -> list[list[Piece]]:
    """Longest first to the least loaded worker; each worker then goes target by target, so it reads images once."""

    def name(piece: Piece) -> tuple[Unit, str]:
        return piece.unit, str(piece.folder)

    loads, shares = [0.0] * workers, [list[Piece]() for _ in range(workers)]
    for each in sorted(pieces, key=lambda p: (-cost(p), name(p))):
        worker = loads.index(min(loads))
        shares[worker].append(each)
        loads[worker] += cost(each)
    return [sorted(own, key=name) for own in shares]


History = list[dict[str, float]]
"""`step` and what a learner logged there, of about 50 steps of a schedule."""


def train(
    bench: Bench,
    piece: Piece,
    learner: Learner,
    history: History,
    steps: range,
    save: Callable[[int], None],
    pinned: Callable[[int], None],
) -> None:
    """Run a learner over `steps`, its logs into `history`."""
    saved, shown = time.monotonic(), 0.0
    every = max(1, learner.total_steps // 50)
    for step in steps:
        logs = learner.step(step, bench.batch(piece, learner, step))
        if step % every == 0 or step == steps[-1]:
            history.append({"step": step} | {name: float(value) for name, value in logs.items()})
            if not all(torch.isfinite(torch.tensor(list(history[-1].values())))):
                raise FloatingPointError(f"{piece.unit} diverged at step {step}: {history[-1]}")
        now = time.monotonic()
        if now - shown > PIN_EVERY:
            pinned(step + 1)
            shown = now
        if now - saved > SAVE_EVERY:
            save(step + 1)
            saved = now


def resumed(folder: UPath, learner: Learner) -> tuple[int, History, float]:
    """Load the state in `folder` into the learner if it is there and whole: the step to go on from, logs, seconds."""
    if not is_complete(folder):
        return 0, [], 0.0
    try:
        state = load_state(folder)
    except CorruptCheckpointError as error:
        print(f"ignoring a damaged checkpoint: {error}", flush=True)  # noqa: T201 - the worker's log
        return 0, [], 0.0
    learner.load_state(state["learner"])
    return state["step"], state["history"], state["seconds"]


def train_stages(job: dict[str, Any]) -> None:
    """Train every stage of the job that is not there yet, and leave its artifact under its content hash."""
    bench = Bench(Job(**job))
    costs = [bench.cost(piece) for piece in bench.mine]
    total, done = sum(costs), 0.0
    for piece, cost in zip(bench.mine, costs, strict=True):
        with alone(piece.folder) if bench.writes else nullcontext():
            if bench.parallel.world > 1:
                barrier()  # only the first worker waits for other runs; the rest waits for it
            if not is_complete(piece.folder):
                train_stage(bench, piece, done, total, cost)
        done += cost
        pin(f"{bench.job.label}/{bench.rank}", done, total, str(piece.unit))
    ray.train.report({"done": len(bench.mine)})  # a barrier: nobody goes on before every artifact is there


def train_stage(bench: Bench, piece: Piece, done: float, total: float, cost: float) -> None:
    unit, folder = piece.unit, piece.folder
    learner: Stage = piece.method.stage(unit, bench.inputs(piece), bench.parallel)
    progress = folder.with_name(f"{folder.name}.progress")
    start, history, spent = resumed(progress, learner)
    begun = time.monotonic() - spent

    def save(step: int) -> None:
        if bench.writes:
            seconds = time.monotonic() - begun
            save_state(progress, {"step": step, "learner": learner.state(), "history": history, "seconds": seconds})

    def pinned(step: int) -> None:
        key = f"{bench.job.label}/{bench.rank}"
        pin(key, done + cost * step / learner.total_steps, total, f"{unit} step {step}/{learner.total_steps}")

    train(bench, piece, learner, history, range(start, learner.total_steps), save, pinned)
    if not bench.writes:
        return
    facts = {"unit": str(unit), "steps": learner.total_steps, "seconds": round(time.monotonic() - begun, 1)}
    write_checked(folder / "history.json", json.dumps(facts | {"history": history}, indent=1).encode())
    save_state(folder, learner.artifact())
    discard(progress)


@dataclass
class Running:
    """A detector in training and what it has behind it."""

    learner: Detector
    step: int
    history: History
    seconds: float


def train_trial(job: dict[str, Any]) -> None:
    """Train all detectors of a trial from rung to rung; score, write and report at each."""
    bench = Bench(Job(**job))
    places = TrialPaths(UPath(bench.job.folder))
    running: dict[Unit, Running] = {}
    done = [rung for rung in bench.job.rungs if places.rung(rung).exists()]
    start = done[-1] if done else 0
    # what an earlier attempt has spent counts, so that the books add up after a resume
    begun = time.monotonic() - (json.loads(read_checked(places.rung(start)))["train_seconds"] if done else 0.0)
    for before, rung in rung_pairs(start, bench.job.rungs):
        scores, groups, seconds = [], [], {}
        for number, unit in enumerate(piece.unit for piece in bench.mine):
            learner = advance(bench, places, running, number, (before, rung))
            seconds[str(unit)] = round(running[unit].seconds, 2)
            if bench.writes:
                last = rung == bench.job.rungs[-1]
                scores.append((unit.target, scored(learner, bench.images, unit.target, last=last)))
                if isinstance(learner, GroupDetector):
                    groups.append((unit.target, grouped(learner, bench.images, bench.prepared, unit.target, last=last)))
            if rung == bench.job.rungs[-1]:
                del running[unit]  # its state is saved; memory does not grow with the classes
        if bench.writes:
            write_part(places.scores_part(rung, bench.rank), scores, seconds, bench.images, bench.prepared, groups)
        barrier()
        if bench.rank == 0:
            macs = sum(map(bench.cost, bench.mine)) * rung / 1000
            spent = time.monotonic() - begun
            finish_rung(places, rung, bench.writers, bench.mine[0].method, spent, macs)
        barrier()
        if bench.writes and before:
            for own in bench.mine:
                discard(places.unit(own.unit, before))
        metrics = json.loads(read_checked(places.rung(rung)))
        tune.report(metrics) if bench.job.local else ray.train.report(metrics)


def barrier() -> None:
    if dist.is_initialized():
        dist.barrier()


def rung_pairs(start: int, rungs: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(rung before, rung) for every rung still to do."""
    todo = [r for r in rungs if r > start]
    yield from zip([start, *todo[:-1]], todo, strict=True)


def advance(
    bench: Bench, places: TrialPaths, running: dict[Unit, Running], number: int, span: tuple[int, int]
) -> Detector:
    """Bring this worker's `number`-th detector to the rung at the end of `span`, from wherever a state of it is."""
    piece, (before, rung) = bench.mine[number], span
    unit = piece.unit
    here = places.unit(unit, rung)
    if unit not in running:
        learner = piece.method.detector(unit, bench.inputs(piece), bench.parallel)
        behind = resumed(here, learner)
        if before and not behind[0]:
            behind = resumed(places.unit(unit, before), learner)
        running[unit] = Running(learner, *behind)
    now = running[unit]
    last = round(now.learner.total_steps * rung / 1000)
    costs = [bench.cost(each) for each in bench.mine]
    done = sum(costs[:number]) * (rung - before) / 1000 + sum(costs) * before / 1000

    begun = time.monotonic()

    def save(step: int) -> None:
        if bench.writes:
            seconds = now.seconds + time.monotonic() - begun
            state = {"step": step, "learner": now.learner.state(), "history": now.history, "seconds": seconds}
            save_state(here, state)

    def pinned(step: int) -> None:
        part = costs[number] * (step / now.learner.total_steps - before / 1000)
        pin(f"{bench.job.label}/{bench.rank}", done + part, sum(costs), f"{unit.target} {unit.part}")

    if now.step < last:
        train(bench, piece, now.learner, now.history, range(now.step, last), save, pinned)
        now.step = last
        save(last)
        now.seconds += time.monotonic() - begun
    elif not is_complete(here):  # so short a schedule that two rungs fall on one step
        save(now.step)
    return now.learner


def scored(learner: Detector, images: Resident, target: str, *, last: bool) -> dict[str, Scores]:
    """Scores of every split of a target: test, held-out normals, proxies; the large out sets at the last rung only."""
    if isinstance(learner, GroupDetector):
        return dict(learner.contrast())
    test = images.test[torch.from_numpy(images.test_rows[target])]
    scores = {"test": learner.score(test), "val": learner.score(images.val[target]), **learner.contrast()}
    if not last:
        return scores
    return scores | {out_split(name): learner.score(out) for name, out in images.out.items()}


def grouped(learner: GroupDetector, images: Resident, prepared: Prepared, target: str, *, last: bool) -> GroupScores:
    """Groups of the target's test images, apart by kind, of its held-out images, and, at last, of the out sets."""
    tested = images.test_rows[target]
    normal = normal_for(images.test_labels, prepared.classes, prepared.members, target)
    own, others = (images.test[torch.from_numpy(tested & rows)] for rows in (normal, ~normal))
    anomalous = {"test": others} if len(others) else {}
    if last:
        anomalous |= {out_split(name): out for name, out in images.out.items()}
    return learner.score_groups(images.val[target], own, anomalous)


def discard(folder: UPath) -> None:
    """Remove a state that a later one has replaced: its manifest first, so that it never looks complete."""
    if not folder.exists():
        return
    (folder / MANIFEST).unlink(missing_ok=True)
    for file in list(folder.iterdir()):  # also what a killed writer left
        file.unlink()
    folder.rmdir()
