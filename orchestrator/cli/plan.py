"""`plan SPACE --nodes N`: what a sweep takes on clusters of several sizes; `simulate RUN`: what one would have."""

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Json, Plain, Run, Storage


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
    search: Annotated[str | None, typer.Option(help="random, grid or optuna.")] = None,
    points: Annotated[int | None, typer.Option(help="Points to try, random or chosen.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="asha or fifo.")] = None,
    workers: Annotated[int | None, typer.Option(help="Ray Train workers of a trial.")] = None,
    cpus_per_worker: Annotated[float | None, typer.Option()] = None,
    gpus_per_worker: Annotated[float | None, typer.Option(help="1 where --gpu is given; may be a fraction.")] = None,
    share: Annotated[str | None, typer.Option(help="units or batches.")] = None,
    plain: Plain = False,
    as_json: Json = False,
) -> None:
    """Waves, hours, idle share and critical path of a sweep on clusters of several sizes. Starts nothing."""
    from orchestrator.console.output import console, print_json
    from orchestrator.console.sizes_view import forecast_facts, print_forecast
    from orchestrator.execution.from_request import forecast_of

    options = {
        "search": search, "points": points, "scheduler": scheduler, "workers": workers, "share": share,
        "cpus_per_worker": cpus_per_worker, "gpus_per_worker": gpus_per_worker,
    }  # fmt: skip
    forecast = forecast_of(
        space, options, nodes, gpu=gpu, gpus_per_node=gpus_per_node, cpus_per_node=cpus_per_node, rate=rate,
        preset=preset, storage=storage,
    )  # fmt: skip
    if as_json:
        print_json(forecast_facts(forecast))
    else:
        print_forecast(console(plain), forecast, price)


def simulate_run(
    run: Run,
    at: Annotated[list[int], typer.Option("--slots", help="Trials at once; repeatable.", min=1)] = [1, 2, 8],  # noqa: B006
    storage: Storage = DEFAULT_STORAGE,
    plain: Plain = False,
    as_json: Json = False,
) -> None:
    """Replay the recorded durations of a run's last launch on other numbers of slots, beside what it really took.

    Slots are taken to have cores of their own; processes that share a machine's start more slowly.
    """
    from orchestrator.console.output import console, print_json
    from orchestrator.console.sizes_view import print_replay, replay_facts
    from orchestrator.record.replay import replay_run

    recording = replay_run(run, storage)
    if as_json:
        print_json(replay_facts(recording, at))
    else:
        print_replay(console(plain), recording, at)
