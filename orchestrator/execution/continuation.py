"""Going on with a run: whether a launch may, with which ids and stages, and what the ledger says where code differs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache

from orchestrator.execution.checks import changed_modules, changed_packages, check_same_code
from orchestrator.execution.work.stage import is_made
from orchestrator.planning.code_digest import Codes, plain
from orchestrator.planning.identity import Identity, TrialPlan, question, stages_of, trial_config
from orchestrator.planning.plan import Plan
from orchestrator.record.events import CodeAccepted, Opened
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import DONE, RunState
from tune_spaces.schema import Space
from workloads.errors import Kind, UserError


def open_ledger(
    paths: RunPaths, opened: Opened, plan: Plan, target_digests: Mapping[str, str], accept_code: bool
) -> Ledger:
    """The run's ledger, opened if it is new; else what is there goes on, with the ids it has.

    Raises UserError where the run on disk asks another question, and where its code differs and is not accepted.
    """
    ledger = Ledger(paths)
    state = ledger.state
    if state.opening is None:
        ledger.append(opened)
        return ledger
    check_same_question(state, opened, plan.space, paths.run)
    if state.accepted or not state.identity.same_code(opened.identity):
        check_same_code(state.identity, opened.identity, paths.run, accept_code)
        accept(ledger, opened.identity, stage_keys(plan, state, paths, target_digests))
    return ledger


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


def stage_keys(plan: Plan, state: RunState, paths: RunPaths, target_digests: Mapping[str, str]) -> dict[str, str]:
    """Key -> key by the present code, of stages that unfinished trials need, that are not there, and whose key says
    that other code makes them."""
    made, codes = cache(lambda key: is_made(paths.stage(key))), Codes()
    keys: dict[str, str] = {}
    for trial in state.trials.values():
        if trial.state not in DONE:
            there = {unit: key for unit, key in trial.stages.items() if made(key)}
            stages = stages_of(plan.method(trial.point), plan.targets, target_digests, codes, there)
            keys |= {trial.stages[str(stage.unit)]: stage.key for stage in stages}
    return {old: new for old, new in keys.items() if old != new}


def accept(ledger: Ledger, after: Identity, keys: Mapping[str, str]) -> None:
    """Note that the run goes on with other code. Nothing is noted twice; but a stage of code that was accepted before
    may have been lost since, and is then made under a key of its own."""
    before = ledger.state.identity
    if keys or not before.same_code(after):
        modules, packages = tuple(changed_modules(before, after)), tuple(changed_packages(before, after))
        ledger.append(CodeAccepted(before, after, modules, packages, dict(keys)))


def trials_of(plan: Plan, state: RunState) -> Iterator[TrialPlan]:
    """The trials as the ledger has them: their ids, their stages, and every value that their numbers depend on; other
    keys are as the launch has them."""
    for trial in state.trials.values():
        config = plan.space.config(trial.point)
        counting = {key: value for key, value in trial.config.items() if key in trial_config(config)}
        yield TrialPlan(trial.id, trial.point, plain(asdict(config)) | counting, trial.stages)
