"""The plan of a request. Nothing heavy is imported for it: a plan is printed in a second."""

from upath import UPath

from orchestrator.data.auxiliary.manifest import prepared_images
from orchestrator.planning.cost import rates_key
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.request import Request
from orchestrator.record.paths import RunPaths
from orchestrator.record.rates import read_rates


def plan_of(request: Request) -> Plan:
    """The plan of a request, its images as the catalogue has them.

    Raises UserError for a run's name that could leave the storage.
    """
    plan = make_plan(
        request.loaded.name,
        request.loaded.doc,
        request.space,
        request.preset,
        run=request.name,
        cpus=1 if request.executor == "local" else request.cpus,
        in_process=request.executor == "local",
        gpus=request.gpus,
        prepared_images=prepared_images(request.space.data.auxiliary),
        rates=read_rates(
            UPath(request.storage), rates_key(request.loaded.name, request.preset, request.space.resources)
        ),
    )
    RunPaths(request.storage, plan.run)
    return plan
