"""What work is and what it may ask of where it runs: a rank, a device, images, a way to say how far it is."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import torch
from threadpoolctl import threadpool_limits
from upath import UPath

from orchestrator.data.shared import SharedSplits
from orchestrator.execution.executor import End, RungReport
from orchestrator.planning.early_stopping import Decision
from workloads.data.view import TargetView
from workloads.learner import Tensors
from workloads.method import Method
from workloads.registry import method
from workloads.training.checkpoint import load_state
from workloads.training.distributed import Parallel
from workloads.training.memory import keep_freed_memory
from workloads.training.precision import upgraded
from workloads.units import GENERAL, ImageShape, TrainingCounts, Unit

Share = Literal["units", "batches"]
Item = TypeVar("Item")


@dataclass
class Worker:
    """All that work sees of the process it runs in: this one alone; executors make workers of several out of it."""

    splits: SharedSplits
    device: torch.device
    rank: int = 0
    world: int = 1

    def progress(self, done: float, total: float, text: str) -> None:
        """Note that `done` of `total` is done, in any unit of work, and what is being done."""

    def barrier(self) -> None:
        """Wait until all workers of the task are here."""

    def parallel(self, share: Share) -> Parallel:
        """This worker's place among those that train a network together: alone, where they share out units."""
        return Parallel(self.rank, self.world) if share == "batches" else Parallel()

    def writers(self, share: Share) -> int:
        """How many workers write files: each one where units are shared out, else the first."""
        return self.world if share == "units" else 1


class Work(Protocol):
    """Frozen, picklable. It resumes by itself: it looks for its states by their paths."""

    @property
    def threads(self) -> int: ...

    def run(self, worker: Worker) -> Generator[RungReport, Decision | None, End]:
        """Do it, and report every rung. Whoever runs it stops it by not asking for the next one, and one of its trials
        by sending the decision to stop."""
        ...


@dataclass(frozen=True)
class UnitWork:
    """One network or fit. artifacts: str(unit) of a stage that it reads -> its folder."""

    unit: Unit
    config: dict[str, Any]
    artifacts: Mapping[str, str] = field(default_factory=dict)


def method_of(name: str, config: Mapping[str, Any]) -> Method:
    """A method with a config as files have it. Raises KeyError for a method that there is not."""
    method_type = method(name)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in upgraded(name, config).items()}
    instance: Method = method_type(method_type.Config(**values))
    return instance


def cost(name: str, work: UnitWork, shape: ImageShape, counts: TrainingCounts) -> float:
    """Multiply-accumulates of training the unit to the end; its number of images where the method knows none."""
    cost = method_of(name, work.config).cost(work.unit, shape, counts)
    return float(counts.images) if cost is None else cost.macs


def needs_auxiliary(name: str, work: UnitWork) -> bool:
    """Whether the unit reads what was learnt from the auxiliary set, and so is held against its images."""
    return any(need.target == GENERAL for need in method_of(name, work.config).needs(work.unit))


def balance(
    items: Sequence[Item], cost: Callable[[Item], float], name: Callable[[Item], Any], workers: int
) -> list[list[Item]]:
    """A share of the items a worker: the most expensive first, to the least loaded worker. Each share is in the order
    of names, so that a worker goes target by target."""
    loads, shares = [0.0] * workers, [list[Item]() for _ in range(workers)]
    for item in sorted(items, key=lambda item: (-cost(item), name(item))):
        worker = loads.index(min(loads))
        shares[worker].append(item)
        loads[worker] += cost(item)
    return [sorted(share, key=name) for share in shares]


class Artifacts:
    """Artifacts of stages on a device. Those that a unit shares with the one before are read once; the others are let
    go, so that memory does not grow with the classes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.loaded: dict[str, Tensors] = {}

    def read(self, folders: Mapping[str, str]) -> dict[str, Tensors]:
        """Of every unit, by its name. Raises CorruptCheckpointError."""
        kept = {folder: self.loaded[folder] for folder in folders.values() if folder in self.loaded}
        new = [folder for folder in folders.values() if folder not in kept]
        self.loaded = kept  # before others are read, so that both are never held
        self.loaded = kept | {folder: load_state(UPath(folder), self.device) for folder in new}
        return {unit: self.loaded[folder] for unit, folder in folders.items()}


def view_of(worker: Worker, name: str, work: UnitWork, *, test: bool) -> TargetView:
    """The unit's images on the worker's device."""
    return worker.splits.view(work.unit.target, worker.device, test=test, auxiliary=needs_auxiliary(name, work))


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """How numbers are computed here until this ends: on so many threads of the CPU, denormals taken as 0.

    The threads are the claim's for torch and for NumPy's and scikit-learn's libraries alike, whatever OMP_NUM_THREADS
    says: sums over another number of threads differ. Activations of a GAN that fade out slow a CPU down many times
    unless denormals are 0; threads that start meanwhile inherit it.
    """
    before = torch.get_num_threads()
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    keep_freed_memory()
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)
