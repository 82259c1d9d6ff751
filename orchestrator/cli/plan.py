"""`plan SPACE --nodes N`: what a sweep takes on clusters of several sizes; `simulate RUN`: what one would have."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Plain, Run, Storage

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.planning.plan import Plan
    from orchestrator.planning.simulation import Outcome

COLUMNS = ("trials at once", "waves", "stages", "trials", "in all", "speed-up", "idle")


def plan(
    space: Annotated[str, typer.Argument(help="A space by name or the path of your own .py file.")],
    nodes: Annotated[list[int], typer.Option("--nodes", help="Number of nodes; may be repeated.", min=1)] = [1],  # noqa: B006
    gpu: Annotated[str | None, typer.Option(help="Type of a node's GPUs; without it, CPUs train.")] = None,
    gpus_per_node: Annotated[int, typer.Option(min=1)] = 1,
    cpus_per_node: Annotated[int, typer.Option(min=1)] = 8,
    rate: Annotated[float | None, typer.Option(help="Stated unit cost: GMAC/s of a worker.", min=0.001)] = None,
    price: Annotated[float | None, typer.Option(help="Of a node an hour, to multiply with.", min=0)] = None,
    storage: Storage = DEFAULT_STORAGE,
    preset: Annotated[str | None, typer.Option(help="paper, reduced or smoke.")] = None,
    search: Annotated[str | None, typer.Option(help="random or grid.")] = None,
    points: Annotated[int | None, typer.Option(help="Random points to try.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="asha or fifo.")] = None,
    workers: Annotated[int | None, typer.Option(help="Ray Train workers of a trial.")] = None,
    cpus_per_worker: Annotated[float | None, typer.Option()] = None,
    gpus_per_worker: Annotated[float | None, typer.Option(help="1 where --gpu is given; may be a fraction.")] = None,
    share: Annotated[str | None, typer.Option(help="units or batches.")] = None,
    plain: Plain = False,
) -> None:
    """Waves, hours, idle share and critical path of a sweep on clusters of several sizes. Starts nothing."""
    from orchestrator.data.auxiliary.manifest import prepared_images
    from orchestrator.planning.cluster_size import refuse_crowded
    from orchestrator.planning.cost import unit_costs
    from orchestrator.planning.options import Options, load_space
    from orchestrator.planning.plan import make_plan
    from orchestrator.planning.request import absolute
    from orchestrator.record.rates import read_rates

    gpus = gpus_per_worker if gpus_per_worker is not None else (1.0 if gpu else None)
    options = Options(
        preset=preset, search=search, points=points, scheduler=scheduler, workers=workers,
        cpus_per_worker=cpus_per_worker, gpus_per_worker=gpus, share=share,
    )  # fmt: skip
    loaded, resolved, preset_name = load_space(space, options)
    images, known = prepared_images(resolved.data.auxiliary), (loaded.name, preset_name, resolved.resources)
    rates = {"rate": rate * 1e9} if rate else read_rates(absolute(storage), *known)
    planned = make_plan(
        loaded.name, loaded.doc, resolved, preset_name, run=None, cpus=cpus_per_node, prepared_images=images
    )
    if gpu:
        refuse_crowded(planned, gpu)
    costs, source = unit_costs(resolved.resources, rates)
    node = f"{f'{gpus_per_node} x {gpu}' if gpu else 'no GPU'}, {cpus_per_node} CPUs"
    worker = f"{costs['rate'] / 1e9:g} GMAC/s: {'stated' if rate else source}"
    sizes = [(n, gpus_per_node if gpu else 0, cpus_per_node) for n in nodes]
    show_sizes(planned, costs, sizes, {"a node": node, "a worker": worker}, price, plain)


def show_sizes(
    planned: "Plan",
    costs: Mapping[str, float],
    sizes: Sequence[tuple[int, int, int]],
    about: Mapping[str, str],
    price: float | None,
    plain: bool,
) -> None:
    """Print what a sweep takes on clusters of (nodes, GPUs a node, CPUs a node). Raises UserError where none is large
    enough."""
    from orchestrator.console.output import console, duration, say
    from orchestrator.planning.cluster_size import Size, by_one_worker, limits, load_of, slots_of
    from orchestrator.planning.simulation import critical_path, simulate
    from workloads.errors import UserError

    rates, resources = (costs["rate"], costs["start"], costs["trial_start"]), planned.space.resources
    load, alone = load_of(planned, *rates), simulate(by_one_worker(planned, *rates), 1).seconds
    slots = {size[0]: slots_of(Size(*size), resources) for size in sizes}
    if not any(slots.values()):
        raise UserError("not even one trial fits on such nodes", fix="lower --workers, or more --nodes")
    out = console(plain)
    kinds = f"{len(load.trials)} trials, {sum(map(len, load.rounds))} shared stages in {len(load.rounds)} round(s)"
    say(out, f"{planned.name}, {planned.preset} preset: {kinds}")
    say(out, f"a node    {about['a node']}")
    say(out, f"a trial   {resources.workers} worker(s), shared out by {resources.share}")
    say(out, f"a worker  {about['a worker']}")
    fitting = {n: simulate(load, count) for n, count in slots.items() if count}
    shown = sizes_table("cluster")
    for n in slots:
        if n in fitting:
            add_row(shown, f"{n} nodes", fitting[n], alone)
        else:
            shown.add_row(f"{n} nodes", "0: no trial fits")
    out.print(shown)
    say(out, f"critical path {duration(critical_path(load))}: no number of nodes makes it shorter")
    if price is not None:
        say(out, "price   " + ", ".join(f"{n} nodes {n * o.seconds / 3600 * price:,.0f}" for n, o in fitting.items()))
    largest = max(fitting)
    say(out, f"what limits {largest} nodes, as a share of its time:")
    for line in limits(load, fitting[largest]):
        say(out, f"  {line}")


def simulate_run(
    run: Run,
    at: Annotated[list[int], typer.Option("--slots", help="Trials at once; repeatable.", min=1)] = [1, 2, 8],  # noqa: B006
    storage: Storage = DEFAULT_STORAGE,
    plain: Plain = False,
) -> None:
    """Replay the recorded durations of a run's last launch on other numbers of slots, beside what it really took.

    Slots are taken to have cores of their own; processes that share a machine's start more slowly.
    """
    from orchestrator.console.output import console
    from orchestrator.planning.request import absolute
    from orchestrator.planning.simulation import simulate
    from orchestrator.record.ledger import read_events
    from orchestrator.record.replay import replay
    from orchestrator.record.runs import open_run

    paths, state = open_run(absolute(storage), run)
    recorded = replay(read_events(paths), state.space.resources.workers)
    measured, alone = recorded.measured, simulate(recorded.load, 1).seconds
    shown = sizes_table("replayed")
    for slots in sorted({*at, measured.slots}):
        add_row(shown, f"{slots} slots", simulate(recorded.load, slots), alone)
        if slots == measured.slots:
            add_row(shown, "  measured", measured, alone)
    console(plain).print(shown)


def sizes_table(first: str) -> "Table":
    """What a sweep takes at several sizes; `first` heads the column of their names."""
    from rich.table import Table

    return Table(first, *COLUMNS, box=None, header_style="bold", pad_edge=False)


def add_row(shown: "Table", name: str, outcome: "Outcome", alone: float) -> None:
    """How a sweep fares at one size, against the seconds that one worker alone would take."""
    from orchestrator.console.output import duration

    shown.add_row(
        name, str(outcome.slots), str(outcome.waves or ""), duration(outcome.start + outcome.stages),
        duration(outcome.trials), duration(outcome.seconds), f"{alone / outcome.seconds:.1f}x", f"{outcome.idle:.0%}",
    )  # fmt: skip
