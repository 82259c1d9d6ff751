"""What stands against a launch, and only its images or the run on disk can tell. Refused before any training."""

from dataclasses import asdict
from typing import Any

from orchestrator.planning.request import Request
from orchestrator.record.events import Opened
from workloads.data.splits import Splits
from workloads.errors import Kind, Problem, UserError, several
from workloads.registry import method
from workloads.units import DataFacts


def check_images(request: Request, splits: Splits, executor: str) -> None:
    """Raises UserError with every problem that only the images reveal, such as how many classes a user's folder has."""
    space = request.space
    if splits.streamed is not None and executor == "local":
        raise UserError(
            "a prepared auxiliary set is streamed by Ray, and --executor local works without it",
            where="data.auxiliary",
            fix="leave --executor out, or name images that are held in memory",
        )
    if space.select_by == "oracle" and len(set(splits.test.labels.tolist())) < 2 and not splits.out:
        raise UserError(
            "select_by: 'oracle' needs anomalous test images, and there are none",
            fix="use another --select-by, or add a folder of anomalies",
        )
    facts = DataFacts(
        shape=splits.shape,
        pooled=space.data.protocol == "in_out",
        auxiliary=bool(space.data.auxiliary),
        classes=max(len(splits.targets.members_of(target)) for target in splits.targets.names),
        select_by=space.select_by,
    )
    instances = [method(space.workload)(space.config(point)) for point in space.points()]
    pairs = dict.fromkeys(pair for instance in instances for pair in instance.check(facts))
    if pairs:
        raise several([Problem(*pair) for pair in pairs], request.loaded.name)


def check_same_run(before: Opened | None, opened: Opened, run: str) -> None:
    """Raises UserError where the run on disk was begun with another space, data or code. before: None for a new run."""
    if before is None:
        return
    changed = ["space"] if question(before.space) != question(opened.space) else []
    identity = asdict(opened.identity)
    changed += [part for part, digest in asdict(before.identity).items() if digest != identity[part]]
    if changed:
        raise UserError(
            f"the run {run!r} exists and was made with another {' and another '.join(changed)}",
            details="its trials and these could not be compared",
            fix="give this launch another --name",
            kind=Kind.REFUSED,
        )


def question(space: dict[str, Any]) -> dict[str, Any]:
    """A space without what changes no number: the workers it runs on and what is looked at afterwards."""
    return {key: value for key, value in space.items() if key not in ("resources", "analyses")}
