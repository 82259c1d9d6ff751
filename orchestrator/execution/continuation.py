"""A launch's run, new or going on: whether it may, with which ids and stages, and what its ledger says of that."""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from orchestrator.execution.checks import changed_modules, changed_packages, check_same_code
from orchestrator.execution.work.stage import is_made
from orchestrator.planning.code_digest import Codes, plain
from orchestrator.planning.identity import (
    Identified,
    Identity,
    StagePlan,
    TrialPlan,
    identify,
    question,
    stages_of,
    stages_of_trials,
    trial_config,
)
from orchestrator.planning.plan import Plan
from orchestrator.planning.request import Request
from orchestrator.record.events import CodeAccepted, Launched, Opened, TrialAdded
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from orchestrator.record.provenance import capture, without_secrets
from orchestrator.record.state import DONE, RunState
from tune_spaces.schema import Space
from workloads.data.splits import Splits
from workloads.errors import Kind, UserError
from workloads.keys import PRECISION, leaves_precision_open
from workloads.registry import WORKLOADS, top_module
from workloads.training.precision import fast


@dataclass(frozen=True)
class OpenRun:
    """A run whose ledger is open. trials: a search adds to them as the run goes. methods: of the trials, by their ids.
    stages: all that the trials have, those that others need first. baselines: name -> key of its scores. plan: with its
    precision settled."""

    ledger: Ledger
    trials: list[TrialPlan]
    methods: dict[str, Any]
    stages: Sequence[StagePlan]
    baselines: Mapping[str, str]
    plan: Plan

    def add(self, plan: Plan, splits: Splits, points: Sequence[dict[str, Any]]) -> list[TrialPlan]:
        """Trials at further points, which have the stages of the known ones. The ledger has them first."""
        stages = {trial.point.get("seed"): trial.stages for trial in self.trials}
        methods = tuple(plan.method(point) for point in points)
        further = replace(plan, points=tuple(points), methods=methods)
        identified = identify(further, splits.digest, splits.target_digests).trials
        added = [replace(trial, stages=stages.get(trial.point.get("seed"), {})) for trial in identified]
        for trial, instance in zip(added, methods, strict=True):
            instance.prepare(Path(self.ledger.state.opened.data_dir))
            self.ledger.append(TrialAdded(trial))
            self.trials.append(trial)
            self.methods[trial.id] = instance
        return added


def open_run(request: Request, plan: Plan, paths: RunPaths, splits: Splits, executor: str) -> OpenRun:
    """The run of a plan with the images that were read for it, new, or one that goes on with the ids it has.

    Raises UserError where the run on disk asks another question, and where its code differs and is not accepted.
    """
    if leaves_precision_open(type(plan.methods[0].config), plan.space.fixed):
        plan = settled(plan, Ledger(paths).state)
    opened, identified = opening(request, plan, splits)
    ledger = Ledger(paths)
    if ledger.state.opening is None:
        ledger.append(opened)
        ledger.state.space = plan.space  # as the event says it, and resolved already
        trials = {trial.id: trial for trial in opened.trials}
        methods = {trial.id: instance for trial, instance in zip(opened.trials, plan.methods, strict=True)}
        run = OpenRun(ledger, list(trials.values()), methods, identified.stages, identified.baselines, plan)
    else:
        run = continued(ledger, opened, plan, paths, splits, request.accept_code)
    ledger.append(Launched(opened.provenance.command, executor, socket.gethostname(), os.getpid()))
    return run


def settled(plan: Plan, state: RunState) -> Plan:
    """The plan with a precision that is left to the device as what it was when the run was begun, or as what the device
    of the trials is fast in. A GPU that cannot be seen from here is taken for one that is not.

    state: of the run, new or begun before.
    """
    space = plan.space
    device = torch.device("cuda" if space.resources.gpus_per_worker else "cpu")
    precision = fast(device) if state.opening is None else state.space.fixed.get(PRECISION, "fp32")
    space = space.model_copy(update={"fixed": space.fixed | {PRECISION: precision}})
    return replace(plan, space=space, methods=tuple(map(space.method, plan.points)))


def opening(request: Request, plan: Plan, splits: Splits) -> tuple[Opened, Identified]:
    """The ledger's first event, everything needed to resume, to report and to compare; and what it was made of."""
    identified = identify(plan, splits.digest, splits.target_digests)
    opened = Opened(
        uid=uuid4().hex,
        name=plan.name,
        doc=plan.doc,
        source=str(request.loaded.source),
        space=plan.space.model_dump(mode="json"),
        preset=plan.preset,
        schedule=request.schedule,
        dataset=plan.space.data.name,
        targets=plan.targets,
        counts={name: len(images.first_windows) for name, images in splits.by_name().items()},
        shape=plan.shape,
        identity=identified.identity,
        costs=dict(plan.costs),
        data_dir=request.data_dir,
        tracking_uri=request.tracking_uri and without_secrets(request.tracking_uri),
        trials=identified.trials,
        provenance=capture(),
        remarks=splits.remarks,
        white_level=splits.white_level,
        region=splits.region.text if splits.region else "",
        account=splits.account,
    )
    return opened, identified


def continued(
    ledger: Ledger, opened: Opened, plan: Plan, paths: RunPaths, splits: Splits, accept_code: bool
) -> OpenRun:
    """A run that was begun before. opened: as it would be begun today."""
    state = ledger.state
    check_same_question(state, opened, plan.space, paths.run)
    methods = {trial.id: plan.method(trial.point) for trial in state.trials.values()}
    for trial in state.trials.values():
        if trial.state not in DONE:  # those that a search has added are not among the plan's
            methods[trial.id].prepare(Path(state.opened.data_dir))
    if state.accepted or not state.identity.same_code(opened.identity):
        top = "" if plan.space.workload in WORKLOADS else top_module(plan.space.workload)
        check_same_code(state.identity, opened.identity, paths.run, top, accept_code)
        keys = stage_keys(plan, state, paths, methods, splits.target_digests)
        accept(ledger, opened.identity, keys)
    trials = list(trials_of(state, methods))
    stages = stages_of_trials(trials, methods, plan.targets)
    return OpenRun(ledger, trials, methods, stages, state.identity.baseline_keys, plan)


def check_same_question(state: RunState, opened: Opened, space: Space, run: str) -> None:
    """Raises UserError where the run on disk was begun with another space or other images."""
    changed = ["space"] if question(state.space) != question(space) else []
    changed += ["data"] if state.identity.data != opened.identity.data else []
    if changed:
        raise UserError(
            f"the run {run!r} exists and was made with another {' and another '.join(changed)}",
            details="its trials and these could not be compared",
            fix="give this launch another --name",
            kind=Kind.REFUSED,
        )


def stage_keys(
    plan: Plan, state: RunState, paths: RunPaths, methods: Mapping[str, Any], target_digests: Mapping[str, str]
) -> dict[str, str]:
    """Key -> key by the present code, of stages that unfinished trials need, that are not there, and whose key says
    that other code makes them."""
    made, codes = cache(lambda key: is_made(paths.stage(key))), Codes()
    keys: dict[str, str] = {}
    for trial in state.trials.values():
        if trial.state not in DONE:
            there = {unit: key for unit, key in trial.stages.items() if made(key)}
            stages = stages_of(methods[trial.id], plan.targets, target_digests, codes, there)
            keys |= {trial.stages[str(stage.unit)]: stage.key for stage in stages}
    return {old: new for old, new in keys.items() if old != new}


def accept(ledger: Ledger, after: Identity, keys: Mapping[str, str]) -> None:
    """Note that the run goes on with other code. Nothing is noted twice; but a stage of code that was accepted before
    may have been lost since, and is then made under a key of its own."""
    before = ledger.state.identity
    if keys or not before.same_code(after):
        modules, packages = tuple(changed_modules(before, after)), tuple(changed_packages(before, after))
        ledger.append(CodeAccepted(before, after, modules, packages, dict(keys)))


def trials_of(state: RunState, methods: Mapping[str, Any]) -> Iterator[TrialPlan]:
    """The trials as the ledger has them: their ids, their stages, and every value that their numbers depend on; other
    keys are as the launch has them."""
    for trial in state.trials.values():
        config = methods[trial.id].config
        counting = {key: value for key, value in trial.config.items() if key in trial_config(config)}
        yield TrialPlan(trial.id, trial.point, plain(asdict(config)) | counting, trial.stages)
