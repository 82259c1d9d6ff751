"""A plan on a cluster of a given size: waves, hours, idle share and critical path, from unit costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.planning.capacity import Node, room
from orchestrator.planning.duration import Speeds, load_of
from orchestrator.planning.machines import GPUS
from orchestrator.planning.plan import Plan, speeds_of, states_costs
from orchestrator.planning.simulation import Load, Outcome, simulate
from tune_spaces.schema import Resources
from workloads.errors import UserError, nearest

GIB = 2**30
CUDA_BYTES = 1.0 * GIB  # a CUDA context with cuDNN's workspaces; an assumption, not measured here


@dataclass(frozen=True)
class Size:
    """Nodes that are all alike."""

    nodes: int
    gpus: int  # of a node; 0: training on CPUs
    cpus: int  # of a node


def slots_of(size: Size, resources: Resources) -> int:
    """Trials at once, counted as a launch counts them; 0 where not even one fits. Raises UserError as `room` does."""
    return room(resources, [{"CPU": size.cpus, "GPU": size.gpus}] * size.nodes)


def by_one_worker(plan: Plan, speeds: Speeds) -> Load:
    """The same work by one worker a trial that has its GPU to itself: what speed-ups are counted from."""
    resources = plan.space.resources.model_copy(update={"workers": 1})
    alone = replace(plan, space=plan.space.model_copy(update={"resources": resources}))
    return load_of(alone, {**speeds, "rate": speeds["rate"] * max(1, resources.sharing_a_gpu)})


@dataclass(frozen=True)
class Forecast:
    """What a plan takes on clusters of several sizes.

    nodes: their numbers. fitting: of those where a trial has room, number -> outcome. alone: seconds of one worker
    alone. node, worker: what each is, in words.
    """

    plan: Plan
    nodes: tuple[int, ...]
    fitting: dict[int, Outcome]
    load: Load
    alone: float
    node: str
    worker: str


def forecast(
    plan: Plan, nodes: Sequence[int], gpu: str | None, gpus_per_node: int, cpus_per_node: int, gmacs: float | None
) -> Forecast:
    """On clusters of equal nodes. gpu: the kind of a node's GPUs; without one, CPUs train. gmacs: stated speed of a
    worker, in GMAC/s; measured or assumed where absent. Raises UserError where no trial fits on any of them, and for
    a stated speed where the method states no cost."""
    resources = plan.space.resources
    counted = states_costs(plan.methods[0], plan.targets or ("?",), plan.shape, plan.counts)
    if gmacs and not counted:
        raise UserError(f"{plan.space.workload} states no cost: GMAC/s say nothing of it", fix="leave out --rate")
    if gpu:
        refuse_crowded(plan, gpu)
    speeds, source = speeds_of(resources, {"rate": gmacs * 1e9} if gmacs else plan.rates)
    load, alone = load_of(plan, speeds), simulate(by_one_worker(plan, speeds), 1).seconds
    speed = f"{speeds['rate'] / 1e9:g} GMAC/s" if counted else f"{speeds['rate']:,.2f} training images/s"
    slots = {count: slots_of(Size(count, gpus_per_node if gpu else 0, cpus_per_node), resources) for count in nodes}
    if not any(slots.values()):
        raise UserError("not even one trial fits on such nodes", fix="lower --workers, or more --nodes")
    return Forecast(
        plan,
        tuple(nodes),
        {count: simulate(load, min(fitting, plan.space.together)) for count, fitting in slots.items() if fitting},
        load,
        alone,
        node=f"{f'{gpus_per_node} x {gpu}' if gpu else 'no GPU'}, {cpus_per_node} CPUs",
        worker=f"{speed}: {'stated' if gmacs else source}",
    )


def limits(load: Load, outcome: Outcome) -> list[str]:
    """What keeps a sweep of this size from being faster, the largest first, and what could be done about it."""
    workers, trained = outcome.slots * load.workers, sum(map(sum, load.rounds)) * load.sharing
    widest = max(map(len, load.rounds), default=0) * load.sharing
    waiting = outcome.stages - trained / workers
    starting = outcome.waves * load.trial_start
    uneven = sum(load.trials) / outcome.slots - load.training / workers
    tail = outcome.trials - sum(seconds + load.trial_start for seconds in load.trials) / outcome.slots
    causes = [
        (
            waiting,
            f"shared stages: at most {widest} workers have one, the others wait; a later sweep finds them trained",
        ),
        (tail, "the last wave: whole trials end at different times; more --workers a trial evens it out"),
        (uneven, "uneven shares: a trial's workers wait for the one with the most; fewer --workers a trial"),
        (
            load.sent / workers,
            "communication: workers wait for each other's gradients; fewer --workers, larger batches",
        ),
        (starting, f"start-up: {load.trial_start:.0f} s a trial, {outcome.waves} times in a row"),
        (load.start, "start of Ray and its first workers"),
    ]
    shown = [(seconds / outcome.seconds, text) for seconds, text in sorted(causes, reverse=True)]
    return [f"{share:4.0%}  {text}" for share, text in shown if share >= 0.01]


def refuse_crowded(plan: Plan, gpu: str) -> None:
    """Raises UserError (exit 2) where the workers that would share a GPU need more memory than it has."""
    if gpu not in GPUS:
        raise UserError(f"no such GPU {gpu!r}", details=nearest(gpu, GPUS))
    sharing, needed = max(1, plan.space.resources.sharing_a_gpu), memory_of(plan) / GIB
    if sharing * needed > GPUS[gpu].memory:
        fits = int(GPUS[gpu].memory / needed)
        raise UserError(
            f"{sharing} worker(s) on one {gpu} do not fit: {sharing} x {needed:.1f} GiB, and it has {GPUS[gpu].memory}",
            details="an estimate: weights, gradients, Adam's moments, what the backward pass keeps, and CUDA itself",
            fix=f"--gpus-per-worker {1 / fits:.2g}" if fits else "a GPU with more memory, or smaller batches",
        )


def check_crowded_nodes(plan: Plan, nodes: Sequence[Node]) -> str:
    """The same for the GPUs of a running cluster; a warning where they are shared and one's kind cannot be told."""
    sharing = plan.space.resources.sharing_a_gpu
    if sharing < 2:
        return ""
    kinds = gpu_kinds(nodes)
    for kind in sorted(kinds & GPUS.keys()):
        refuse_crowded(plan, kind)
    if kinds and kinds <= GPUS.keys():
        return ""
    why = "not every node tells its GPU's kind" + ("" if kinds else " yet")
    if unknown := ", ".join(sorted(kinds - GPUS.keys() - {""})):
        why = f"how much memory {unknown} has is not known here"
    return (
        f"{sharing} workers share a GPU and {why}, so nothing has checked that {sharing} x "
        f"{memory_of(plan) / GIB:.1f} GiB fit; `plan {plan.name} --gpu KIND "
        f"--gpus-per-worker {plan.space.resources.gpus_per_worker:g}` checks it for a kind"
    )


def gpu_kinds(nodes: Sequence[Node]) -> set[str]:
    """Kinds of the nodes' GPUs by Ray's names, an empty one for nodes that do not tell; none where no node has any."""
    with_gpus = [node for node in nodes if node.get("GPU")]
    kinds_by_node = [
        {name.partition(":")[2] for name in node if name.startswith("accelerator_type:")} for node in with_gpus
    ]
    return set().union(*(kinds or {""} for kinds in kinds_by_node))


def memory_of(plan: Plan) -> float:
    """Bytes on the GPU of the plan's hungriest worker: its largest unit, the images it holds and CUDA's own share.

    Of a method that knows no cost the unit is missing."""
    targets = plan.targets[:1] or ("?",)
    units = [(m, unit) for m in plan.methods for unit in (*m.stages(targets), *m.units(targets))]
    held = plan.counts.images * plan.shape.values * max(1, len(plan.targets))
    costs = [m.cost(unit, plan.shape, plan.counts) for m, unit in units]
    return CUDA_BYTES + held + max((cost.bytes for cost in costs if cost is not None), default=0)
