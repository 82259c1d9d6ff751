"""From a space to everything that will be done and what it costs, without doing any of it. No torch, no Ray."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from graphlib import TopologicalSorter
from typing import Any

from upath import UPath

from orchestrator.planning.capacity import a_gpu
from orchestrator.planning.identity import code_digest, content_hash, safe_name
from tune_spaces.schema import Auxiliary, Resources, Space
from workloads.data.catalogue import CATALOGUE, SOURCES
from workloads.files import write_atomically
from workloads.registry import method
from workloads.units import ImageShape, TrainingCounts, Unit

MEASURED_CPU = {"rate": 5.4e9, "trial_start": 15.0, "start": 30.0}
MEASURED_CPU_SOURCE = (
    "default: 5.4 GMAC/s a worker, measured once on one core of a 2.8 GHz Xeon, reduced preset, scoring included; "
    "your storage's own runs replace it"
)
ASSUMED_GPU = {"rate": 1e13, "trial_start": 20.0, "start": 40.0}
ASSUMED_GPU_SOURCE = "assumed, never measured: 10 TMAC/s a GPU worker; your storage's own runs replace it"


@dataclass(frozen=True)
class Estimate:
    """Seconds of wall time, and where the numbers behind them come from."""

    stages: float
    trials: float
    overhead: float
    longest: float  # if the scheduler stops no trial
    networks: dict[str, float]  # "detector/level_4" -> seconds of one on one worker, mean over the points
    source: str

    @property
    def total(self) -> float:
        return self.stages + self.trials + self.overhead


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
    stages: int  # distinct ones, of all points together
    estimate: Estimate

    @property
    def units(self) -> list[Unit]:
        return self.method(self.points[0]).units(self.targets)

    def method(self, point: dict[str, Any]) -> Any:
        return method(self.space.workload)(self.space.config(point))


def run_name(name: str, space: Space, preset: str) -> str:
    """A run's name when the user gives none: same question and code, same name, so launching again continues it."""
    question = space.model_dump(mode="json", exclude={"resources", "analyses"})
    asked = {"space": question, "code": code_digest(method(space.workload).packages)}
    return f"{safe_name(name)}-{preset}-{content_hash(asked, 8)}"


ASSUMED_IMAGES = {"folder": 1000, "general": 100_000}
"""Of a class of a user's folder, and of a general source of a user's, before they have been counted."""


def shape_of(space: Space) -> ImageShape:
    """Of the images that the space asks for, channels as the catalogue has them."""
    return ImageShape(CATALOGUE[space.data.name].channels, space.data.side, space.data.side)


def counts_of(space: Space, prepared_images: int | None = None) -> TrainingCounts:
    """Training images of a target and of the auxiliary set as the catalogue has them.

    prepared_images: of the prepared auxiliary set that the space names, where it could be read.
    """
    data, entry = space.data, CATALOGUE[space.data.name]
    known = entry.train_images if data.protocol == "in_out" else entry.train_per_class
    images = known or ASSUMED_IMAGES["folder"]
    images = min(images, data.max_train_images or images)
    general = sum(
        round(auxiliary_count(source, prepared_images) * (1 - source.val_fraction)) for source in data.auxiliary
    )
    return TrainingCounts(max(1, round(images * (1 - data.val_fraction))), general)


def auxiliary_count(source: Auxiliary, prepared_images: int | None) -> int:
    """Images that a general source gives, held-out ones among them."""
    if source.name == "prepared" and prepared_images is not None:
        return min(prepared_images, source.max_images or prepared_images)
    known = SOURCES[source.name].images if source.name in SOURCES else CATALOGUE[source.name].train_images
    count = known or ASSUMED_IMAGES["general"]
    return min(count, source.max_images or count)


def expected_share(trials: int, rungs: Sequence[int], eta: int) -> float:
    """Mean fraction of the full schedule a trial gets when one in `eta` is promoted at each rung."""
    alive, before, total = float(trials), 0, 0.0
    for rung in rungs:
        total += alive * (rung - before)
        alive, before = max(1.0, math.ceil(alive / eta)), rung
    return total / (1000 * trials)


def read_rates(storage: UPath, key: str) -> dict[str, float] | None:
    """Speeds that an earlier run in this storage measured for the same space and preset."""
    path = storage / "rates.json"
    try:
        return json.loads(path.read_text()).get(key)
    except (OSError, ValueError, AttributeError, ImportError):
        return None  # only an estimate hangs on it


def write_rates(storage: UPath, key: str, rates: dict[str, float]) -> None:
    path = storage / "rates.json"
    try:
        known = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        known = {}
    write_atomically(path, json.dumps(known | {key: rates}, indent=1).encode())


def distinct_stages(methods: Iterable[Any], targets: Sequence[str]) -> list[tuple[Any, Unit]]:
    """(method, stage) of every stage that differs; points that agree on what determines a stage share it."""
    found: dict[str, tuple[Any, Unit]] = {}
    for each in methods:
        for unit in each.stages(targets):
            found.setdefault(f"{unit} {each.stage_config(unit)}", (each, unit))
    return list(found.values())


def trial_macs(plan_method: Any, targets: Sequence[str], shape: ImageShape, counts: TrainingCounts) -> float:
    return sum(plan_method.macs(unit, shape, counts) for unit in plan_method.units(targets))


def unit_costs(resources: Resources, rates: dict[str, float] | None) -> tuple[dict[str, float], str]:
    """`rate` (MAC/s a worker), `start` and `trial_start` (seconds), and where they come from.

    A GPU is no faster for being shared: its assumed rate is divided by the workers on it. A measured one, whose key
    holds the share, was a sharing worker's own.
    """
    on_gpu, sharing = resources.gpus_per_worker > 0, max(1, a_gpu(resources))
    default, source = (ASSUMED_GPU, ASSUMED_GPU_SOURCE) if on_gpu else (MEASURED_CPU, MEASURED_CPU_SOURCE)
    if rates:
        source = "measured by an earlier run of this space and preset in this storage"
    elif sharing > 1:
        source += f"; {sharing} workers share one"
    return default | {"rate": default["rate"] / sharing} | (rates or {}), source


def estimate(space: Space, methods: Sequence[Any], targets: Sequence[str], shape: ImageShape, counts: TrainingCounts,
             workers: int, rates: dict[str, float] | None) -> Estimate:  # fmt: skip
    """Wall time on `workers` that are kept busy; `methods`: one a point."""
    known, source = unit_costs(space.resources, rates)
    trials = sum(trial_macs(m, targets, shape, counts) for m in methods)
    all_trials = trials
    if space.scheduler.kind == "asha":
        trials *= expected_share(len(methods), space.scheduler.rungs(), space.scheduler.eta)
    rate = known["rate"] * workers
    overhead = known["start"] + known["trial_start"] * len(methods) * space.resources.workers / workers
    stages = sum(m.macs(unit, shape, counts) for m, unit in distinct_stages(methods, targets)) / rate
    units = [*methods[0].stages(targets[:1]), *methods[0].units(targets[:1])]
    networks = {
        f"{unit.kind}/{unit.part}": sum(m.macs(unit, shape, counts) for m in methods) / len(methods) / known["rate"]
        for unit in units
    }
    longest = stages + all_trials / rate + overhead
    return Estimate(stages, trials / rate, overhead, longest, networks, source)


def make_plan(
    name: str,
    doc: str,
    space: Space,
    preset: str,
    *,
    run: str | None,
    storage: UPath,
    cpus: int,
    gpus: int = 0,
    prepared_images: int | None = None,
    known: Any = None,
) -> Plan:
    """The plan of a resolved space on a machine of `cpus` cores and `gpus` GPUs.

    prepared_images: of the prepared auxiliary set that the space names, where it could be read. known: the images'
    `Splits` once they are read; before, targets, shape and counts are the catalogue's.
    """
    whole = (space.data.name,) if space.data.protocol == "in_out" else None
    targets = known.targets.names if known else whole or space.data.classes or CATALOGUE[space.data.name].classes or ()
    shape = known.shape if known else shape_of(space)
    counts = known.counts if known else counts_of(space, prepared_images)
    points = space.points()
    rungs = space.scheduler.rungs() if space.scheduler.kind == "asha" else [1000]
    workers = max(space.resources.workers, int(cpus / space.resources.cpus_per_worker))
    if space.resources.gpus_per_worker and gpus:
        workers = min(workers, max(space.resources.workers, int(gpus / space.resources.gpus_per_worker)))
    workers = min(workers, len(points) * space.resources.workers)
    rates = read_rates(storage, rates_key(name, preset, space.resources))
    methods = [method(space.workload)(space.config(point)) for point in points]
    cost = estimate(space, methods, targets or ("?",) * 10, shape, counts, workers, rates)
    stages = len(distinct_stages(methods, targets))
    run = run_name(name, space, preset) if run is None else run
    return Plan(
        name, run, doc, space, preset, tuple(targets), shape, counts, tuple(points), tuple(rungs), workers, stages, cost
    )


def rates_key(name: str, preset: str, resources: Resources) -> str:
    """What a speed was measured for: it holds for the same space, preset, device, share of it and way of splitting."""
    device = f"gpu-{resources.gpus_per_worker:g}" if resources.gpus_per_worker else "cpu"
    return f"{name}/{preset}/{device}/{resources.share}"


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
    for point in plan.points:
        config = json.loads(json.dumps(asdict(plan.space.config(point))))  # tuples become lists, as files have them
        own = stages_of(plan.method(point), plan.targets, config, target_digests, stage_code)
        for stage in own:
            stages.setdefault(stage.key, stage)
        keys = {str(stage.unit): stage.key for stage in own}
        made_of = data | {"workload": plan.space.workload, "config": config, "stages": keys, "rungs": plan.rungs}
        trials.append(TrialPlan(content_hash(made_of), point, config, keys))
    return list(stages.values()), trials


def stages_of(
    chosen: Any, targets: Sequence[str], config: dict[str, Any], target_digests: Mapping[str, str], code: str
) -> list[StagePlan]:
    """The stages of one point, those that others need first."""
    order = TopologicalSorter({unit: chosen.needs(unit) for unit in chosen.stages(targets)})
    found: dict[Unit, StagePlan] = {}
    for unit in order.static_order():
        needs = {str(need): found[need].key for need in chosen.needs(unit)}
        made_of = {"data": target_digests[unit.target], "code": code, "unit": str(unit)} | chosen.stage_config(unit)
        key = content_hash(made_of | ({"needs": needs} if needs else {}), 16)
        found[unit] = StagePlan(unit, key, config, needs)
    return list(found.values())
