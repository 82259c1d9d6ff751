"""From a space to everything that will be done and what it costs, without doing any of it. No torch, no Ray."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from orchestrator.planning.cost import Estimate, counts_of, distinct_stages, estimate, shape_of
from orchestrator.planning.identity import code_digest, content_hash, safe_name
from tune_spaces.schema import Space
from workloads.data.catalogue import CATALOGUE
from workloads.registry import method
from workloads.units import ImageShape, TrainingCounts, Unit

if TYPE_CHECKING:
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
    rungs: tuple[int, ...]
    workers: int  # of all concurrent trials together
    rates: Mapping[str, float] | None  # that earlier runs have measured
    in_process: bool = False  # nothing is started: neither Ray nor a trial's processes

    @cached_property
    def methods(self) -> tuple[Any, ...]:
        """The method at every point."""
        return tuple(self.method(point) for point in self.points)

    @property
    def stages(self) -> int:
        """Distinct stages of all points together."""
        return len(distinct_stages(self.methods, self.targets))

    @cached_property
    def estimate(self) -> Estimate | None:
        """What the plan costs, None where nobody knows yet; of ten targets where their number is not known."""
        targets = self.targets or ("?",) * 10
        cost = estimate(self.space, self.methods, targets, self.shape, self.counts, self.workers, self.rates)
        if cost is None or not self.in_process:
            return cost
        return replace(cost, overhead=0.0, longest=cost.longest - cost.overhead)

    def with_images(self, splits: "Splits") -> "Plan":
        """The same plan with the targets, shape and counts of the images themselves."""
        return replace(self, targets=tuple(splits.targets.names), shape=splits.shape, counts=splits.counts)

    @property
    def units(self) -> list[Unit]:
        return self.methods[0].units(self.targets)

    def method(self, point: dict[str, Any]) -> Any:
        return method(self.space.workload)(self.space.config(point))


def run_name(name: str, space: Space, preset: str) -> str:
    """A run's name when the user gives none: same question and code, same name, so launching again continues it."""
    question = space.model_dump(mode="json", exclude={"resources", "analyses"})
    made_of = {"space": question, "code": code_digest(method(space.workload).packages)}
    return f"{safe_name(name)}-{preset}-{content_hash(made_of, 8)}"


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
) -> Plan:
    """The plan of a resolved space on a machine of `cpus` cores and `gpus` GPUs, its images as the catalogue has them.

    prepared_images: of the prepared auxiliary set that the space names, where it could be read. rates: speeds that
    earlier runs have measured, see `cost.unit_costs`. in_process: see `Plan`.
    """
    whole = (space.data.name,) if space.data.protocol == "in_out" else None
    points = tuple(space.points())
    rungs = space.scheduler.rungs() if space.scheduler.kind == "asha" else [1000]
    workers = max(space.resources.workers, int(cpus / space.resources.cpus_per_worker))
    if space.resources.gpus_per_worker and gpus:
        workers = min(workers, max(space.resources.workers, int(gpus / space.resources.gpus_per_worker)))
    return Plan(
        name=name,
        run=run_name(name, space, preset) if run is None else run,
        doc=doc,
        space=space,
        preset=preset,
        targets=tuple(whole or space.data.classes or CATALOGUE[space.data.name].classes or ()),
        shape=shape_of(space),
        counts=counts_of(space, prepared_images),
        points=points,
        rungs=tuple(rungs),
        workers=min(workers, len(points) * space.resources.workers),
        rates=rates,
        in_process=in_process,
    )


@dataclass(frozen=True)
class StagePlan:
    """A shared stage with its identity. `config`: of the first point that needs it; others make the same stage."""

    unit: Unit
    key: str
    config: dict[str, Any]
    needs: dict[str, str]  # str(unit) of the stages it reads -> their keys


@dataclass(frozen=True)
class TrialPlan:
    """One trial with its identity: everything that determines its numbers."""

    id: str
    point: dict[str, Any]
    config: dict[str, Any]
    stages: dict[str, str]  # str(unit) of its stages -> their keys


def identify(
    plan: Plan, data_digest: str, target_digests: Mapping[str, str], code: str, stage_code: str
) -> tuple[list[StagePlan], list[TrialPlan]]:
    """All distinct stages, those that others need first, and the trials. Machine, workers and storage do not enter.

    code, stage_code: digests of the sources that trials and that stages depend on.
    """
    data = {"data": data_digest, "code": code, "targets": plan.targets}
    stages: dict[str, StagePlan] = {}
    trials = []
    for point, instance in zip(plan.points, plan.methods, strict=True):
        config = json.loads(json.dumps(asdict(plan.space.config(point))))  # tuples become lists, as files have them
        needed = stages_of(instance, plan.targets, config, target_digests, stage_code)
        for stage in needed:
            stages.setdefault(stage.key, stage)
        keys = {str(stage.unit): stage.key for stage in needed}
        made_of = data | {"workload": plan.space.workload, "config": config, "stages": keys, "rungs": plan.rungs}
        trials.append(TrialPlan(content_hash(made_of), point, config, keys))
    return list(stages.values()), trials


def stages_of(
    instance: Any, targets: Sequence[str], config: dict[str, Any], target_digests: Mapping[str, str], code: str
) -> list[StagePlan]:
    """The stages of one point, those that others need first."""
    order = TopologicalSorter({unit: instance.needs(unit) for unit in instance.stages(targets)})
    stages: dict[Unit, StagePlan] = {}
    for unit in order.static_order():
        needs = {str(need): stages[need].key for need in instance.needs(unit)}
        made_of = {"data": target_digests[unit.target], "code": code, "unit": str(unit)} | instance.stage_config(unit)
        key = content_hash(made_of | ({"needs": needs} if needs else {}), 16)
        stages[unit] = StagePlan(unit, key, config, needs)
    return list(stages.values())
