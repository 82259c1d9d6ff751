"""How far a launch is, and how long the rest of it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from orchestrator.console.output import duration
from orchestrator.console.result_view import trial_progress
from orchestrator.record.state import RunState, State

if TYPE_CHECKING:
    from orchestrator.execution.executor import Note
    from orchestrator.planning.duration import Estimate

ENDED = (State.FINISHED, State.STOPPED, State.FAILED)
ENOUGH = 0.05
"""Of the whole work, what must be done before its pace says more than the plan."""


def ended_trials(state: RunState) -> int:
    """Trials that no work is left of."""
    return sum(trial.state in ENDED for trial in state.trials.values())


def fraction_done(state: RunState, notes: "Mapping[str, Note]", stages: float, estimate: "Estimate | None") -> float:
    """Of stages and trials together, in [0, 1]. stages: the fraction of the stages. Both weigh what the plan expects
    them to take; trials alone count where it expects nothing. One that was stopped early is done."""
    trials = [1.0 if t.state in ENDED else trial_progress(t, notes) for t in state.trials.values()]
    trials += [0.0] * (state.expected - len(trials))  # that a search has not chosen yet
    weights = (estimate.stages, estimate.trials) if estimate is not None else (0.0, 1.0)
    return (weights[0] * stages + weights[1] * fmean(trials or [0.0])) / max(sum(weights), 1e-9)


@dataclass(frozen=True)
class Pace:
    """What a launch has done in its time. first, done: fractions of the whole work at its begin and now; seconds: in
    between."""

    first: float
    done: float
    seconds: float

    def text(self, estimate: "Estimate | None") -> str:
        """How long the rest takes, and what that rests on."""
        if self.done >= 1:
            return ""
        if self.done - self.first >= ENOUGH:
            left = self.seconds * (1 - self.done) / (self.done - self.first)
            return f"about {duration(left)} left (at the pace of this launch)"
        if estimate is not None:
            return f"about {duration(estimate.total * (1 - self.done))} left (by the plan's estimate)"
        return "time left not known yet"
