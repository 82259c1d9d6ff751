"""From a run's ledger and score files to its winner, its tables and its report."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pyarrow as pa

from orchestrator.planning.request import absolute
from orchestrator.record.events import CodeAccepted
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import open_run
from orchestrator.record.state import RunState, State, TrialState
from orchestrator.results.evaluation import baseline_numbers, read_table
from orchestrator.results.report.write import PAGE, REMADE, Report
from orchestrator.results.tables import KINDS, Known, Measured, Table, class_table, finished, set_table
from tune_spaces.published.schedules import Schedule, schedule_of
from tune_spaces.schema import Space
from workloads.errors import Kind, UserError
from workloads.files import read_checked
from workloads.registry import method
from workloads.scoring.image_metrics import image_numbers
from workloads.scoring.metrics import contests, unscored, whole_intervals
from workloads.scoring.selection import CRITERIA
from workloads.scoring.table import WHOLE
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


def winner(state: RunState) -> TrialState | None:
    """The best trial that reached the end, by the run's own criterion; the earlier in the plan where two are equal."""
    criterion = CRITERIA[state.space.select_by]
    ended = [(t, t.metric(criterion.metric)) for t in state.trials.values() if t.state == State.FINISHED]
    if ended and len(state.trials) == 1:
        return ended[0][0]  # there was nothing to choose: the criterion may be undefined
    known = [(criterion.better_first(value), t) for t, value in ended if value is not None]
    return min(known, key=lambda item: item[0])[1] if known else None


def sure_winner(state: RunState) -> TrialState:
    """`winner`. Raises UserError where no trial reached the end, with what went wrong, or none can be compared."""
    best = winner(state)
    if best is None and any(trial.state == State.FINISHED for trial in state.trials.values()):
        headline = f"no trial can be chosen: {CRITERIA[state.space.select_by].title} is undefined for all"
        raise UserError(headline, fix="see failed_scores of the trials; launch with another --select-by")
    if best is None:
        errors = {t.error for t in state.trials.values() if t.error}
        raise UserError("no trial reached the end of its schedule", details="\n".join(sorted(errors)), kind=Kind.FAILED)
    return best


def warnings_of(state: RunState, best: TrialState) -> list[str]:
    """What a reader must know: of the winner's config, of the images, and of what failed or did not learn."""
    instance = method(state.space.workload)(state.space.config(best.point))
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


def measured(state: RunState, trial: TrialState, config: Any) -> Measured:
    """A trial's numbers at the end of its schedule, with what they are called. config: its own."""
    opened, data, instance = state.opened, state.space.data, method(state.space.workload)(config)
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
        f"trial {trial.id}, seed {getattr(config, 'seed', 0)}",
        leak=CRITERIA[state.space.select_by].leak,
    )


def labelled(run: Measured, schedule: Schedule) -> Measured:
    """The winner's numbers under the label of its schedule, and why it is a custom one."""
    why = f"; {schedule.text}" if schedule.label == "custom" else ""
    return replace(run, kind=KINDS[schedule.label], note=run.note + why)


def completed(run: Measured, scores: pa.Table) -> Measured:
    """The winner's numbers with what runs of earlier versions lack, from its score table."""
    metrics = run.metrics
    if not metrics.intervals:
        intervals = whole_intervals(scores, pooled=run.pooled)
        metrics = replace(metrics, intervals=intervals, unscored=unscored(scores))
    if "average_precision/mean" not in metrics.numbers:
        metrics = replace(metrics, numbers=image_numbers(scores, pooled=run.pooled) | metrics.numbers)
    return replace(run, metrics=metrics)


def main_table(paths: RunPaths, state: RunState, best: TrialState) -> Table:
    """The winner's: methods by class, or where a whole dataset is normal its scores by out set."""
    config, identity = state.space.config(best.point), state.identity
    run = labelled(measured(state, best, config), schedule_of(state.space, config, state.opened.schedule))
    baselines = baseline_numbers(paths, identity.data, identity.baselines_code, pooled=run.pooled)
    return set_table(run, baselines) if run.pooled else class_table(run, baselines)


def facts_of(state: RunState) -> dict[str, str]:
    """What heads the report."""
    opened, side = state.opened, state.space.data.side
    states = Counter(trial.state for trial in state.trials.values())
    provenance = opened.provenance
    return {
        "dataset": f"{opened.dataset} at {side}x{side}, digest {opened.identity.data[:12]}",
        "images": ", ".join(f"{count} {split}" for split, count in opened.counts.items()),
        "preset": opened.preset,
        "seed": str(state.space.fixed.get("seed", 0)),
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


def label_free(trial: TrialState, method_type: Any) -> dict[str, float | None]:
    """A trial by every criterion of its method that needs no test label."""
    numbers = trial.last.numbers if trial.rungs else {}
    return {name: numbers.get(CRITERIA[name].metric) for name in method_type.selections if not CRITERIA[name].leak}


def read_findings(paths: RunPaths, state: RunState, best: TrialState) -> dict[str, dict[str, dict[str, Any]]]:
    """analysis -> target -> {numbers, pictures}, of the run's present winner alone."""
    findings: dict[str, dict[str, dict[str, Any]]] = {}
    for event in state.analyses.values():
        if event.trial == best.id:
            path = paths.analysis(event.name, event.target)
            findings.setdefault(event.name, {})[event.target] = json.loads(read_checked(path, REMADE))
    return findings


def trial_row(trial: TrialState, method_type: Any, run: Measured | None) -> dict[str, Any]:
    """A trial as the report lists it; by column and part only at the end of its schedule, where it has a `run`."""
    criteria = label_free(trial, method_type)
    alone = {part: run.average(part) for part in run.parts if part != WHOLE} if run else {}
    return {
        "trial": trial.id,
        "params": trial.point,
        **criteria,
        "auroc": trial.last.numbers.get("oracle") if trial.rungs else None,
        "levels": {part: value for part, value in alone.items() if value is not None},
        "state": str(trial.state),
        "schedule": f"{trial.reached / 10:g} %",
        "classes": run.values(WHOLE) if run else {},
    }


def selection_of(state: RunState, best: TrialState, method_type: Any) -> dict[str, Any]:
    """How the winner was chosen, and its numbers."""
    return {
        "select_by": state.space.select_by if len(state.trials) > 1 else "given",
        "trial": best.id,
        "params": best.point,
        **label_free(best, method_type),
        "auroc": best.last.numbers.get("oracle"),
    }


def write_report(run: str, storage: str) -> Results:
    """Write the report of a run of a storage again. Raises UserError where there is no such run, and as `conclude`."""
    return conclude(*open_run(absolute(storage), run))


def conclude(paths: RunPaths, state: RunState) -> Results:
    """Pick the winner and write the report. Raises UserError where no trial reached the end."""
    best, opened, method_type = sure_winner(state), state.opened, method(state.space.workload)
    selection, costs, warnings = (
        selection_of(state, best, method_type),
        network_costs(state, best),
        warnings_of(state, best),
    )
    facts, findings = facts_of(state), read_findings(paths, state, best)
    config = state.space.config(best.point)
    schedule = schedule_of(state.space, config, opened.schedule)
    scores = read_table(paths.trial(best.id).scores(1000))
    runs = {
        trial.id: measured(state, trial, state.space.config(trial.point))
        for trial in state.trials.values()
        if 1000 in trial.rungs
    }
    run = completed(labelled(runs[best.id], schedule), scores)
    code = state.identity.baselines_code
    baselines = baseline_numbers(paths, opened.identity.data, code, pooled=run.pooled)
    trials = [trial_row(trial, method_type, runs.get(trial.id)) for trial in state.trials.values()]
    shown = finished(run, baselines, opened.counts, lambda part: contests(scores, part))
    report = Report(
        title=f"{opened.name}: {run.name} on {opened.dataset}",
        facts=facts | {"schedule": schedule.text},
        shown=shown,
        trials=trials,
        warnings=warnings,
        selection=selection,
        schedule=schedule,
        costs=costs,
        findings=findings,
        about={name: analysis.title for name, analysis in method_type.analyses.items()},
        part_kind=method_type.part_names.kind,
        account=opened.account,
    ).write(paths.report)
    return Results(best, shown.table, warnings, report.with_name(PAGE), shown.means, shown.unscored_sets)
