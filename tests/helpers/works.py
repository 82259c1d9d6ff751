"""Trials and stages that train nothing: they report what they are made to, so that executors alone are tested."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.execution.executor import End, Ended, RungReport, Started, Task
from orchestrator.execution.work.stage import StageWork
from orchestrator.execution.work.trial import TrialUnits, TrialWork
from orchestrator.execution.work.worker import UnitWork
from orchestrator.planning.early_stopping import Decision
from orchestrator.record.events import Mishap, RungMetrics
from tune_spaces.schema import Resources
from workloads.errors import UserError
from workloads.units import Unit

RUNGS = (250, 500, 1000)


def nothing(rung: int) -> None:
    pass


def note(folder, rung):
    """Write down in which process a rung was worked on."""
    with (folder / "pids").open("a") as file:
        file.write(f"{os.getpid()}\n")


def meet(folder, rung):
    """As `note`, and wait until two processes have."""
    note(folder, rung)
    deadline = time.monotonic() + 120
    while len(set((folder / "pids").read_text().split())) < 2:
        assert time.monotonic() < deadline, "no other process takes part"
        time.sleep(0.05)


def fail(text, rung):
    """As an error for users does."""
    raise UserError(text, where="the third image", fix="look at it")


def die_once(folder, at, rung):
    """Kill this process at a rung, once."""
    if rung == at and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def die(rung):
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class MadeTrial(TrialWork):
    """Reports its rungs. value: of the metric `contrastive`. before: called before every rung; may raise."""

    value: float = 0.5
    before: Callable[[int], None] = nothing

    def run(self, worker):
        for rung in self.rungs:
            self.before(rung)
            yield RungReport(self.trials[0].id, rung, RungMetrics({"contrastive": self.value}))
        return End()


@dataclass(frozen=True)
class MadeStage(StageWork):
    """Ends after 1.5 seconds and 3 steps, so it says. before: called first, with 0; may raise."""

    before: Callable[[int], None] = nothing

    def run(self, worker):
        yield from ()
        self.before(0)
        return End(seconds=1.5, steps=3)


def made_trial(name, folder="nowhere", after=(), retries=1, rungs=RUNGS, **values):
    work = MadeTrial("mlsad", (TrialUnits(name, str(folder), ()),), rungs, **values)
    return Task(f"trial/{name}", work, Resources(), frozenset(after), retries)


def made_stage(key, after=(), retries=0, **values):
    work = MadeStage("mlsad", UnitWork(Unit("generator", "3", "level_2"), {}), "nowhere", **values)
    return Task(f"stage/{key}", work, Resources(), frozenset(after), retries)


class NoImages:
    """What work that looks at no image has of them."""

    def of(self, work, rank=0, world=1):
        return None


@dataclass
class Heard:
    """A listener that keeps what it hears. stop_at: (trial, rung) where it says stop."""

    stop_at: tuple[str, int] | None = None
    events: list[tuple] = field(default_factory=list)
    mishaps: list[tuple] = field(default_factory=list)

    def hear(self, event):
        match event:
            case Started(task):
                self.events.append(("started", task.id))
            case Ended(task, end):
                self.events.append(("ended", task.id, end.error))
            case Mishap():
                self.mishaps.append((event.task, event.text))
            case RungReport(trial, rung):
                self.events.append(("reported", trial, rung))
                return Decision.STOP if (trial, rung) == self.stop_at else Decision.CONTINUE
        return Decision.CONTINUE
