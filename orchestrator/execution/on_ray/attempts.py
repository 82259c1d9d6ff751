"""What a worker answers, and what becomes of a task that failed or whose worker was lost. No torch."""

from dataclasses import dataclass, field, replace
from typing import Any

import ray

from orchestrator.execution.executor import End, Ended, Listener, RungReport, Started, Task, TaskEvent, error_text
from orchestrator.planning.early_stopping import Decision
from orchestrator.record.events import Mishap
from workloads.errors import meets_all, of_the_world

LOSSES = 5
"""Workers that a task may lose in a row without a new rung: where memory is full they would be killed for ever."""

Reply = RungReport | End


def end_of(error: BaseException) -> End:
    """How work ends that raised. Of the world's errors one that other work would not meet is the work's alone."""
    return End(error=error_text(error), world=of_the_world(error) if meets_all(error) else None)


def outcome(answer: Any) -> Reply:
    """What a worker answered, from Ray's reference of it."""
    try:
        reply: Reply = ray.get(answer)
    except ray.exceptions.RayTaskError as error:  # the task could not be read there, or its report could not be sent
        return End(error=error_text(error))
    except ray.exceptions.RayError as error:
        return End(error=error_text(error), lost=True)
    return reply


@dataclass
class Course:
    """How far a task has come. failures: attempts that failed. losses: of workers, since the last new rung. stopped:
    trials that are not to go on. decision: on the last rung."""

    task: Task
    failures: int = 0
    losses: int = 0
    reached: int = 0
    stopped: set[str] = field(default_factory=set)
    decision: Decision | None = None

    def begin(self, listener: Listener) -> None:
        """Tell that the first attempt begins: of the later ones `hear` has told."""
        if not self.failures and not self.losses:
            listener.hear(Started(self.task))

    def hear(self, reply: Reply, listener: Listener) -> bool:
        """Pass on what a worker answered; whether the task goes on: with its next rung, or with another attempt."""
        if isinstance(reply, RungReport):
            if reply.rung > self.reached:
                self.reached, self.losses = reply.rung, 0
            self.decision = listener.hear(reply)
            self.stopped |= {reply.trial} if self.decision.leaves else set()
            if len(self.stopped) < len(self.task.trials):
                return True
            reply = End()
        elif reply.error and not reply.world and self._again(reply):
            if reply.lost:
                text = f"its worker was lost ({self.losses} in a row, {LOSSES} end it): {reply.error}"
                listener.hear(Mishap(task=self.task.id, text=text))
            listener.hear(Started(self.task))
            return True
        elif reply.lost:
            reply = replace(reply, error=f"{LOSSES} workers were lost one after the other: {reply.error}")
        listener.hear(Ended(self.task, reply))
        return False

    def _again(self, end: End) -> bool:
        if end.lost:
            self.losses += 1
            return self.losses < LOSSES
        self.failures += 1
        return self.failures <= self.task.retries


@dataclass(frozen=True)
class Remembering:
    """A listener that keeps which tasks have failed, for those that come after them, and what the listener raised: Tune
    makes a TuneError of that. Where the machine around refuses something, no task goes on."""

    listener: Listener
    failures: dict[str, str] = field(default_factory=dict)  # task id -> error
    raised: list[Exception] = field(default_factory=list)

    def hear(self, event: TaskEvent) -> Decision:
        if isinstance(event, Ended) and event.end.error:
            self.failures[event.task.id] = event.end.error
        try:
            if isinstance(event, Ended) and event.end.world:
                raise event.end.world
            return self.listener.hear(event)
        except Exception as error:
            self.raised.append(error)
            raise
