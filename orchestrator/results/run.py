"""From a run's ledger and score files to its winner, its tables and its report."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from orchestrator.planning.request import absolute
from orchestrator.record.events import CodeAccepted, RungMetrics
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import open_run
from orchestrator.record.state import RunState, State, TrialState
from orchestrator.results.evaluation import baseline_numbers, read_table, remade
from orchestrator.results.report.write import PAGE, REMADE, Report
from orchestrator.results.sweep import Course, Repeated, Sweep
from orchestrator.results.tables import (
    KINDS,
    Known,
    Measured,
    Table,
    completed,
    finished,
    label_free,
    main_table,
    trial_row,
)
from tune_spaces.published import schedule_of, tables_of
from tune_spaces.schema import Space
from workloads.analyses import analyses_of
from workloads.errors import Kind, UserError
from workloads.files import is_whole, read_checked
from workloads.registry import method
from workloads.scoring.effects import effects_of
from workloads.scoring.intervals import Interval
from workloads.scoring.metrics import contests
from workloads.scoring.selection import CRITERIA
from workloads.scoring.table import WHOLE, group_size
from workloads.units import GENERAL


@dataclass(frozen=True)
class Results:
    """What a finished run shows."""

    best: TrialState
    table: Table
    warnings: list[str]
    report: Any  # path of report.html
    out: Mapping[str, Known] = field(default_factory=dict)  # mean by out set
    unscored_sets: frozenset[str] = frozenset()  # of which some images could not be scored
    failed: Mapping[str, str] = field(default_factory=dict)  # trial -> what went wrong
    repeated: Sequence[Repeated] = ()  # points that were trained with several seeds


def sure_winner(state: RunState) -> TrialState:
    """The run's. Raises UserError where no trial reached the end, with what went wrong, or none can be compared."""
    best = state.winner
    if best is None and any(trial.state == State.FINISHED for trial in state.trials.values()):
        headline = f"no trial can be chosen: {CRITERIA[state.space.select_by].title} is undefined for all"
        raise UserError(headline, fix="see failed_scores of the trials; launch with another --select-by")
    if best is None:
        errors = {t.error for t in state.trials.values() if t.error}
        raise UserError("no trial reached the end of its schedule", details="\n".join(sorted(errors)), kind=Kind.FAILED)
    return best


def method_of(state: RunState, trial: TrialState) -> Any:
    """The run's method at a trial's point."""
    return method(state.space.workload)(state.space.config(trial.point))


def warnings_of(state: RunState, best: TrialState, instance: Any) -> list[str]:
    """What a reader must know: of the winner's method, of the images, and of what failed or did not learn."""
    failures = [f"the analysis {key} failed: {event.error}" for key, event in state.analyses.items() if event.error]
    not_scored = [
        f"{count} images or groups of {target} could not be scored: ranked above all scores, so an anomaly among them "
        "counts as found and a normal one as a false alarm"
        for target, count in best.last.failed.items()
    ]
    not_learned = [
        f"{part} of class {target} has not learned: its own fakes against held-out normal images give AUROC {value:.2f}"
        for target, part, value in best.last.not_learned
    ]
    known = [*instance.remarks(), *auxiliary_remarks(state.space, instance), *state.opened.remarks]
    remarks = [*known, *map(accepted_remark, state.accepted)]
    return [*remarks, *failures, *not_scored, *not_learned]


def accepted_remark(event: CodeAccepted) -> str:
    """That a run went on with other code, since when, and what differs."""
    stages = f"; stages made since lie under {len(event.stage_keys)} new keys" if event.stage_keys else ""
    differs = ", ".join([*event.modules, *event.packages]) or "as accepted before"
    return f"the run went on with other code on {event.time[:16].replace('T', ' ')} UTC ({differs}){stages}"


def auxiliary_remarks(space: Space, instance: Any) -> list[str]:
    """What an auxiliary set other than the published one means for the numbers."""
    sources = [source.name for source in space.data.auxiliary]
    if sources == ["tiny_images"] or not any(unit.target == GENERAL for unit in instance.stages(())):
        return []
    unless = ", unless it is the paper's choice of them" if sources == ["prepared"] else ""
    remark = f"auxiliary images are of {', '.join(sources)}, and not the published 80 Million Tiny Images{unless}"
    return [f"{remark}: no number here compares with the paper's"]


def measured(state: RunState, trial: TrialState, instance: Any) -> Measured:
    """A trial's numbers at the end of its schedule, with what they are called. instance: its method."""
    opened, data = state.opened, state.space.data
    mark = f" ({instance.external})" if instance.external else ""
    return Measured(
        trial.rungs[1000],
        opened.dataset,
        opened.targets,
        data.out,
        data.protocol == "in_out",
        f"{instance.name.upper()}{mark}",
        KINDS[opened.schedule],
        (instance.judged_parts() or (WHOLE,))[0],
        f"trial {trial.id}, seed {getattr(instance.config, 'seed', 0)}",
        leak=state.leak,
    )


def table_of(paths: RunPaths, state: RunState, best: TrialState) -> Table:
    """The winner's, with the baselines and what is published. Its notes say which baselines are left out, and why."""
    instance = method_of(state, best)
    schedule = schedule_of(state.space, instance.config, state.opened.schedule)
    run = measured(state, best, instance).labelled(schedule)
    baselines, remarks = baseline_numbers(paths, state.identity, pooled=run.pooled, group=group_size(run.judged))
    table = main_table(run, baselines, tables_of(run.dataset))
    return replace(table, notes=(*table.notes, *remarks))


def facts_of(state: RunState) -> dict[str, str]:
    """What heads the report."""
    opened, side = state.opened, state.space.data.side
    states = Counter(trial.state for trial in state.trials.values())
    provenance = opened.provenance
    return {
        "dataset": f"{opened.dataset} at {side}x{side}, digest {opened.identity.data[:12]}",
        "images": ", ".join(f"{count} {split}" for split, count in opened.counts.items()),
        "preset": opened.preset,
        "seed": ", ".join(state.seeds),
        "trials": f"{len(state.trials)} ({', '.join(f'{count} {name}' for name, count in states.items())})",
        "hardware": provenance.hardware,
        "code": f"{provenance.git_commit or 'no checkout'}, workload digest {opened.identity.code}",
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.versions.items()),
        "command": provenance.command,
    }


class NetworkCost(NamedTuple):
    """Seconds that the networks of one kind took, beside what was planned."""

    trained: int
    mean_seconds: float
    planned_seconds: float | None


def network_costs(state: RunState, best: TrialState) -> dict[str, NetworkCost]:
    """The cost of each kind of network ("detector/level_4") that this run trained for its winner, in the plan's order.

    Stages that an earlier run has left cost this one nothing and do not appear.
    """
    stages = [state.stages[key] for key in best.stages.values() if key in state.stages]
    seconds = {stage.unit: stage.seconds for stage in stages if not stage.reused} | best.last.seconds
    kinds: dict[str, list[float]] = {}
    for unit, spent in seconds.items():
        kind, _, part = unit.split("/")
        kinds.setdefault(f"{kind}/{part}", []).append(spent)
    planned = state.opened.costs
    return {
        kind: NetworkCost(len(kinds[kind]), sum(kinds[kind]) / len(kinds[kind]), planned[kind])
        for kind in planned
        if kind in kinds
    }


Findings = dict[str, dict[str, dict[str, Any]]]
"""analysis -> target -> {numbers, pictures}"""


def read_findings(paths: RunPaths, state: RunState, best: TrialState) -> tuple[Findings, list[str]]:
    """Findings of the run's present winner alone; and sentences on what of them is damaged, which is left out."""
    findings, remarks = Findings(), list[str]()
    for event in state.analyses.values():
        if event.trial != best.id:
            continue
        path = paths.analysis(event.name, event.target)
        try:
            finding = json.loads(read_checked(path, REMADE, vouched=paths.vouched))
        except (OSError, ValueError) as error:
            remarks.append(left_out(f"the analysis {event.name} of {event.target}", path, error))
            continue
        for stem, name in list(finding["pictures"].items()):
            picture = path.parent / name
            if picture.exists() and not is_whole(picture, vouched=paths.vouched):
                remarks.append(left_out(f"a picture of {event.name}", picture, "it is damaged"))
                del finding["pictures"][stem]
        findings.setdefault(event.name, {})[event.target] = finding
    return findings, remarks


def left_out(what: str, path: Any, error: object) -> str:
    """That a report has to do without something."""
    reason = error.headline if isinstance(error, UserError) else error
    return f"{what} is left out: {reason} ({path}); {REMADE}"


def sweep_of(state: RunState, best: str) -> Sweep | None:
    """What the trials tell; None where nothing varies."""
    courses, axes = courses_of(state), tuple(state.varying)
    if not axes:
        return None
    rung = min(max(item.rungs) for item in courses if item.rungs and item.state != State.FAILED)
    at_rung = [(item, item.rungs[rung][0]) for item in courses if rung in item.rungs]
    known = [(item, value) for item, value in at_rung if value is not None]
    points, values = [item.point for item, _ in known], np.array([value for _, value in known])
    effects, fit = effects_of(points, values, axes) if len(known) > 1 else ([], None)
    criterion = CRITERIA[state.space.select_by]
    higher = criterion.mode == "max"
    return Sweep(courses, axes, criterion.title, best, higher, rung, tuple(effects), fit, state.leak)


def courses_of(state: RunState) -> tuple[Course, ...]:
    """Every trial's, in the plan's order."""
    metric = CRITERIA[state.space.select_by].metric
    return tuple(
        Course(
            trial.id,
            trial.point,
            trial.state,
            {rung: values_of(numbers, metric) for rung, numbers in sorted(trial.rungs.items())},
            trial.last.train_seconds if trial.rungs else 0.0,
            interval_of_mean(trial.last) if trial.rungs else None,
        )
        for trial in state.trials.values()
    )


def values_of(metrics: RungMetrics, metric: str) -> tuple[float | None, float | None]:
    """Criterion and mean test AUROC of a rung."""
    return metrics.numbers.get(metric), metrics.numbers.get(CRITERIA["oracle"].metric)


def interval_of_mean(metrics: RungMetrics) -> Interval | None:
    """Of the mean test AUROC: over the classes, or the out sets where a whole dataset is normal."""
    means = (metrics.intervals.get(name) for name in ("auroc/mean", "auroc_out/mean"))
    return next((interval for interval in means if interval is not None), None)


def write_report(run: str, storage: str) -> Results:
    """Write the report of a run of a storage again. Raises UserError where there is no such run, and as `conclude`."""
    return conclude(*open_run(absolute(storage), run))


def conclude(paths: RunPaths, state: RunState, methods: Mapping[str, Any] | None = None) -> Results:
    """Pick the winner and write the report. methods: of the trials, by their ids, where whoever asks has them. Raises
    UserError where no trial reached the end."""
    best, ended = sure_winner(state), [trial for trial in state.trials.values() if 1000 in trial.rungs]
    methods = methods or {trial.id: method_of(state, trial) for trial in ended}
    opened, instance = state.opened, methods[best.id]
    runs = {trial.id: measured(state, trial, methods[trial.id]) for trial in ended}
    facts, warnings = facts_of(state), warnings_of(state, best, instance)
    costs, sweep = network_costs(state, best), sweep_of(state, best.id)
    findings, lacking = read_findings(paths, state, best)
    schedule, papers = schedule_of(state.space, instance.config, opened.schedule), tables_of(opened.dataset)
    file = paths.trial(best.id).scores(1000)
    scores, judged = read_table(file, vouched=paths.vouched), runs[best.id]
    group = group_size(judged.judged)
    baselines, remarks = baseline_numbers(paths, state.identity, pooled=judged.pooled, group=group)
    warnings += [*remarks, *lacking, *remade(file)]
    run = completed(runs[best.id].labelled(schedule), scores)
    trials = {trial.id: trial_row(trial, instance, runs.get(trial.id)) for trial in state.trials.values()}
    by = state.space.select_by if len(trials) > 1 else "given"
    numbers = ("trial", "params", *label_free(instance), "auroc")
    shown = finished(run, baselines, papers, opened.counts, lambda part: contests(scores, part))
    report = Report(
        title=f"{opened.name}: {run.name} on {opened.dataset}",
        facts=facts | {"schedule": schedule.text},
        shown=shown,
        trials=list(trials.values()),
        warnings=warnings,
        selection={"select_by": by} | {name: trials[best.id][name] for name in numbers},
        schedule=schedule,
        costs=costs,
        findings=findings,
        about={name: analysis.title for name, analysis in analyses_of(instance).items()},
        part_kind=instance.part_names.kind,
        account=opened.account,
        sweep=sweep,
    ).write(paths.report)
    repeated = sweep.repeated if sweep else ()
    failed = {trial.id: trial.error for trial in state.trials.values() if trial.state == State.FAILED}
    return Results(
        best, shown.table, warnings, report.with_name(PAGE), shown.means, shown.unscored_sets, failed, repeated
    )
