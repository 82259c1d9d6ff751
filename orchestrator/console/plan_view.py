"""The plan of a launch, as a table: everything a user wants to know before the machine gets warm."""

from typing import Any

from rich.table import Table

from orchestrator.console.output import counted, duration, values
from orchestrator.planning.plan import Plan
from orchestrator.planning.request import Request
from orchestrator.record.provenance import from_here, gpu_count, without_secrets
from orchestrator.record.runs import resume_command
from tune_spaces.schema import Space
from workloads.data.reading.account import Account


def plan_table(plan: Plan, request: Request) -> Table:
    """What a launch will do, what it costs and where everything goes."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    storage = from_here(request.storage)
    rows = {
        "run": plan.run,
        "question": plan.doc.strip().splitlines()[0] if plan.doc.strip() else plan.name,
        "data": data_lines(plan),
        **account_lines(plan.account),
        **window_lines(plan),
        **set_lines(plan),
        "preset": plan.preset,
        **{f"  {key}": values(axis) for key, axis in plan.space.axes.items()},
        **trial_lines(plan),
        "estimate": estimate_line(plan),
        "results": without_secrets(f"{storage}/{plan.run}"),
        "MLflow": without_secrets(request.tracking_uri or f"sqlite, in {storage}/mlflow.db"),
        "resume": without_secrets(resume_command(plan.run, request.storage, request.address)),
    }
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def plan_facts(plan: Plan) -> dict[str, Any]:
    """A plan for programs; seconds of wall time."""
    facts = {"run": plan.run, "space": plan.name, "preset": plan.preset, "targets": plan.targets}
    counts = {
        "trials": plan.space.trials,
        "chosen_later": plan.space.trials - len(plan.points),
        "stages": plan.stages,
        "rungs": plan.rungs,
        "workers": plan.workers,
    }
    return {**facts, **counts, "estimate": plan.estimate}


def data_lines(plan: Plan) -> str:
    """Which images, and what is normal among them."""
    data, side = plan.space.data, f"{plan.shape.width}x{plan.shape.height}"
    if data.protocol == "in_out":
        return (
            f"{data.name}, {side}, about {plan.counts.images} training images, all normal; anomalies are the out sets"
        )
    problems = f"{counted(len(plan.targets), 'one-class problem')}: {', '.join(plan.targets)}"
    what = "images" if plan.windows == 1 else "windows"
    return f"{data.name}, {side}, about {plan.counts.images} training {what} a class\n" + (
        problems if plan.targets else "classes as found"
    )


def account_lines(account: Account | None) -> dict[str, str]:
    """What of a user's folder is used, and what not."""
    if account is None:
        return {}
    folders = (
        f"{folder} {used}" + (f" ({others} other files)" if others else "")
        for folder, (used, others) in account.folders.items()
    )
    return {"images": ", ".join(folders), "left out": "\n".join(map(str, account.left_out)) or "nothing"}


def window_lines(plan: Plan) -> dict[str, str]:
    """What a user's images are once they are cut into windows, and the memory that takes."""
    if plan.account is None or plan.windows == 1:
        return {}
    windows, shape = round(plan.account.used * plan.windows), plan.shape
    size = plan.account.used * plan.windows * shape.values
    text = f"about {windows:,} of {shape.width}x{shape.height}, {plan.windows:.1f} an image"
    return {"windows": f"{text}: {size / 1e6:,.0f} MB of pixels, twice that while they are read"}


def set_lines(plan: Plan) -> dict[str, str]:
    """The sets beside the dataset, where there are any."""
    data, lines = plan.space.data, {}
    if data.auxiliary:
        sources = ", ".join(source.name for source in data.auxiliary)
        lines["auxiliary set"] = f"{sources}; about {plan.counts.auxiliary:,} training images"
    if data.out:
        lines["out sets"] = ", ".join(data.out)
    return lines


def trial_lines(plan: Plan) -> dict[str, str]:
    """How trials are searched, made up, compared and chosen from."""
    space, resources = plan.space, plan.space.resources
    asha = f"ASHA, compared at {values(rung / 10 for rung in plan.rungs[:-1])} % of the schedule"
    rungs = asha if len(plan.rungs) > 1 else "every trial to the end"
    networks = counted(len(plan.units), "network") if plan.targets else "as many networks as classes and levels"
    leak = "looks at test labels: a LEAK" if space.select_by == "oracle" else "no test label is looked at"
    lines = {
        "trials": f"{space.trials} ({search_text(space)}; {rungs})",
        "a trial": f"{networks} on {resources.workers} worker(s), shared out by {resources.share}",
        "shared": f"{counted(plan.stages, 'stage')} trained once for all trials, found again by content",
        "winner by": f"{space.select_by} ({leak})",
    }
    if not resources.gpus_per_worker and (gpus := gpu_count()):
        lines["GPU"] = f"not used: of {gpus} here, --gpus-per-worker 1 gives each worker one"
    if space.analyses:
        lines["afterwards"] = f"analyses of the winner, not in the estimate: {', '.join(space.analyses)}"
    return lines


def search_text(space: Space) -> str:
    """Which points are tried, and how often."""
    points, size, start = space.trials // space.seeds, space.size(), space.search.start(space.size())
    kinds = {
        "grid": "all points",
        "random": f"{points} random of {size} points",
        "optuna": f"{start} random of {size} points, then {points - start} that Optuna chooses as the run goes, "
        f"{space.search.at_once} at once by {space.select_by}",
    }
    return kinds[space.search.kind] + (f", each with {space.seeds} seeds" if space.seeds > 1 else "")


def estimate_line(plan: Plan) -> str:
    """Seconds of each phase, and where the numbers behind them come from."""
    cost = plan.estimate
    if cost is None:
        return f"not known yet: {plan.space.workload} states no cost; this launch is timed, and the next plan knows"
    parts = f"stages {duration(cost.stages)}, trials {duration(cost.trials)}, start-up {duration(cost.overhead)}"
    limit = f", at most {duration(cost.longest)}" if cost.longest > 1.05 * cost.total else ""
    return f"{duration(cost.total)}{limit} on {plan.workers} worker(s): {parts}\n{cost.source}"
