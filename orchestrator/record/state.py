"""What a trial can be, and what the ledger's events make of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    PENDING = "pending"
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


LEGAL: dict[State, set[State]] = {
    State.PENDING: {State.RUNNING, State.FAILED, State.INTERRUPTED},
    State.RUNNING: {State.FINISHED, State.STOPPED, State.FAILED, State.INTERRUPTED, State.RUNNING},
    State.INTERRUPTED: {State.RUNNING, State.FAILED, State.INTERRUPTED},
    State.FAILED: {State.RUNNING, State.FAILED},
    State.FINISHED: set(),
    State.STOPPED: set(),
}
DONE = (State.FINISHED, State.STOPPED)


@dataclass
class TrialState:
    """One trial as the ledger tells it. `rungs`: budget in thousandths -> the metrics reported there."""

    id: str
    point: dict[str, Any]
    stages: dict[str, str] = field(default_factory=dict)  # str(unit) -> the key of its artifact
    state: State = State.PENDING
    rungs: dict[int, dict[str, Any]] = field(default_factory=dict)
    error: str = ""

    def metric(self, name: str) -> float | None:
        """The value at the last rung reached."""
        return self.rungs[max(self.rungs)].get(name) if self.rungs else None


@dataclass
class RunState:
    """A whole run: its opening event, its trials in the plan's order, and how its last launcher ended."""

    opened: dict[str, Any] = field(default_factory=dict)
    trials: dict[str, TrialState] = field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)  # by key
    analyses: dict[str, dict[str, Any]] = field(default_factory=dict)  # by name/target: the last one done
    closed: dict[str, Any] = field(default_factory=dict)
    launches: int = 0


def fold(events: Iterable[dict[str, Any]]) -> RunState:
    """The state after all events."""
    run = RunState()
    for event in events:
        apply(run, event)
    return run


def apply(run: RunState, event: dict[str, Any]) -> None:
    """One event. Raises ValueError, before anything changes, for a move that is not legal."""
    match event["event"]:
        case "opened":
            run.opened = event
            run.trials = {t["id"]: TrialState(t["id"], t["point"], t["stages"]) for t in event["trials"]}
        case "launched":
            run.launches += 1
            run.closed = {}
        case "stage":
            run.stages[event["key"]] = event
        case "trial":
            move(run.trials[event["trial"]], State(event["state"]), event.get("error", ""))
        case "rung":
            run.trials[event["trial"]].rungs[event["budget"]] = event["metrics"]
        case "analysis":
            run.analyses[f"{event['name']}/{event['target']}"] = event  # with `error`, and no trial, where it failed
        case "closed":
            run.closed = event


def move(trial: TrialState, state: State, error: str) -> None:
    if state not in LEGAL[trial.state]:
        raise ValueError(f"trial {trial.id} cannot go from {trial.state} to {state}")
    trial.state, trial.error = state, error
