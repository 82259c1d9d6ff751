"""What a sweep takes on clusters of several sizes, as tables: planned, and replayed from a run."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.console.output import duration, say
from orchestrator.planning.cluster_size import Forecast, limits
from orchestrator.planning.simulation import Outcome, critical_path, simulate
from orchestrator.record.replay import Recording

COLUMNS = ("trials at once", "waves", "stages", "trials", "in all", "speed-up", "idle")


def print_forecast(out: Console, forecast: Forecast, price: float | None) -> None:
    """A row a number of nodes, then what limits the largest. price: of a node an hour, to multiply with."""
    load, plan, fitting = forecast.load, forecast.plan, forecast.fitting
    kinds = f"{len(load.trials)} trials, {sum(map(len, load.rounds))} shared stages in {len(load.rounds)} round(s)"
    say(out, f"{plan.name}, {plan.preset} preset: {kinds}")
    say(out, f"a node    {forecast.node}")
    say(out, f"a trial   {plan.space.resources.workers} worker(s), shared out by {plan.space.resources.share}")
    say(out, f"a worker  {forecast.worker}")
    shown = sizes_table("cluster")
    for count in forecast.nodes:
        if count in fitting:
            add_row(shown, f"{count} nodes", fitting[count], forecast.alone)
        else:
            shown.add_row(f"{count} nodes", "0: no trial fits")
    out.print(shown)
    say(out, f"critical path {duration(critical_path(load))}: no number of nodes makes it shorter")
    if price is not None:
        prices = [f"{count} nodes {count * o.seconds / 3600 * price:,.0f}" for count, o in fitting.items()]
        say(out, f"price   {', '.join(prices)}")
    largest = max(fitting)
    say(out, f"what limits {largest} nodes, as a share of its time:")
    for line in limits(load, fitting[largest]):
        say(out, f"  {line}")


def print_replay(out: Console, recording: Recording, at: Sequence[int]) -> None:
    """A row a number of slots, beside what the launch really took."""
    measured, alone = recording.measured, simulate(recording.load, 1).seconds
    shown = sizes_table("replayed")
    for slots in sorted({*at, measured.slots}):
        add_row(shown, f"{slots} slots", simulate(recording.load, slots), alone)
        if slots == measured.slots:
            add_row(shown, "  measured", measured, alone)
    out.print(shown)


def forecast_facts(forecast: Forecast) -> dict[str, Any]:
    """A forecast for programs: number of nodes -> what a sweep takes there, null where no trial fits."""
    plan, fitting = forecast.plan, forecast.fitting
    nodes = {count: outcome_facts(fitting[count]) if count in fitting else None for count in forecast.nodes}
    return {"space": plan.name, "preset": plan.preset, "critical_path": critical_path(forecast.load), "nodes": nodes}


def replay_facts(recording: Recording, at: Sequence[int]) -> dict[str, Any]:
    """A replay for programs: number of slots -> what a sweep takes there."""
    slots = {count: outcome_facts(simulate(recording.load, count)) for count in sorted(at)}
    return {"measured": outcome_facts(recording.measured), "slots": slots}


def outcome_facts(outcome: Outcome) -> dict[str, Any]:
    return {**asdict(outcome), "seconds": outcome.seconds, "idle": outcome.idle}


def sizes_table(first: str) -> Table:
    """What a sweep takes at several sizes; `first` heads the column of their names."""
    return Table(first, *COLUMNS, box=None, header_style="bold", pad_edge=False)


def add_row(shown: Table, name: str, outcome: Outcome, alone: float) -> None:
    """How a sweep fares at one size, against the seconds that one worker alone would take."""
    shown.add_row(
        name, str(outcome.slots), str(outcome.waves or ""), duration(outcome.start + outcome.stages),
        duration(outcome.trials), duration(outcome.seconds), f"{alone / outcome.seconds:.1f}x", f"{outcome.idle:.0%}",
    )  # fmt: skip
