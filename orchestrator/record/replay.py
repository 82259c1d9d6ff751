"""The last launch of a run, as its ledger tells it, in the terms of the simulator: what it consisted of and took."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.planning.request import absolute
from orchestrator.planning.simulation import Load, Outcome, longest_first
from orchestrator.record.events import Event, Launched, RungReached, StageEnded, State, TrialMoved
from orchestrator.record.ledger import read_events
from orchestrator.record.runs import open_run
from workloads.errors import UserError


@dataclass(frozen=True)
class Recording:
    """A launch as its ledger tells it: what it consisted of, and what it really took."""

    load: Load
    measured: Outcome  # `stages` with every start-up in them, up to the first trial; `waves` is not recorded


def seconds_of(event: Event) -> float:
    return datetime.fromisoformat(event.time).timestamp()


def last_launch(events: Sequence[Event]) -> Sequence[Event]:
    """The events from the last launch that ran a trial on."""
    starts = [n for n, event in enumerate(events) if isinstance(event, Launched)]
    ran = [n for n, event in enumerate(events) if is_start(event)]
    begun = [n for n in starts if ran and n < ran[-1]]
    return events[begun[-1] :] if begun else []


def replay_run(run: str, storage: str) -> Recording:
    """`replay` of a run of a storage. Raises UserError where there is no such run, too."""
    paths, state = open_run(absolute(storage), run)
    resources = state.space.resources
    return replay(read_events(paths), resources.workers, resources.workers if resources.share == "batches" else 1)


def replay(events: Sequence[Event], workers: int = 1, sharing: int = 1) -> Recording:
    """What the last launch of a run did, as a load. workers: of a trial; sharing: of them that train a stage together.
    Raises UserError (exit 2) where it ended no trial.

    Training is told apart from starting, which depends on the machine and on what else starts on it: a trial's seconds
    are those it trained and scored, `trial_start` is the mean rest of its time and of the gap before it.
    """
    launch = last_launch(events)
    spans = spans_of(launch)
    if not spans:
        raise UserError("the run has ended no trial in its last launch: nothing to replay")
    ordered = sorted(spans.values())
    launched, first = seconds_of(launch[0]), ordered[0][0]
    slots = max(sum(a <= begin < b for a, b in ordered) for begin, _ in ordered)
    costs, ended = stages_of(launch)
    load_of_stages = max(longest_first(costs, min(slots * workers // sharing, len(costs)))) if costs else 0.0
    between = turnaround(ordered, slots)
    lasted = [end - begin for begin, end in ordered]
    training = [trained(launch, trial) for trial in sorted(spans, key=lambda trial: spans[trial])]
    trials = [min(whole, part) if part else whole for whole, part in zip(lasted, training, strict=True)]
    load = Load(
        rounds=(costs,) if costs else (),
        trials=tuple(trials),
        training=workers * sum(training),
        workers=workers,
        sharing=sharing,
        start=max(0.0, first - (ended or launched) - between),  # the first trial waits like any other
        round_start=max(0.0, ended - launched - load_of_stages) if ended else 0.0,
        trial_start=between + (sum(lasted) - sum(trials)) / len(trials),
    )
    busy, last = sum(costs) * sharing + load.training, max(end for _, end in ordered)
    stages, ran = first - launched - between, last - first + between  # told apart where `simulate` tells them apart
    return Recording(load, Outcome(slots, slots * workers, stages, ran, 0.0, busy, 0))


def is_start(event: Event) -> bool:
    return isinstance(event, TrialMoved) and event.state == State.RUNNING


def spans_of(launch: Sequence[Event]) -> dict[str, tuple[float, float]]:
    """When each trial that ended began and ended."""
    started: dict[str, float] = {}
    spans: dict[str, tuple[float, float]] = {}
    for event in (event for event in launch if isinstance(event, TrialMoved)):
        if event.state == State.RUNNING:
            started.setdefault(event.trial, seconds_of(event))
        elif event.trial in started and event.state != State.INTERRUPTED:
            spans[event.trial] = (started[event.trial], seconds_of(event))
    return spans


def turnaround(spans: Sequence[tuple[float, float]], slots: int) -> float:
    """Mean seconds from a trial's end to the start of the one that takes its slot. `spans` by their beginning."""
    ends = sorted(end for _, end in spans)
    gaps = [max(0.0, begin - end) for (begin, _), end in zip(spans[slots:], ends, strict=False)]
    return sum(gaps) / len(gaps) if gaps else 0.0


def trained(launch: Sequence[Event], trial: str) -> float:
    """Seconds that a trial says it trained and scored, from its start on or since the launch before."""
    rungs = [event for event in launch if isinstance(event, RungReached) and event.trial == trial]
    return max((event.metrics.train_seconds for event in rungs), default=0.0)


def stages_of(launch: Sequence[Event]) -> tuple[tuple[float, ...], float | None]:
    """(seconds of the stages, when the last one ended). They are one round, for none waits until others have ended but
    where it reads them, which a ledger does not tell."""
    ended = [event for event in launch if isinstance(event, StageEnded) and not event.reused]
    return tuple(event.seconds for event in ended), max(map(seconds_of, ended), default=None)
