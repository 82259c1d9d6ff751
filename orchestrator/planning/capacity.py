"""What fits on which node: workers are packed node by node, never by a cluster's sums. No Ray, no torch."""

import math
from collections.abc import Mapping, Sequence

from tune_spaces.schema import Resources
from workloads.errors import Kind, UserError

SPARE_CPUS = 1
"""Logical CPUs kept for Ray Data's readers: a cluster filled by training alone would never feed it."""

Node = Mapping[str, float]
"""What a node offers, by Ray's names: ``CPU``, ``GPU``, ``accelerator_type:L4``, ..."""


def workers_on(node: Node, resources: Resources) -> int:
    """Workers that a node holds. A fraction never spans two GPUs: three workers of 0.4 need two of them."""
    fits = math.floor(node.get("CPU", 0) / resources.cpus_per_worker + 1e-9)
    if not resources.gpus_per_worker:
        return fits
    gpus, sharing = node.get("GPU", 0), resources.sharing_a_gpu
    whole = gpus * sharing if sharing else math.floor(gpus / resources.gpus_per_worker + 1e-9)
    return min(fits, int(whole))


def slots(resources: Resources, nodes: Sequence[Node]) -> int:
    """How many trials fit at once, with a CPU left over for reading. Raises UserError where not even one does."""
    fits = room(resources, nodes)
    if fits < 1:
        raise too_small(resources, nodes)
    return fits


def room(resources: Resources, nodes: Sequence[Node]) -> int:
    """The same, and 0 where none fits. Raises UserError (exit 2) for GPUs that no node could give to a worker."""
    if resources.gpus_per_worker > 1 and resources.gpus_per_worker % 1:
        raise UserError(
            f"a worker cannot have {resources.gpus_per_worker:g} GPUs",
            details="above one, Ray gives whole GPUs only",
            fix="give --gpus-per-worker a fraction below 1 or a whole number",
        )
    workers = sum(workers_on(node, resources) for node in nodes)
    cpus = sum(node.get("CPU", 0) for node in nodes)
    while workers and cpus - workers * resources.cpus_per_worker < SPARE_CPUS - 1e-9:
        workers -= 1
    return workers // resources.workers or int(workers >= resources.least_workers)


def too_small(resources: Resources, nodes: Sequence[Node]) -> UserError:
    need = f"{resources.cpus_per_worker:g} CPUs and {resources.gpus_per_worker:g} GPUs"
    have = ", ".join(sorted({f"{n.get('CPU', 0):g} CPUs and {n.get('GPU', 0):g} GPUs" for n in nodes})) or "nothing"
    return UserError(
        "not even one trial fits on this cluster",
        details=f"a trial needs {resources.least_workers} workers of {need}, and {SPARE_CPUS} CPU is kept for reading; "
        f"the {len(nodes)} nodes have {have}",
        fix="lower --workers, --cpus-per-worker or --gpus-per-worker; where the cluster grows, give --slots",
        kind=Kind.ENVIRONMENT,
    )
