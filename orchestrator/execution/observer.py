"""Who watches a launch: a terminal, a notebook, nobody."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from orchestrator.execution.executor import Note
from orchestrator.planning.plan import Plan
from orchestrator.planning.request import Request
from orchestrator.record.state import RunState

if TYPE_CHECKING:
    from orchestrator.execution.launch import Finished


class Observer(Protocol):
    """Hears what a launch does. Only observers print."""

    def planned(self, plan: Plan, request: Request) -> None:
        """The plan is made, and nothing is done yet."""
        ...

    def busy(self, text: str) -> AbstractContextManager[object]:
        """Something without progress takes seconds, until the block ends."""
        ...

    def warn(self, text: str) -> None:
        """Something that the user must know, and that stops nothing."""
        ...

    def watching(
        self, state: Callable[[], RunState], notes: Callable[[], Mapping[str, Note]]
    ) -> AbstractContextManager[object]:
        """Tasks run until the block ends; state and notes may be asked at any time."""
        ...

    def phase(self, name: str) -> None:
        """What the tasks from here on are."""
        ...

    def ended(self, finished: "Finished") -> None:
        """The launch is over, at its end or interrupted."""
        ...


class Nobody:
    """Watches in silence."""

    def planned(self, plan: Plan, request: Request) -> None:
        pass

    def busy(self, text: str) -> AbstractContextManager[object]:  # noqa: ARG002
        return nullcontext()

    def warn(self, text: str) -> None:
        pass

    def watching(
        self,
        state: Callable[[], RunState],  # noqa: ARG002
        notes: Callable[[], Mapping[str, Note]],  # noqa: ARG002
    ) -> AbstractContextManager[object]:
        return nullcontext()

    def phase(self, name: str) -> None:
        pass

    def ended(self, finished: "Finished") -> None:
        pass
