"""From a space to everything that will be done and what it costs, without doing any of it. No torch, no Ray."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from orchestrator.planning.cost import Estimate, counts_of, distinct_stages, estimate, shape_of
from orchestrator.planning.identity import (
    SCORING,
    Code,
    code_of,
    content_hash,
    joined,
    plain,
    roots_of,
    safe_name,
    trial_config,
)
from tune_spaces.schema import Space
from workloads.data.catalogue import CATALOGUE
from workloads.data.reading.account import Account
from workloads.keys import ROLES_OF_TRIALS, keys_of
from workloads.registry import method
from workloads.units import ImageShape, TrainingCounts, Unit

if TYPE_CHECKING:
    from workloads.data.reading.survey import Survey
    from workloads.data.splits import Splits


CodeOf = Callable[[tuple[str, ...], tuple[str, ...]], Code]
"""(roots, shallow modules) -> the code that begins from them, as `identity.code_of` has it."""


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
    account: Account | None = None  # of a user's folder, before it is read

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


def question(space: Space) -> dict[str, Any]:
    """What a space asks, without what changes no number of a trial: the workers it runs on, what is looked at
    afterwards, keys that only analyses read or that only say how numbers are computed, presets not in use."""
    values = space.model_dump(mode="json", exclude={"resources", "analyses", "presets"})
    counting = keys_of(method(space.workload).Config, *ROLES_OF_TRIALS)
    return values | {"fixed": {name: value for name, value in values["fixed"].items() if name in counting}}


def run_name(name: str, plan: Plan, preset: str) -> str:
    """A run's name when the user gives none: same question and code, same name, so launching again continues it."""
    made_of = {"space": question(plan.space), "code": code_of_plan(plan).digest}
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
    folder: "Survey | None" = None,
) -> Plan:
    """The plan of a resolved space on a machine of `cpus` cores and `gpus` GPUs, its images as the catalogue has them.

    prepared_images: of the prepared auxiliary set that the space names, where it could be read. rates: speeds that
    earlier runs have measured, see `cost.unit_costs`. in_process: see `Plan`. folder: what lies in the
    user's folder that the space names, where it could be looked at.
    """
    whole = (space.data.name,) if space.data.protocol == "in_out" else None
    learnt = folder.learnt if folder else None
    points = tuple(space.points())
    rungs = space.scheduler.rungs() if space.scheduler.kind == "asha" else [1000]
    workers = max(space.resources.workers, int(cpus / space.resources.cpus_per_worker))
    if space.resources.gpus_per_worker and gpus:
        workers = min(workers, max(space.resources.workers, int(gpus / space.resources.gpus_per_worker)))
    plan = Plan(
        name=name,
        run=run or "",
        doc=doc,
        space=space,
        preset=preset,
        targets=tuple(whole or space.data.classes or CATALOGUE[space.data.name].classes or learnt or ()),
        shape=shape_of(space),
        counts=counts_of(space, prepared_images, learnt),
        points=points,
        rungs=tuple(rungs),
        workers=min(workers, len(points) * space.resources.workers),
        rates=rates,
        in_process=in_process,
        account=None if folder is None else folder.account(),
    )
    return plan if run is not None else replace(plan, run=run_name(name, plan, preset))


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
    plan: Plan, data_digest: str, target_digests: Mapping[str, str], code: CodeOf | None = None
) -> list[TrialPlan]:
    """The trials. Machine, workers and storage do not enter, nor keys that change no number. code: by default of the
    modules as they lie here."""
    code = code or cache(code_of)
    trials = []
    for point, instance in zip(plan.points, plan.methods, strict=True):
        stages = {str(stage.unit): stage.key for stage in stages_of(instance, plan.targets, target_digests, code)}
        made_of = {
            "method": plan.space.workload,
            "config": trial_config(instance.config),
            "data": data_digest,
            "rungs": plan.rungs,
            "targets": plan.targets,
            "stages": stages,
            "code": asdict(code(*roots_of(instance, instance.units(plan.targets), *SCORING))),
        }
        trials.append(TrialPlan(content_hash(made_of), point, plain(asdict(instance.config)), stages))
    return trials


def stages_of(
    instance: Any,
    targets: Sequence[str],
    target_digests: Mapping[str, str],
    code: CodeOf,
    there: Mapping[str, str] | None = None,
) -> list[StagePlan]:
    """The stages of a method with their keys, those that others need first.

    there: str(unit) -> key of stages that stay what they are, whatever they were made of.
    """
    config = plain(asdict(instance.config))
    stages: dict[str, StagePlan] = {}
    for unit in in_order(instance, targets):
        needs = {str(need): stages[str(need)].key for need in instance.needs(unit)}
        made_of = {
            "unit": str(unit),
            "config": plain(instance.stage_config(unit)),
            "data": target_digests[unit.target],
            "code": asdict(code(*roots_of(instance, [unit]))),
            "needs": needs,
        }
        key = (there or {}).get(str(unit)) or content_hash(made_of, 16)
        stages[str(unit)] = StagePlan(unit, key, config, needs)
    return list(stages.values())


def stages_of_trials(plan: Plan, trials: Iterable[TrialPlan]) -> list[StagePlan]:
    """All distinct stages of trials, under the keys that these have, those that others need first."""
    stages: dict[str, StagePlan] = {}
    for trial in trials:
        instance = plan.method(trial.point)
        for unit in in_order(instance, plan.targets):
            needs = {str(need): trial.stages[str(need)] for need in instance.needs(unit)}
            key = trial.stages[str(unit)]
            stages.setdefault(key, StagePlan(unit, key, trial.config, needs))
    return list(stages.values())


def in_order(instance: Any, targets: Sequence[str]) -> Iterator[Unit]:
    """The stages of a method, those that others need first."""
    yield from TopologicalSorter({unit: instance.needs(unit) for unit in instance.stages(targets)}).static_order()


def code_of_plan(plan: Plan) -> Code:
    """All code that trials and stages of a plan depend on."""
    code, targets = cache(code_of), plan.targets or ("?",)
    roots = dict.fromkeys(
        roots
        for instance in plan.methods
        for roots in (
            *(roots_of(instance, [unit]) for unit in instance.stages(targets)),
            roots_of(instance, instance.units(targets), *SCORING),
        )
    )
    return joined(code(*item) for item in roots)
