"""What stands against a launch and only its images, or the run on disk, can tell. Refused before anything is trained."""

from orchestrator.planning.request import Request
from orchestrator.record.events import Opened
from workloads.data.splits import Splits
from workloads.errors import Kind, Problem, UserError, several
from workloads.registry import method
from workloads.units import DataFacts


def check_images(request: Request, splits: Splits) -> None:
    """Raises UserError with every problem that only the images reveal."""
    space = request.space
    if space.select_by == "oracle" and len(set(splits.test.labels.tolist())) < 2 and not splits.out:
        raise UserError(
            "select_by: 'oracle' needs anomalous test images, and there are none",
            fix="use another --select-by, or add a folder of anomalies",
        )
    workload = method(space.workload)
    facts = facts_of(request, splits)
    problems = [Problem(*item) for point in space.points() for item in workload.data_problems(space.config(point), facts)]
    if problems:
        raise several(dict.fromkeys(problems), request.loaded.name)


def check_same_run(before: Opened, opened: Opened, run: str) -> None:
    """Raises UserError where the run on disk was begun with another space, data or code."""
    changed = ["space"] if question(before) != question(opened) else []
    changed += [part for part in ("data", "code") if getattr(before.identity, part) != getattr(opened.identity, part)]
    if changed:
        raise UserError(
            f"the run {run!r} exists and was made with another {' and another '.join(changed)}",
            details="its trials and these could not be compared",
            fix="give this launch another --name",
            kind=Kind.REFUSED,
        )
