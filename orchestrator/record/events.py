"""What can happen to a run: one frozen dataclass an event."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from orchestrator.planning.identity import Identity, TrialPlan
from workloads.data.reading.account import Account
from workloads.data.windows import DEEPEST
from workloads.units import ImageShape


class State(StrEnum):
    """What a trial can be."""

    PENDING = "pending"  # not begun, or waiting at a rung for other seeds of its point
    RUNNING = "running"
    FINISHED = "finished"  # reached the end of its schedule
    STOPPED = "stopped"  # the scheduler ended it early
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # the launcher ended first; resumable


class Outcome(StrEnum):
    """How a launch ended."""

    COMPLETE = "complete"
    SOME_FAILED = "some failed"  # trials or analyses; the report is written all the same
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Provenance:
    """Where numbers come from. versions: package -> version. Nothing in it is secret."""

    command: str = ""
    git_commit: str = ""  # with `+changes` where the checkout differs; empty outside a checkout
    python: str = ""
    hardware: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def flat(self) -> dict[str, str]:
        """One level of names, as MLflow's tags have them: a version is `version.PACKAGE`."""
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "versions"}
        return plain | {f"version.{name}": version for name, version in self.versions.items()}


STORED_NAMES = {"own": "proxies"}
"""Key of a rung file -> attribute of `RungMetrics`, where the two differ."""


@dataclass(frozen=True)
class RungMetrics:
    """What a trial measured at a rung.

    numbers: every single number under the name that MLflow shows it by (`contrastive`, `auroc/mean`, ...); None where
    it is undefined. levels: part -> target -> test AUROC of that part alone. proxies: "target/part" -> AUROC of the
    part's own fakes against held-out normal images. not_learned: (target, part, that AUROC) where it is low. failed:
    target -> images that could not be scored. out: out set -> part -> target -> AUROC. intervals: of numbers that are a
    whole detector's AUROC, or a mean of them, 95 %, by their name; runs of earlier versions have none. unscored: part
    -> name of an AUROC -> how many of its images could not be scored, of how many. seconds: str(unit) -> training.
    """

    numbers: dict[str, int | float | None] = field(default_factory=dict)
    train_seconds: float = 0.0  # of the trial so far, scoring included
    macs: float = 0.0  # multiply-accumulates of its networks so far
    seconds: dict[str, float] = field(default_factory=dict)
    levels: dict[str, dict[str, float | None]] = field(default_factory=dict)
    out: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)
    proxies: dict[str, float | None] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float] | None] = field(default_factory=dict)
    unscored: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    not_learned: tuple[tuple[str, str, float], ...] = ()
    failed: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "RungMetrics":
        """From one level of names, as rung files and Tune's results have them."""
        named = {STORED_NAMES.get(key, key): value for key, value in values.items() if key != "budget"}
        structured = {item.name: named.pop(item.name) for item in fields(cls) if item.name in named}
        numbers = {key: value for key, value in named.items() if value is None or isinstance(value, int | float)}
        return METRICS.validate_python(structured | {"numbers": numbers})


METRICS = TypeAdapter(RungMetrics)


@dataclass(frozen=True, kw_only=True)
class Event:
    """time: ISO 8601 in UTC; the ledger fills it in."""

    time: str = ""


@dataclass(frozen=True)
class Opened(Event):
    """A run begins: everything needed to resume, to report and to compare it.

    name, doc, source: of the space, and the file it is from. space: the resolved space as plain data. schedule: the
    preset's name, or "custom". counts: split -> images. costs: kind of network ("detector/level_4") -> planned seconds.
    remarks: what a reader of the results must know of the images, in sentences. account: of a user's folder, what was
    not used; runs of earlier versions have none. white_level: by which images of more than 8 bits were scaled.
    region: the text of the `Region` that is ignored of every image, empty where there is none.
    """

    uid: str
    name: str
    doc: str
    source: str
    space: dict[str, Any]
    preset: str
    schedule: str
    dataset: str
    targets: tuple[str, ...]
    counts: dict[str, int]
    shape: ImageShape
    identity: Identity
    costs: dict[str, float]
    data_dir: str
    tracking_uri: str | None
    trials: tuple[TrialPlan, ...]
    provenance: Provenance
    remarks: tuple[str, ...] = ()
    account: Account | None = None
    white_level: int = DEEPEST
    region: str = ""


@dataclass(frozen=True)
class Launched(Event):
    """A launcher begins to work on the run."""

    command: str
    executor: str = "ray"
    host: str = ""
    pid: int = 0


@dataclass(frozen=True)
class StageEnded(Event):
    """A shared stage is there. reused: an earlier run or launch had left it; then it cost nothing."""

    unit: str
    key: str
    reused: bool
    seconds: float = 0.0
    steps: int = 0


@dataclass(frozen=True)
class TrialAdded(Event):
    """A searcher proposes a further point."""

    trial: TrialPlan


@dataclass(frozen=True)
class TrialMoved(Event):
    """A trial is in another state. error: why it failed."""

    trial: str
    state: State
    error: str = ""


@dataclass(frozen=True)
class RungReached(Event):
    """A trial reports. rung: thousandths of its schedule."""

    trial: str
    rung: int
    metrics: RungMetrics


@dataclass(frozen=True)
class AnalysisEnded(Event):
    """An analysis of the winner of one target is there, or has failed: then with an error and without a trial.

    config: digest of the keys that only analyses read; empty in runs of an earlier version.
    """

    name: str
    target: str
    trial: str
    error: str = ""
    config: str = ""


@dataclass(frozen=True)
class Mishap(Event):
    """Something went amiss that ends no task: a worker was lost or is silent, Ray has ended. task: its id; empty where
    none is concerned."""

    task: str
    text: str


@dataclass(frozen=True)
class CodeAccepted(Event):
    """The user lets a run go on with other code, or with other versions of packages.

    modules, packages: those that differ, in words. stage_keys: key of a stage that is still to be made -> the one that
    it will have, so that no key of the code before holds what the code after has made.
    """

    before: Identity
    after: Identity
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    stage_keys: dict[str, str]


@dataclass(frozen=True)
class Closed(Event):
    """A launch ends. seconds: of wall time. best: the winner's id, where there is one."""

    outcome: Outcome
    seconds: float | None = None
    best: str | None = None
