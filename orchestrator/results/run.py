"""From a run's ledger and score files to its winner, its tables and its report."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from orchestrator.record.events import CodeAccepted
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import RunState, State, TrialState
from orchestrator.results.evaluation import baseline_numbers, read_table
from orchestrator.results.report.write import PAGE, REMADE, Report
from orchestrator.results.tables import (
    KINDS,
    Interval,
    Measured,
    Table,
    class_table,
    out_table,
    set_means,
    set_table,
)
from tune_spaces.published.schedules import differences, our_choices
from tune_spaces.schema import Space
from workloads.errors import Kind, UserError
from workloads.files import read_checked
from workloads.registry import method
from workloads.scoring.metrics import Rows, contests, mean, whole_intervals
from workloads.scoring.selection import CRITERIA
from workloads.scoring.table import WHOLE, group_size
from workloads.units import GENERAL

SHOWN = 3
"""Causes that stand beside the label of a schedule; the report lists all."""


@dataclass(frozen=True)
class Results:
    """What a finished run shows."""

    best: TrialState
    table: Table
    warnings: list[str]
    report: Any  # path of report.html
    out: Mapping[str, tuple[float | None, Interval | None]] = field(default_factory=dict)  # mean by out set


def winner(state: RunState) -> TrialState | None:
    """The best trial that reached the end, by the run's own criterion; the earlier in the plan where two are equal."""
    criterion = CRITERIA[state.space.select_by]
    ended = [(t, t.metric(criterion.metric)) for t in state.trials.values() if t.state == State.FINISHED]
    if ended and len(state.trials) == 1:
        return ended[0][0]  # there was nothing to choose: the criterion may be undefined
    known = [(criterion.better_first(value), t) for t, value in ended if value is not None]
    return min(known, key=lambda item: item[0])[1] if known else None


def sure_winner(state: RunState) -> TrialState:
    """`winner`. Raises UserError where no trial reached the end, with what went wrong."""
    best = winner(state)
    if best is None:
        errors = {t.error for t in state.trials.values() if t.error}
        raise UserError("no trial reached the end of its schedule", details="\n".join(sorted(errors)), kind=Kind.FAILED)
    return best


def warnings_of(state: RunState, best: TrialState) -> list[str]:
    """What a reader must know: of the winner's config, of the images, and of what failed or did not learn."""
    instance = method(state.space.workload)(state.space.config(best.point))
    failures = [f"the analysis {key} failed: {event.error}" for key, event in state.analyses.items() if event.error]
    unscored = [
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
    return [*remarks, *failures, *unscored, *not_learned]


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


def schedule_of(state: RunState, unlike_paper: Sequence[str]) -> tuple[str, str]:
    """(label of the winner's schedule, a key of `KINDS`; the label and why it is not the paper's, in a line).

    unlike_paper: `differences` of the winner's config. The launch could only say whether some point keeps the paper's.
    """
    label = state.opened.schedule
    if label == "paper" and not unlike_paper:
        return label, "the paper's, as far as it is stated"
    label = "custom" if label == "paper" else label
    more = len(unlike_paper) - SHOWN
    rest = [f"and {more} more, see Schedule"] if more > 0 else []
    return label, f"{label}, not the paper's: {'; '.join([*unlike_paper[:SHOWN], *rest])}"


def measured(state: RunState, trial: TrialState, config: Any, label: str = "", note: str = "") -> Measured:
    """A trial's numbers at the end of its schedule, with what they are called. config: its own."""
    opened, data, chosen = state.opened, state.space.data, method(state.space.workload)
    return Measured(
        trial.rungs[1000],
        opened.dataset,
        opened.targets,
        data.out,
        data.protocol == "in_out",
        chosen.name.upper(),
        KINDS[label or opened.schedule],
        (chosen(config).judged_parts() or (WHOLE,))[0],
        note,
        leak=CRITERIA[state.space.select_by].leak,
    )


def judged(state: RunState, best: TrialState) -> Measured:
    """The winner's numbers, with the label of its schedule and why it is custom."""
    config = state.space.config(best.point)
    unlike_paper = differences(state.space, config)
    label, why = schedule_of(state, unlike_paper)
    note = f"trial {best.id}, seed {getattr(config, 'seed', 0)}" + (f"; {why}" if label == "custom" else "")
    return measured(state, best, config, label, note)


def main_table(paths: RunPaths, state: RunState, run: Measured) -> Table:
    """Methods by class, or where a whole dataset is normal the winner's scores by out set."""
    if run.pooled:
        return set_table(run)
    identity = state.identity
    return class_table(run, baseline_numbers(paths, identity.data, identity.baselines_code))


def facts_of(state: RunState, schedule: str) -> dict[str, str]:
    """What heads the report."""
    opened, side = state.opened, state.space.data.side
    states = Counter(trial.state for trial in state.trials.values())
    provenance = opened.provenance
    return {
        "dataset": f"{opened.dataset} at {side}x{side}, digest {opened.identity.data[:12]}",
        "images": ", ".join(f"{count} {split}" for split, count in opened.counts.items()),
        "preset": opened.preset,
        "schedule": schedule,
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
    return {name: trial.metric(CRITERIA[name].metric) for name in method_type.selections if not CRITERIA[name].leak}


def read_findings(paths: RunPaths, state: RunState, best: TrialState) -> dict[str, dict[str, dict[str, Any]]]:
    """analysis -> target -> {numbers, pictures}, of the run's present winner alone."""
    findings: dict[str, dict[str, dict[str, Any]]] = {}
    for event in state.analyses.values():
        if event.trial == best.id:
            path = paths.analysis(event.name, event.target)
            findings.setdefault(event.name, {})[event.target] = json.loads(read_checked(path, REMADE))
    return findings


def trial_row(trial: TrialState, state: RunState, method_type: Any) -> dict[str, Any]:
    """A trial as the report lists it; by column and part only at the end of its schedule."""
    row = {
        "trial": trial.id,
        "params": trial.point,
        **label_free(trial, method_type),
        "auroc": trial.metric("oracle"),
        "classes": {},
        "levels": {},
        "state": str(trial.state),
        "schedule": f"{trial.reached / 10:g} %",
    }
    if 1000 not in trial.rungs:
        return row
    run = measured(state, trial, state.space.config(trial.point))
    alone = {part: mean(values.values()) for part, values in run.metrics.levels.items()}
    return row | {
        "classes": {column.heading: column.of(run.metrics, WHOLE) for column in run.columns},
        "levels": {part: value for part, value in alone.items() if value is not None},
    }


def selection_of(state: RunState, best: TrialState, method_type: Any) -> dict[str, Any]:
    """How the winner was chosen, and its numbers."""
    return {
        "select_by": state.space.select_by if len(state.trials) > 1 else "given",
        "trial": best.id,
        "params": best.point,
        **label_free(best, method_type),
        "auroc": best.metric("oracle"),
    }


def conclude(paths: RunPaths, state: RunState) -> Results:
    """Pick the winner and write the report. Raises UserError where no trial reached the end."""
    best, opened = sure_winner(state), state.opened
    method_type, config = method(state.space.workload), state.space.config(best.point)
    unlike_paper = differences(state.space, config)
    scores = read_table(paths.trial(best.id).scores(1000))
    run = judged(state, best)
    if not run.metrics.intervals:  # of a run of an earlier version
        run = replace(run, metrics=replace(run.metrics, intervals=whole_intervals(scores)))
    table, warnings = main_table(paths, state, run), warnings_of(state, best)
    means = set_means(run) if run.out and not run.pooled else {}
    report = Report(
        title=f"{opened.name}: {run.name} on {opened.dataset}",
        facts=facts_of(state, schedule_of(state, unlike_paper)[1]),
        table=table,
        trials=[trial_row(trial, state, method_type) for trial in state.trials.values()],
        levels={} if run.pooled else by_part(run),
        warnings=warnings,
        contests=by_column(run, contests(scores)),
        groups={part: by_column(run, contests(scores, part)) for part in run.parts if group_size(part)},
        intervals=known_intervals(run, table),
        selection=selection_of(state, best, method_type),
        costs=network_costs(state, best),
        findings=read_findings(paths, state, best),
        about={name: analysis.title for name, analysis in method_type.analyses.items()},
        out=out_table(run, opened.counts),
        out_means=means,
        part_kind=method_type.part_names.kind,
        unlike_paper=unlike_paper,
        our_choices=our_choices(state.space.workload, config),
    ).write(paths.report)
    return Results(best, table, warnings, report.with_name(PAGE), means)


def by_column(run: Measured, rows: Mapping[str, Rows]) -> dict[str, Rows]:
    """Column of the main table -> what its AUROC is over. rows: by the number's name."""
    return {column.heading: rows[column.number] for column in run.columns if column.number in rows}


def by_part(run: Measured) -> dict[str, dict[str, float | None]]:
    """Part -> column of the main table -> AUROC."""
    return {part: {column.heading: column.of(run.metrics, part) for column in run.columns} for part in run.parts}


def known_intervals(run: Measured, table: Table) -> dict[str, tuple[float | None, Interval | None]]:
    """AUROC and interval of every column of the main table, and of its mean."""
    numbers, intervals = run.metrics.numbers, run.metrics.intervals
    known = {column.heading: (numbers.get(column.number), intervals.get(column.number)) for column in run.columns}
    whole = next(row for row in table.rows if row.kind == run.kind and (row.name == WHOLE or not run.pooled))
    return known | {"mean": (whole.mean, whole.interval)}
