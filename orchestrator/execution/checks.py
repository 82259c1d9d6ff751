"""What stands against a launch, and only its images can tell. Refused before any training."""

from orchestrator.planning.request import Request
from workloads.data.splits import Splits
from workloads.errors import Problem, UserError, several
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
