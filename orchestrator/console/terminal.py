"""The observer of a launch that prints to a terminal."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from rich.console import Console

from orchestrator.console.live import LiveView
from orchestrator.console.output import print_json, warn
from orchestrator.console.plan_view import plan_facts, plan_table
from orchestrator.execution.executor import Note
from orchestrator.execution.observer import Finished, Observer
from orchestrator.planning.duration import Estimate
from orchestrator.planning.plan import Plan
from orchestrator.planning.request import Request
from orchestrator.record.state import RunState


class Terminal(Observer):
    """Prints the plan, warnings, and the run while it goes (see `execution.observer.Observer`).

    as_json: the plan and the end, an object in a line each, in place of everything but warnings.
    """

    def __init__(self, out: Console, as_json: bool = False) -> None:
        self.out, self.as_json = out, as_json
        self.view: LiveView | None = None
        self.estimate: Estimate | None = None

    def planned(self, plan: Plan, request: Request) -> None:
        self.estimate = plan.estimate
        if self.as_json:
            print_json({"event": "planned", **plan_facts(plan)}, lines=True)
        self.out.print(plan_table(plan, request))
        self.out.print()

    def busy(self, text: str) -> AbstractContextManager[object]:
        return self.out.status(text)

    def warn(self, text: str) -> None:
        warn(self.out, text)

    def watching(
        self, state: Callable[[], RunState], notes: Callable[[], Mapping[str, Note]]
    ) -> AbstractContextManager[object]:
        self.view = LiveView(self.out, state().varying, state().space.analyses, state, notes, self.estimate)
        return self.view.running()

    def phase(self, name: str) -> None:
        if self.view is not None:
            self.view.phase = name

    def ended(self, finished: Finished) -> None:
        from orchestrator.console.result_view import print_result, result_facts

        if self.as_json:
            print_json({"event": "ended", **result_facts(finished)}, lines=True)
        if finished.results is None:
            warn(self.out, f"nothing finished is lost. Resume: {finished.resume}", "interrupted")
        else:
            print_result(self.out, finished, finished.results)
