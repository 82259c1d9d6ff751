"""From a space to everything that will be done and what it costs, without doing any of it. No torch, no Ray."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestrator.planning.cost import Estimate, counts_of, distinct_stages, estimate, form_of, shape_of
from orchestrator.planning.identity import code_of_methods, run_name
from tune_spaces.schema import Space
from workloads.data.catalogue import CATALOGUE
from workloads.data.reading.account import Account
from workloads.registry import method
from workloads.units import ImageShape, TrainingCounts, Unit

if TYPE_CHECKING:
    from workloads.data.reading.survey import Survey
    from workloads.data.splits import Splits


@dataclass(frozen=True)
class Plan:
    """What a launch will do."""

    name: str  # of the space
    run: str
    doc: str
    space: Space  # its preset written into its keys
    preset: str
    targets: tuple[str, ...]  # empty where the images must be read first
    shape: ImageShape
    counts: TrainingCounts  # of the largest target
    points: tuple[dict[str, Any], ...]
    methods: tuple[Any, ...]  # at the points
    rungs: tuple[int, ...]
    workers: int  # of all concurrent trials together
    rates: Mapping[str, float] | None  # that earlier runs have measured
    in_process: bool = False  # nothing is started: neither Ray nor a trial's processes
    account: Account | None = None  # of a user's folder, before it is read
    windows: float = 1.0  # that one of its images is cut into

    @property
    def stages(self) -> int:
        """Distinct stages of all points together."""
        return len(distinct_stages(self.methods, self.targets))

    @cached_property
    def estimate(self) -> Estimate | None:
        """What the plan costs, None where nobody knows yet; of ten targets where their number is not known."""
        return estimate(self)

    def with_images(self, splits: "Splits") -> "Plan":
        """The same plan with the targets, shape and counts of the images themselves."""
        return replace(self, targets=tuple(splits.targets.names), shape=splits.shape, counts=splits.counts)

    @property
    def units(self) -> list[Unit]:
        return self.methods[0].units(self.targets)

    def method(self, point: dict[str, Any]) -> Any:
        return method(self.space.workload)(self.space.config(point))


def make_plan(
    name: str,
    doc: str,
    space: Space,
    preset: str,
    *,
    run: str | None,
    cpus: int,
    gpus: int = 0,
    prepared_images: int | None = None,
    rates: Mapping[str, float] | None = None,
    in_process: bool = False,
    folder: "Survey | None" = None,
) -> Plan:
    """The plan of a resolved space on a machine of `cpus` cores and `gpus` GPUs, its images as the catalogue has them.

    prepared_images: of the prepared auxiliary set that the space names, where it could be read. rates: speeds that
    earlier runs have measured, see `cost.unit_costs`. in_process: see `Plan`. folder: what lies in the
    user's folder that the space names, where it could be looked at.
    """
    whole = (space.data.name,) if space.data.protocol == "in_out" else None
    learnt, windows = (folder.learnt, folder.windows(form_of(space.data))) if folder else (None, 1.0)
    points = tuple(space.points())
    methods = tuple(method(space.workload)(space.config(point)) for point in points)
    rungs = space.scheduler.rungs() if space.scheduler.kind == "asha" else [1000]
    workers = max(space.resources.workers, int(cpus / space.resources.cpus_per_worker))
    if space.resources.gpus_per_worker and gpus:
        workers = min(workers, max(space.resources.workers, int(gpus / space.resources.gpus_per_worker)))
    targets = tuple(whole or space.data.classes or CATALOGUE[space.data.name].classes or learnt or ())
    return Plan(
        name=name,
        run=run_name(name, space, preset, code_of_methods(methods, targets or ("?",))) if run is None else run,
        doc=doc,
        space=space,
        preset=preset,
        targets=targets,
        shape=shape_of(space),
        counts=counts_of(space, prepared_images, learnt, windows),
        points=points,
        methods=methods,
        rungs=tuple(rungs),
        workers=min(workers, len(points) * space.resources.workers),
        rates=rates,
        in_process=in_process,
        account=None if folder is None else folder.account(),
        windows=windows,
    )
