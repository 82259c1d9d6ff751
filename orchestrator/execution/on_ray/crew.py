"""Which warm workers are there: a worker has work only once it has answered that it is ready."""

import time
from collections.abc import Collection, Sequence
from typing import Any

import ray

from orchestrator.clusters.session import start_timeout_s
from orchestrator.execution.executor import End

LOOK_S = 0.05
"""How long an answer is waited for: a worker that is there answers at once."""
AGAIN_S = 1.0
"""After which a worker that is lost is asked again; Ray refuses the question until it has started it anew."""
GONE = End(error="no worker could be started, or came back")
"""How what waits for a worker ends where none is left."""


class Crew:
    """Workers by number, each of them free, busy, or asked whether it is there.

    One whose node is gone, or for which there was never room, does not answer. workers: None for one that needs no
    question.
    """

    def __init__(self, workers: Sequence[Any]) -> None:
        self.workers = workers
        self.free: list[int] = []
        self.questions: dict[Any, int] = {}  # Ray's reference of the answer -> who is asked
        self.lost: dict[int, float] = {}  # number -> when it is asked again
        self.since = time.monotonic()
        for number in range(len(workers)):
            self.ask(number)

    @property
    def gone(self) -> bool:
        """Whether no worker has been there for as long as they may take to start."""
        return not self.free and time.monotonic() - self.since > start_timeout_s()

    def ask(self, number: int) -> None:
        if self.workers[number] is None:
            self.free.append(number)
        else:
            self.questions[self.workers[number].ready.remote()] = number

    def take(self) -> int | None:
        """A free worker's number; None while none is there."""
        for number in [number for number, due in self.lost.items() if due <= time.monotonic()]:
            del self.lost[number]
            self.ask(number)
        while not self.free and self.questions and self.look():
            pass  # a lost one has answered
        return self.free.pop(0) if self.free else None

    def look(self, others: Collection[Any] = (), patience: float = LOOK_S) -> Sequence[Any]:
        """What has come, of the workers' answers and of `others`; after so many seconds nothing."""
        if not others and not self.questions:
            time.sleep(patience)
            return ()
        answers, _ = ray.wait([*others, *self.questions], num_returns=1, timeout=patience)
        for answer in answers:
            if answer in self.questions:
                self.note(answer)
        return answers

    def note(self, answer: Any) -> None:
        """Whether a worker is there."""
        number = self.questions.pop(answer)
        try:
            ray.get(answer)
        except ray.exceptions.RayError:
            self.lost[number] = time.monotonic() + AGAIN_S
        else:
            self.free.append(number)

    def release(self, number: int) -> None:
        """The worker is to let go of what it had. It is free once it has, for it answers in order."""
        if self.workers[number] is not None:
            self.workers[number].stop.remote()
        self.since = time.monotonic()
        self.ask(number)
