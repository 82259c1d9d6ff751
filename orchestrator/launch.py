"""The main job from a resolved space to a report: images, shards, shared stages, sweep, winner."""

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from upath import UPath

from orchestrator.failures import Exit, LaunchError
from orchestrator.identity import code_digest
from orchestrator.ledger import Ledger, launcher_lock
from orchestrator.places import Places
from orchestrator.plan import Plan, TrialPlan, identify, make_plan, rates_key, write_rates
from orchestrator.states import DONE, RunState, State
from orchestrator.view import Progress, duration, plan_table
from tune_spaces.load import Loaded
from tune_spaces.schema import Space


@dataclass(frozen=True)
class Request:
    """A launch as asked for, its space resolved."""

    loaded: Loaded
    space: Space
    preset: str
    storage: str
    data_dir: str
    tracking_uri: str | None
    name: str | None
    cpus: int
    plain: bool = False


def plan_of(request: Request, known: Any = None) -> Plan:
    return make_plan(
        request.loaded.name,
        request.loaded.doc,
        request.space,
        request.preset,
        run=request.name,
        storage=UPath(request.storage),
        cpus=request.cpus,
        known=known,
    )


def resume_command(request: Request, run: str) -> str:
    extra = f" --storage {request.storage}" if request.storage != str(Path("runs").absolute()) else ""
    return f"python -m orchestrator resume {run}{extra}"


def show_plan(out: Console, request: Request, plan: Plan) -> Places:
    """Print the plan; the places of the run it will use."""
    from orchestrator.provenance import without_secrets

    places = Places(request.storage, plan.run)
    tracking = without_secrets(request.tracking_uri or f"sqlite, in {request.storage}/mlflow.db")
    out.print(plan_table(plan, request.storage, tracking, resume_command(request, plan.run)))
    out.print()
    return places


def opening(plan: Plan, prepared: Any, code: str, trials: list[TrialPlan], request: Request) -> dict[str, Any]:
    """What the ledger's first event says: everything needed to resume, to report and to compare."""
    from orchestrator.provenance import capture

    return {
        "name": plan.name,
        "doc": plan.doc,
        "source": str(request.loaded.source),
        "space": plan.space.model_dump(mode="json"),
        "preset": plan.preset,
        "dataset": plan.space.data.name,
        "targets": list(plan.targets),
        "counts": prepared.counts,
        "identity": {"data": prepared.digest, "code": code},
        "data_dir": request.data_dir,
        "tracking_uri": "" if request.tracking_uri is None else request.tracking_uri.rsplit("@", 1)[-1],
        "trials": [{"id": t.id, "point": t.point} for t in trials],
        "provenance": capture(),
    }


def refuse_other_run(ledger: Ledger, opened: dict[str, Any], run: str) -> None:
    """A run on disk can only be continued with the space, data and code it began with."""
    before = ledger.state.opened
    if not before:
        return
    changed = [key for key in ("space", "preset") if before[key] != opened[key]]
    changed += [key for key in ("data", "code") if before["identity"][key] != opened["identity"][key]]
    if changed:
        raise LaunchError(
            f"the run {run!r} exists and was made with another {' and another '.join(changed)}",
            details="its trials and these could not be compared",
            fix="give this launch another --name",
            code=Exit.REFUSED,
        )


def launch(request: Request, out: Console) -> Exit:
    """Run or continue to the end. Raises LaunchError; KeyboardInterrupt leaves a resumable run."""
    begun = time.monotonic()
    places = show_plan(out, request, plan_of(request))
    with out.status("reading images") if out.is_terminal else warnings.catch_warnings():
        from orchestrator.ingest import prepare, read_images

        images = read_images(request.space.data, Path(request.data_dir))
        prepared = prepare(images, places.root / "data")
    plan = plan_of(request, prepared)
    code = code_digest(plan.space.workload)
    stage_keys, trials = identify(plan, prepared.digest, code)
    with launcher_lock(places):
        ledger = Ledger(places)
        opened = opening(plan, prepared, code, trials, request)
        refuse_other_run(ledger, opened, plan.run)
        if not ledger.events:
            ledger.append("opened", **opened)
        ledger.append("launched", command=opened["provenance"]["command"])
        tracker = tracker_of(request, places, plan)
        spent: dict[str, float] = {}
        try:
            baselines = train(request, plan, prepared, images, places, stage_keys, trials, ledger, tracker, out, spent)
        except KeyboardInterrupt:
            interrupt(ledger, tracker)
            out.print(f"\ninterrupted; nothing finished is lost. Resume: {resume_command(request, plan.run)}")
            return Exit.INTERRUPTED
        except Exception:
            ledger.append("closed", outcome="failed")
            sync(tracker, ledger, out)
            out.print(f"\nResume: {resume_command(request, plan.run)}")
            raise
        return finish(request, places, ledger, tracker, baselines, out, time.monotonic() - begun, spent)


def tracker_of(request: Request, places: Places, plan: Plan) -> Any:
    from orchestrator.tracking import Tracker, default_uri

    if request.tracking_uri is None and not places.is_local:
        raise LaunchError(
            "MLflow's SQLite file needs a local storage", fix="give --tracking-uri a database or a server", code=Exit.BAD_USAGE
        )
    return Tracker(places, request.tracking_uri or default_uri(places), plan.name)


def sync(tracker: Any, ledger: Ledger, out: Console) -> None:
    from orchestrator.tracking import sync_or_warn

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sync_or_warn(tracker, ledger)
    for item in caught:
        if "MLflow was not reached" in str(item.message):
            out.print(f"warning: {item.message}")


def train(
    request: Request,
    plan: Plan,
    prepared: Any,
    images: Any,
    places: Places,
    stage_keys: dict[str, str],
    trials: list[TrialPlan],
    ledger: Ledger,
    tracker: Any,
    out: Console,
    spent: dict[str, float],
) -> dict[str, dict[str, float | None]]:
    """Everything that needs Ray. Returns the baselines' per-class AUROC."""
    from orchestrator import baselines, board
    from orchestrator.cluster import ray_session, slots
    from orchestrator.stages import run_stages
    from orchestrator.sweep import run_sweep

    code = ledger.state.opened["identity"]["code"]
    with ray_session(request.cpus) as ray:
        notes = board.start()
        room = slots(plan.space.resources, ray.cluster_resources(), len(trials))
        progress = Progress(out, list(plan.space.axes), lambda: ledger.state, lambda: ray.get(notes.read.remote()))
        with progress.running():
            progress.phase = "baselines and shared stages"
            running = baselines.start(images, places, prepared.digest, code)
            clock = time.monotonic()
            run_stages(plan, prepared, places, stage_keys, ledger, room)
            spent["stages"] = time.monotonic() - clock
            measured = baselines.finish(running, places, prepared.digest, code)
            sync(tracker, ledger, out)
            clock = time.monotonic()
            if any(t.state not in DONE for t in ledger.state.trials.values()):
                progress.phase = "trials"
                run_sweep(
                    plan, trials, prepared, places, stage_keys, ledger, room, lambda: sync(tracker, ledger, out)
                )
            spent["trials"] = time.monotonic() - clock
        return measured


def interrupt(ledger: Ledger, tracker: Any) -> None:
    """Record what was running as interrupted, here and in MLflow."""
    from orchestrator.tracking import sync_or_warn

    for trial in list(ledger.state.trials.values()):
        if trial.state in (State.RUNNING, State.PENDING):
            ledger.append("trial", trial=trial.id, state=State.INTERRUPTED)
    ledger.append("closed", outcome="interrupted")
    sync_or_warn(tracker, ledger)


def finish(
    request: Request,
    places: Places,
    ledger: Ledger,
    tracker: Any,
    baselines: dict[str, dict[str, float | None]],
    out: Console,
    seconds: float,
    spent: dict[str, float],
) -> Exit:
    """Close the books: rates, report, MLflow, and the result on the screen."""
    from orchestrator.report.tables import to_rich
    from orchestrator.results import conclude
    from orchestrator.tracking import ui_command

    state = ledger.state
    failed = [t for t in state.trials.values() if t.state == State.FAILED]
    keep_rates(request, ledger)
    ledger.append("baselines", auroc=baselines)
    results = conclude(places, state, baselines)
    ledger.append("closed", outcome="failed" if failed else "complete", seconds=round(seconds, 1))
    sync(tracker, ledger, out)
    tracker.finish(results.best, places.report)
    out.print(to_rich(results.table))
    point = ", ".join(f"{k}={v}" for k, v in results.best.point.items())
    by = state.opened["space"]["select_by"]
    out.print(f"best configuration ({'LEAK: chosen by test labels' if by == 'oracle' else f'by {by}, no test label'}): {point}")
    for warning in results.warnings:
        out.print(f"warning: {warning}")
    for trial in failed:
        out.print(f"failed: trial {trial.id}: {trial.error}")
    trained = training_seconds(state)
    out.print(
        f"took {duration(seconds)}: stages {duration(spent.get('stages', 0))}, trials {duration(spent.get('trials', 0))}; "
        f"training itself {duration(trained)} of worker time"
    )
    out.print(f"report  {results.report}")
    out.print(f"MLflow  {ui_command(tracker.uri, places)}")
    return Exit.SOME_FAILED if failed else Exit.GOOD


def training_seconds(state: RunState) -> float:
    """Seconds that workers spent in training and scoring, added up: every rung says how long its trial has trained."""
    trials = sum(t.metric("train_seconds") or 0.0 for t in state.trials.values())
    return trials + sum(s.get("seconds", 0.0) for s in state.stages.values())


def keep_rates(request: Request, ledger: Ledger) -> None:
    """Speeds for the next plan: multiply-accumulates per second of a worker, over all trials of this run."""
    ended = [t for t in ledger.state.trials.values() if t.rungs]
    seconds = sum(t.metric("train_seconds") or 0.0 for t in ended)
    macs = sum(t.metric("macs") or 0.0 for t in ended)
    if seconds > 1:
        key = rates_key(request.loaded.name, request.preset)
        write_rates(UPath(request.storage), key, {"rate": macs / seconds})
