"""The main job from a resolved space to a report: images, shards, shared stages, sweep, winner."""

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from upath import UPath

from orchestrator.console.view import Progress, duration, plan_table, say
from orchestrator.data.auxiliary.manifest import prepared_images
from orchestrator.planning.identity import code_digest
from orchestrator.planning.plan import Plan, StagePlan, TrialPlan, identify, make_plan, rates_key, write_rates
from orchestrator.record.events import Closed, Identity, Launched, Opened, TrialMoved
from orchestrator.record.heartbeat import heartbeat
from orchestrator.record.ledger import Ledger
from orchestrator.record.locks import launcher_lock
from orchestrator.record.paths import RunPaths
from orchestrator.record.provenance import capture, from_here, gpu_count, without_secrets
from orchestrator.record.runs import refuse_format_1, resume_command
from orchestrator.record.state import DONE, Outcome, RunState, State
from orchestrator.record.tracking import Mirror, Tracker, default_uri, ui_command
from tune_spaces.schema.load import Loaded
from tune_spaces.schema.models import Space, resolve
from workloads.errors import Kind, Problem, UserError, several
from workloads.registry import method
from workloads.units import DataFacts


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
    address: str | None = None  # of a running cluster that this machine belongs to
    slots: int | None = None  # trials at once; counted from the nodes where absent


def plan_of(request: Request, known: Any = None) -> Plan:
    return make_plan(
        request.loaded.name,
        request.loaded.doc,
        request.space,
        request.preset,
        run=request.name,
        storage=UPath(request.storage),
        cpus=request.cpus,
        gpus=gpu_count(),
        prepared_images=prepared_images(request.space.data.auxiliary),
        known=known,
    )


def show_plan(out: Console, request: Request, plan: Plan) -> RunPaths:
    """Print the plan; the places of the run it will use."""
    places = RunPaths(request.storage, plan.run)
    tracking = without_secrets(request.tracking_uri or f"sqlite, in {from_here(request.storage)}/mlflow.db")
    resume = without_secrets(resume_command(plan.run, request.storage, request.address))
    shown = without_secrets(from_here(request.storage)), tracking, resume
    out.print(plan_table(plan, *shown))
    out.print()
    return places


def opening(plan: Plan, manifest: Any, code: str, trials: list[TrialPlan], request: Request) -> Opened:
    """The ledger's first event: everything needed to resume, to report and to compare."""
    return Opened(
        uid=uuid4().hex,
        name=plan.name,
        doc=plan.doc,
        source=str(request.loaded.source),
        space=plan.space.model_dump(mode="json"),
        preset=plan.preset,
        schedule=schedule_of(request),
        dataset=plan.space.data.name,
        targets=plan.targets,
        counts=dict(manifest.sizes),
        shape=plan.shape,
        identity=Identity(manifest.digest, code),
        costs={name: round(s, 2) for name, s in plan.estimate.networks.items()},
        data_dir=request.data_dir,
        tracking_uri=request.tracking_uri and without_secrets(request.tracking_uri),
        trials=tuple(trials),
        provenance=capture(),
    )


def schedule_of(request: Request) -> str:
    """The preset's name, or "custom" where widths, schedules or the number of images were changed from the preset's."""
    keys = method(request.space.workload).schedule_keys()
    asked = resolve(request.loaded.space.model_copy(update={"preset": request.preset}))
    own, meant = request.space.config({}), asked.config({})
    if request.preset == "paper":
        chosen = method(request.space.workload)
        meant = chosen.config_type(**chosen.published_schedule(request.space.data.name, own))
    same = all(key not in request.space.axes and getattr(own, key) == getattr(meant, key) for key in keys)
    return request.preset if same and request.space.data.max_train_images == asked.data.max_train_images else "custom"


def refuse_blind_oracle(request: Request, images: Any) -> None:
    """Test labels cannot choose where no test image is anomalous."""
    if request.space.select_by == "oracle" and len(set(images.test.labels.tolist())) < 2 and not images.out:
        raise UserError(
            "select_by: 'oracle' needs anomalous test images, and there are none",
            fix="use another --select-by, or add a folder of anomalies",
        )


def refuse_unfit(request: Request, images: Any) -> None:
    """What only the images tell, such as how many classes a user's folder has; refused before anything is trained."""
    space, chosen = request.space, method(request.space.workload)
    facts = DataFacts(
        shape=images.shape,
        pooled=space.data.protocol == "in_out",
        auxiliary=bool(space.data.auxiliary),
        classes=max(len(images.targets.members_of(target)) for target in images.targets.names),
        select_by=space.select_by,
    )
    said = [said for point in space.points() for said in chosen.data_problems(space.config(point), facts)]
    if said:
        raise several([Problem(*one) for one in dict.fromkeys(said)], request.loaded.name)


def refuse_other_run(ledger: Ledger, opened: Opened, run: str) -> None:
    """A run on disk can only be continued with the space, data and code it began with."""
    before = ledger.state.opening
    if before is None:
        return
    changed = ["space"] if asked_for(before.space) != asked_for(opened.space) else []
    changed += ["data"] if before.identity.data != opened.identity.data else []
    changed += ["code"] if before.identity.code != opened.identity.code else []
    if changed:
        raise UserError(
            f"the run {run!r} exists and was made with another {' and another '.join(changed)}",
            details="its trials and these could not be compared",
            fix="give this launch another --name",
            kind=Kind.REFUSED,
        )


@dataclass(frozen=True)
class Work:
    """What a launch holds once its images are read and its run is opened."""

    request: Request
    plan: Plan
    manifest: Any  # orchestrator.data.split_store.SplitManifest
    images: Any  # workloads.data.splits.Splits
    places: RunPaths
    stages: list[StagePlan]
    trials: list[TrialPlan]
    ledger: Ledger
    mirror: Mirror
    out: Console
    spent: dict[str, float]  # phase -> seconds of wall time


def asked_for(space: dict[str, Any]) -> dict[str, Any]:
    """A space without what changes no number: the workers it runs on and what is looked at afterwards."""
    return {key: value for key, value in space.items() if key not in ("resources", "analyses")}


def launch(request: Request, out: Console) -> Outcome:
    """Run or continue to the end. Raises UserError; an interrupt leaves a resumable run."""
    begun = time.monotonic()
    places = show_plan(out, request, plan_of(request))
    refuse_format_1(places)
    tracker = tracker_of(request, places)
    from orchestrator.data.loading import load_splits
    from orchestrator.data.split_store import SplitStore

    with out.status("reading images"):
        images = load_splits(request.space.data, Path(request.data_dir))
        refuse_blind_oracle(request, images)
        refuse_unfit(request, images)
        manifest = SplitStore(places).keep(images)
    plan = plan_of(request, images)
    chosen = method(plan.space.workload)
    code, stage_code = code_digest(chosen.packages), code_digest(chosen.stage_packages)
    stages, trials = identify(plan, images.digest, images.target_digests, code, stage_code)
    with launcher_lock(places), heartbeat(places):
        ledger = Ledger(places)
        opened = opening(plan, manifest, code, trials, request)
        refuse_other_run(ledger, opened, plan.run)
        if not ledger.events:
            ledger.append(opened)
        ledger.append(Launched(opened.provenance.command, host=socket.gethostname(), pid=os.getpid()))
        mirror = Mirror(tracker, ledger.snapshot, lambda text: say(out, text))
        work = Work(request, plan, manifest, images, places, stages, trials, ledger, mirror, out, {})
        try:
            train(work)
            return finish(work, time.monotonic() - begun)
        except KeyboardInterrupt:
            interrupt(work)
            return Outcome.INTERRUPTED
        except Exception:
            ledger.append(Closed(Outcome.FAILED))
            mirror.end()
            say(out, f"\nResume: {resume_command(plan.run, request.storage, request.address)}")
            raise


def tracker_of(request: Request, places: RunPaths) -> Tracker:
    """Not connected yet. Raises UserError where the storage cannot hold MLflow's file and no server is given."""
    if request.tracking_uri is None and not places.is_local:
        raise UserError(
            "MLflow's SQLite file needs a local storage",
            fix="give --tracking-uri a database or a server",
        )
    return Tracker(places, request.tracking_uri or default_uri(places), request.loaded.name)


def train(work: Work) -> None:
    """Everything that needs Ray: baselines, missing stages, unfinished trials, analyses."""
    from orchestrator.clusters.session import node_resources, ray_session
    from orchestrator.execution.on_ray import baselines
    from orchestrator.execution.on_ray import progress as board
    from orchestrator.execution.on_ray.analyses import missing, run_analyses
    from orchestrator.execution.on_ray.stages import run_stages
    from orchestrator.execution.on_ray.tune import run_sweep
    from orchestrator.planning.capacity import slots
    from orchestrator.planning.cluster_size import check_crowded_nodes

    plan, ledger, spent = work.plan, work.ledger, work.spent
    trained = all(t.state in DONE for t in ledger.state.trials.values())
    if trained and not missing(ledger.state, plan.space.analyses):
        return
    clock = time.monotonic()
    with ray_session(work.request.cpus, work.request.address) as ray:
        notes = board.start()
        nodes = node_resources()
        if warning := check_crowded_nodes(plan, nodes):
            say(work.out, f"warning: {warning}")
        room = work.request.slots or slots(plan.space.resources, nodes)
        varying = [a for a in plan.space.axes if len({str(point[a]) for point in plan.points}) > 1]
        progress = Progress(work.out, varying, lambda: ledger.state, lambda: board.read(notes))
        spent["start-up"] = time.monotonic() - clock
        with progress.running():
            progress.phase = "baselines and shared stages"
            running = baselines.start(work.images, work.places, ledger.state.opened.identity.code)
            clock = time.monotonic()
            run_stages(plan, work.manifest, work.places, work.stages, ledger, room)
            try:
                ray.get(running)
            except ray.exceptions.RayError as error:  # a table without baselines is better than none
                say(work.out, f"warning: the baselines failed: {str(error).strip().splitlines()[-1][:300]}")
            spent["stages"] = time.monotonic() - clock
            clock = time.monotonic()
            progress.phase = "trials"
            run_sweep(plan, work.trials, work.manifest, work.places, ledger, room, work.mirror.changed)
            spent["trials"] = time.monotonic() - clock
            if plan.space.analyses:
                clock = time.monotonic()
                progress.phase = "analyses"
                run_analyses(work.places, ledger, plan.space.analyses, plan.space.resources)
                spent["analyses"] = time.monotonic() - clock


def interrupt(work: Work) -> None:
    """Record what was running as interrupted, and say how to go on."""
    for trial in list(work.ledger.state.trials.values()):
        if trial.state == State.RUNNING:
            work.ledger.append(TrialMoved(trial.id, State.INTERRUPTED))
    work.ledger.append(Closed(Outcome.INTERRUPTED))
    work.mirror.end()
    resume = resume_command(work.plan.run, work.request.storage, work.request.address)
    say(work.out, f"\ninterrupted; nothing finished is lost. Resume: {resume}")


def finish(work: Work, seconds: float) -> Outcome:
    """Close the books: rates, report, MLflow, and the result on the screen."""
    from orchestrator.results.report.out import set_means
    from orchestrator.results.report.tables import number, to_rich
    from orchestrator.results.run import conclude

    out, state = work.out, work.ledger.state
    failed = [t for t in state.trials.values() if t.state == State.FAILED]
    keep_rates(work)
    results = conclude(work.places, state)
    outcome = Outcome.SOME_FAILED if failed else Outcome.COMPLETE
    work.ledger.append(Closed(outcome, round(seconds, 1), results.best.id))
    work.mirror.end()
    out.print(to_rich(results.table))
    if results.out is not None:
        means = ", ".join(f"{name} {number(value)}" for name, value in set_means(results.out).items())
        say(out, f"out of distribution, mean over the classes: {means}")
    point = ", ".join(f"{k}={v}" for k, v in results.best.point.items())
    by = state.space.select_by
    how = "LEAK: chosen by test labels" if by == "oracle" else f"by {by}, no test label seen"
    say(out, f"best configuration ({how}): {point}")
    for warning in results.warnings:
        say(out, f"warning: {warning}")
    for trial in failed:
        say(out, f"failed: trial {trial.id}: {trial.error}")
    phases = ", ".join(f"{name} {duration(value)}" for name, value in work.spent.items())
    say(
        out,
        f"took {duration(seconds)} ({phases}); training and scoring {duration(worker_seconds(state))} of worker time",
    )
    say(out, f"report  {from_here(str(results.report))}")
    say(out, f"MLflow  {ui_command(work.mirror.tracker.uri)}")
    return Outcome.SOME_FAILED if any(event.error for event in state.analyses.values()) else outcome


def worker_seconds(state: RunState) -> float:
    """Seconds that workers spent in training and scoring, added up: every rung says how long its trial has trained."""
    trials = sum(trial.last.train_seconds for trial in state.trials.values() if trial.rungs)
    return trials * state.space.resources.workers + sum(stage.seconds for stage in state.stages.values())


def keep_rates(work: Work) -> None:
    """Speeds for the next plan: multiply-accumulates per second of a worker, over all trials of this run."""
    ended = [t for t in work.ledger.state.trials.values() if t.rungs]
    seconds = sum(t.last.train_seconds for t in ended)
    macs = sum(t.last.macs for t in ended)
    if seconds > 1 and macs:  # a general flow that is scored as it is trains nothing
        request = work.request
        resources = request.space.resources
        sharing = resources.workers if resources.share == "batches" else 1  # all of them train every network
        key = rates_key(request.loaded.name, request.preset, resources)
        write_rates(UPath(request.storage), key, {"rate": macs / seconds / sharing})


def analyse_run(places: RunPaths, names: list[str], tracking_uri: str | None, cpus: int, out: Console) -> None:
    """Analyse the winner of a run that is not being launched; what was done before is not done again."""
    from orchestrator.clusters.session import ray_session
    from orchestrator.execution.on_ray import progress as board
    from orchestrator.execution.on_ray.analyses import run_analyses
    from orchestrator.results.run import conclude

    with launcher_lock(places), heartbeat(places):
        ledger = Ledger(places)
        space = ledger.state.space
        with ray_session(cpus):
            notes = board.start()
            progress = Progress(out, list(space.axes), lambda: ledger.state, lambda: board.read(notes))
            with progress.running():
                progress.phase = "analyses"
                run_analyses(places, ledger, names, space.resources)
        results = conclude(places, ledger.state)
        tracker = Tracker(places, tracking_uri or default_uri(places), ledger.state.opened.name)
        Mirror(tracker, ledger.snapshot, lambda text: say(out, text)).end()
        for warning in results.warnings:
            say(out, f"warning: {warning}")
        say(out, f"report  {from_here(str(results.report))}")
