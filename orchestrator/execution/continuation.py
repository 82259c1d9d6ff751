"""Going on with a run: whether a launch may, with which ids and stages, and what the ledger says where code differs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache

from orchestrator.execution.work.stage import is_made
from orchestrator.planning.identity import code_of, plain, trial_config
from orchestrator.planning.plan import Plan, TrialPlan, question, stages_of
from orchestrator.record.events import CodeAccepted, Identity, Opened
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import DONE, RunState
from tune_spaces.schema import Space
from workloads.errors import Kind, UserError

LISTED = 8  # differences in a message


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


def check_same_code(before: Identity, after: Identity, run: str, accept_code: bool) -> None:
    """Raises UserError, which names modules and packages, where code differs and is not accepted."""
    if accept_code or before.same_code(after):
        return
    listed = [*changed_modules(before, after), *changed_packages(before, after)]
    more = f", and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    raise UserError(
        f"the run {run!r} was made with other code",
        details=f"what differs: {', '.join(listed[:LISTED])}{more}",
        fix=f"`resume {run} --accept-code` goes on with the code of today, which the report will say; "
        "or launch it under another --name",
        kind=Kind.REFUSED,
    )


def changed_modules(before: Identity, after: Identity) -> list[str]:
    """Names of the modules that differ, and what happened to those that only one of the two has."""
    if before.code != after.code and not before.modules:
        return ["all modules: an earlier version kept one digest of them"]
    names = sorted(before.modules.keys() | after.modules.keys())
    changed = [name for name in names if before.modules.get(name) != after.modules.get(name)]
    notes = {name: " (new)" for name in changed if name not in before.modules}
    notes |= {name: " (gone)" for name in changed if name not in after.modules}
    baselines = [] if before.baselines_code == after.baselines_code else ["the baselines' code"]
    return [*(f"{name}{notes.get(name, '')}" for name in changed), *baselines]


def changed_packages(before: Identity, after: Identity) -> list[str]:
    """The packages whose versions differ, with both; none of a run that did not keep them."""
    names = sorted(before.packages.keys() | after.packages.keys()) if before.packages else []
    pairs = {name: (before.packages.get(name, "none"), after.packages.get(name, "none")) for name in names}
    return [f"{name} {old} -> {new}" for name, (old, new) in pairs.items() if old != new]


def stage_keys(plan: Plan, state: RunState, paths: RunPaths, target_digests: Mapping[str, str]) -> dict[str, str]:
    """Key -> key by the present code, of stages that unfinished trials need, that are not there, and whose key says
    that other code makes them."""
    made, code = cache(lambda key: is_made(paths.stage(key))), cache(code_of)
    keys: dict[str, str] = {}
    for trial in state.trials.values():
        if trial.state not in DONE:
            there = {unit: key for unit, key in trial.stages.items() if made(key)}
            stages = stages_of(plan.method(trial.point), plan.targets, target_digests, code, there)
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
