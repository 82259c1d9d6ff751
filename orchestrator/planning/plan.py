"""From a space to everything that will be done and what it costs, without doing any of it. No torch, no Ray."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from orchestrator.planning.identity import code_of_methods, run_name
from orchestrator.planning.request import Request
from tune_spaces.schema import Auxiliary, Data, Resources, Space
from workloads.data.catalogue import CATALOGUE, SOURCES, default_fit
from workloads.data.reading.account import Account
from workloads.data.windows import Form
from workloads.errors import Problem, UserError, several
from workloads.units import DataFacts, ImageShape, TrainingCounts, Unit

if TYPE_CHECKING:
    from orchestrator.planning.duration import Estimate
    from workloads.data.splits import Splits

MEASURED_CPU = {"rate": 5.4e9, "trial_start": 0.3, "start": 15.0, "bandwidth": 1e9, "latency": 3e-4}
"""Of a worker: multiply-accumulates a second; seconds until a trial begins on a warm one, and until Ray and all warm
ones are there; bytes a second and seconds a message between workers that share batches."""
MEASURED_CPU_SOURCE = (
    "default: 5.4 GMAC/s a worker, measured once on one core of a 2.8 GHz Xeon, reduced preset, scoring included; "
    "your storage's own runs replace it"
)
ASSUMED_GPU = {"rate": 1e13, "trial_start": 0.3, "start": 25.0, "bandwidth": 1e10, "latency": 5e-5}
ASSUMED_GPU_SOURCE = "assumed, never measured: 10 TMAC/s a GPU worker; your storage's own runs replace it"
GANG_START = 15.0
"""Seconds that several workers which belong together take to start, measured on two cores. A lone one is warm."""

ASSUMED_IMAGES = {"folder": 1000, "general": 100_000}
"""Of a class of a user's folder, and of an auxiliary source of a user's, before they have been counted."""


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
    points: tuple[dict[str, Any], ...]  # those that are known before anything has run
    methods: tuple[Any, ...]  # at the points
    rungs: tuple[int, ...]
    workers: int  # of all concurrent trials together
    rates: Mapping[str, float] | None  # that earlier runs have measured
    in_process: bool = False  # nothing is started: neither Ray nor a trial's processes
    account: Account | None = None  # of a user's folder, before it is read
    windows: float = 1.0  # that one of its images is cut into
    costs: Mapping[str, float] = field(default_factory=dict)  # kind of network -> seconds, once the images are read

    @property
    def all_methods(self) -> tuple[Any, ...]:
        """One a trial, for what all cost together: points that are chosen later are taken to cost what the known ones
        do."""
        return tuple(islice(cycle(self.methods), self.space.trials))

    @property
    def checked_methods(self) -> tuple[Any, ...]:
        """Those whose fit to the images is looked at before anything runs: at the known points, and, where a search
        chooses others, at each value of every axis."""
        chosen = self.space.search.kind == "optuna"
        along = (point for key in self.space.axes for point in self.space.along(key)) if chosen else ()
        return (*self.methods, *map(self.space.method, along))

    @property
    def stages(self) -> int:
        """Distinct stages of all points together."""
        return len(distinct_stages(self.methods, self.targets))

    @cached_property
    def estimate(self) -> "Estimate | None":
        """What the plan takes, None where nobody knows yet; of ten targets where their number is not known."""
        from orchestrator.planning.duration import estimate

        return estimate(self)

    def with_images(self, splits: "Splits") -> "Plan":
        """The same plan with the targets, shape and counts of the images themselves, and what its networks cost.

        Raises UserError with every problem that only the images reveal, such as how many classes a user's folder has.
        """
        check_images(self, splits)
        plan = replace(self, targets=tuple(splits.targets.names), shape=splits.shape, counts=splits.counts)
        return replace(plan, costs={name: round(seconds, 2) for name, seconds in networks(plan).items()})

    @property
    def units(self) -> list[Unit]:
        return self.methods[0].units(self.targets)

    def method(self, point: dict[str, Any]) -> Any:
        return self.space.method(point)


def plan_of(request: Request) -> Plan:
    """The plan of a request, its images as the catalogue has them, or as they lie in the user's folder."""
    space, folder, in_process = request.space, request.folder, request.executor == "local"
    whole = (space.data.name,) if space.data.protocol == "in_out" else None
    learnt, windows = (folder.learnt, folder.windows(form_of(space.data))) if folder else (None, 1.0)
    shape, counts = shape_of(space), counts_of(space, request.prepared_images, learnt, windows)
    workers = workers_of(space.resources, 1 if in_process else request.cpus, request.gpus)
    points = tuple(space.points())
    methods = tuple(map(space.method, points))
    targets = tuple(whole or space.data.classes or CATALOGUE[space.data.name].classes or learnt or ())
    name, preset = request.loaded.name, request.preset
    return Plan(
        name=name,
        run=request.name or run_name(name, space, preset, code_of_methods(methods, targets or ("?",))),
        doc=request.loaded.doc,
        space=space,
        preset=preset,
        targets=targets,
        shape=shape,
        counts=counts,
        points=points,
        methods=methods,
        rungs=tuple(space.scheduler.rungs()),
        workers=min(workers, space.together * space.resources.workers),
        rates=request.rates,
        in_process=in_process,
        account=None if folder is None else folder.account(),
        windows=windows,
    )


def workers_of(resources: Resources, cpus: int, gpus: int) -> int:
    """Of all trials that fit together on a machine of `cpus` cores and `gpus` GPUs; of one where none fits."""
    fitting = int(cpus / resources.cpus_per_worker)
    if resources.gpus_per_worker and gpus:
        fitting = min(fitting, int(gpus / resources.gpus_per_worker))
    return max(resources.workers, fitting)


def check_images(plan: Plan, splits: "Splits") -> None:
    """Raises UserError with every problem that only the images reveal."""
    space = plan.space
    if splits.streamed is not None and plan.in_process:
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
        windows=any(part.windows is not None for part in splits.by_name().values()),
    )
    pairs = dict.fromkeys(pair for instance in plan.checked_methods for pair in instance.check(facts))
    if pairs:
        raise several([Problem(*pair) for pair in pairs], plan.name)


def shape_of(space: Space) -> ImageShape:
    """Of the images that the space asks for, channels as the catalogue has them."""
    return ImageShape(CATALOGUE[space.data.name].channels, space.data.side, space.data.side)


def form_of(data: Data) -> Form:
    """What the images are brought to."""
    return Form(data.side, data.side, data.fit or default_fit(data.name))


def counts_of(
    space: Space,
    prepared_images: int | None = None,
    learnt: Mapping[str, int] | None = None,
    windows: float = 1.0,
) -> TrainingCounts:
    """Training windows of a target and images of the auxiliary set as the catalogue has them.

    prepared_images: of the prepared auxiliary set that the space names, where it could be read. learnt: class -> images
    to learn from, of a user's folder that has been counted. windows: of an image.
    """
    data, entry = space.data, CATALOGUE[space.data.name]
    known = entry.train_images if data.protocol == "in_out" else entry.train_per_class
    if learnt:
        chosen = [count for name, count in learnt.items() if name in (data.classes or learnt)]
        known = sum(learnt.values()) if data.protocol == "in_out" else max(chosen, default=0)
    images = known or ASSUMED_IMAGES["folder"]
    images = min(images, data.max_train_images or images)
    general = sum(
        round(auxiliary_count(source, prepared_images) * (1 - source.val_fraction)) for source in data.auxiliary
    )
    held = data.val_fraction + (data.calibration_fraction or 0)
    return TrainingCounts(max(1, round(images * (1 - held) * windows)), general)


def auxiliary_count(source: Auxiliary, prepared_images: int | None) -> int:
    """Images that an auxiliary source gives, held-out ones among them."""
    if source.name == "prepared" and prepared_images is not None:
        return min(prepared_images, source.max_images or prepared_images)
    known = SOURCES[source.name].images if source.name in SOURCES else CATALOGUE[source.name].train_images
    count = known or ASSUMED_IMAGES["general"]
    return min(count, source.max_images or count)


def distinct_stages(methods: Iterable[Any], targets: Sequence[str]) -> list[tuple[Any, Unit]]:
    """(method, stage) of every stage that differs; points that agree on what determines a stage share it."""
    stages: dict[str, tuple[Any, Unit]] = {}
    for instance in methods:
        for unit in instance.stages(targets):
            stages.setdefault(f"{unit} {instance.stage_config(unit)}", (instance, unit))
    return list(stages.values())


def macs_of(method: Any, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> float:
    """Multiply-accumulates of a unit; its training images where the method knows no cost. Rates are then images a
    second, and hold for the space and preset that they were measured with."""
    cost = method.cost(unit, shape, counts)
    return float(counts.images) if cost is None else float(cost.macs)


def states_costs(method: Any, targets: Sequence[str], shape: ImageShape, counts: TrainingCounts) -> bool:
    """Whether a method knows the cost of all its units."""
    units = [*method.stages(targets[:1]), *method.units(targets[:1])]
    return all(method.cost(unit, shape, counts) is not None for unit in units)


def trial_macs(plan_method: Any, targets: Sequence[str], shape: ImageShape, counts: TrainingCounts) -> float:
    return sum(macs_of(plan_method, unit, shape, counts) for unit in plan_method.units(targets))


def speeds_of(resources: Resources, rates: Mapping[str, float] | None) -> tuple[dict[str, float], str]:
    """Of a worker, as `MEASURED_CPU` has them, and where they come from.

    A GPU is no faster for being shared: its assumed rate is divided by the workers on it. A measured one, whose key
    holds the share, was a sharing worker's own.
    """
    on_gpu, sharing = resources.gpus_per_worker > 0, max(1, resources.sharing_a_gpu)
    default, source = (ASSUMED_GPU, ASSUMED_GPU_SOURCE) if on_gpu else (MEASURED_CPU, MEASURED_CPU_SOURCE)
    if rates:
        source = "measured by an earlier run of this space and preset in this storage"
    elif sharing > 1:
        source += f"; {sharing} workers share one"
    return default | {"rate": default["rate"] / sharing} | dict(rates or {}), source


def networks(plan: Plan) -> dict[str, float]:
    """ "detector/level_4" -> seconds of one on one worker, mean over the points; empty where nobody knows yet."""
    targets, images = plan.targets or ("?",), (plan.shape, plan.counts)
    first = plan.methods[0]
    if not is_costed(plan):
        return {}
    rate = speeds_of(plan.space.resources, plan.rates)[0]["rate"]
    return {
        f"{unit.kind}/{unit.part}": sum(macs_of(m, unit, *images) for m in plan.methods) / len(plan.methods) / rate
        for unit in (*first.stages(targets[:1]), *first.units(targets[:1]))
    }


def is_costed(plan: Plan) -> bool:
    """Whether it is known what the plan's networks cost: the method says it, or an earlier run was timed."""
    return bool(plan.rates) or states_costs(plan.methods[0], plan.targets or ("?",), plan.shape, plan.counts)
