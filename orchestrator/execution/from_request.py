"""The plan of a request. Nothing heavy is imported for it: a plan is printed in a second."""

from typing import TYPE_CHECKING

from upath import UPath

from orchestrator.data.auxiliary.manifest import prepared_images
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.request import Request
from orchestrator.record.paths import RunPaths

if TYPE_CHECKING:
    from workloads.data.splits import Splits


def plan_of(request: Request, splits: "Splits | None" = None) -> Plan:
    """The plan of a request, from the catalogue, or from the images once they are read.

    Raises UserError for a run's name that could leave the storage.
    """
    plan = make_plan(
        request.loaded.name,
        request.loaded.doc,
        request.space,
        request.preset,
        run=request.name,
        storage=UPath(request.storage),
        cpus=request.cpus,
        gpus=request.gpus,
        prepared_images=prepared_images(request.space.data.auxiliary),
        known=splits,
    )
    RunPaths(request.storage, plan.run)
    return plan
