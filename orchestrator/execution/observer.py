"""Who watches a launch: a terminal, a notebook, nobody; and what a launch returns."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.execution.executor import Note
from orchestrator.planning.plan import Plan
from orchestrator.planning.request import Request
from orchestrator.record.runs import resume_command
from orchestrator.record.state import Outcome, RunState

if TYPE_CHECKING:  # what takes a moment to import, and a plan does without
    from orchestrator.results.run import Results


@dataclass(frozen=True)
class Finished:
    """How a launch of a run ended. results: None where it was interrupted. phases: seconds of wall time. tracking:
    MLflow's URI. page: the link of the run in MLflow; empty where it was not reached."""

    run: str
    request: Request
    outcome: Outcome
    state: RunState
    tracking: str
    results: "Results | None" = None
    seconds: float = 0.0
    phases: Mapping[str, float] = field(default_factory=dict)
    page: str = ""

    @property
    def resume(self) -> str:
        """The command that goes on."""
        return resume_command(self.run, self.request.storage, self.request.address)

    @property
    def worker_seconds(self) -> float:
        """Seconds that workers spent in training and scoring, added up: every rung says how long its trial has run."""
        trials = sum(trial.last.train_seconds for trial in self.state.trials.values() if trial.rungs)
        stages = sum(stage.seconds for stage in self.state.stages.values())
        return trials * self.request.workers + stages


class Observer:
    """Hears what a launch does; this one watches in silence. Only observers print."""

    def planned(self, plan: Plan, request: Request) -> None:
        """The plan is made, and nothing is done yet."""

    def busy(self, text: str) -> AbstractContextManager[object]:  # noqa: ARG002
        """Something without progress takes seconds, until the block ends."""
        return nullcontext()

    def warn(self, text: str) -> None:
        """Something that the user must know, and that stops nothing."""

    def watching(
        self,
        state: Callable[[], RunState],  # noqa: ARG002
        notes: Callable[[], Mapping[str, Note]],  # noqa: ARG002
    ) -> AbstractContextManager[object]:
        """Tasks run until the block ends; state and notes may be asked at any time."""
        return nullcontext()

    def phase(self, name: str) -> None:
        """What the tasks from here on are."""

    def ended(self, finished: Finished) -> None:
        """The launch is over, at its end or interrupted: whoever had it carried out says so."""
