"""From a run's ledger and score files to its winner, its table and its report."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from orchestrator.record.events import CodeAccepted
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import RunState, State, TrialState
from orchestrator.results.baselines import measured
from orchestrator.results.evaluation import read_table
from orchestrator.results.report.out import against_sets, heading, out_table, sets_table
from orchestrator.results.report.tables import Row, Table, with_published
from orchestrator.results.report.write import PAGE, REMADE, Report
from tune_spaces import published
from tune_spaces.schema import Space
from workloads.errors import Kind, UserError
from workloads.files import read_checked
from workloads.registry import method
from workloads.scoring.baselines import LARGEST
from workloads.scoring.metrics import mean, per_part_auroc
from workloads.scoring.selection import CRITERIA
from workloads.scoring.table import group_size
from workloads.units import GENERAL

KINDS = {
    "paper": "measured (paper schedule)",
    "reduced": "measured (reduced preset)",
    "smoke": "measured (smoke preset)",
    "custom": "measured (custom schedule)",
}
BASELINE_NOTE = f"scikit-learn, on pixels; images above {LARGEST}x{LARGEST} shrunk to that"


@dataclass(frozen=True)
class Results:
    """What a finished run shows."""

    best: TrialState
    table: Table
    warnings: list[str]
    report: Any  # path of report.html
    out: Table | None  # against the out sets, where the space names some


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


def method_of(state: RunState, trial: TrialState) -> Any:
    return method(state.space.workload)(state.space.config(trial.point))


def warnings_of(state: RunState, best: TrialState) -> list[str]:
    """What the method says of the winner's config, and parts that cannot tell normal images from their own fakes."""
    instance = method_of(state, best)
    failures = [f"the analysis {key} failed: {event.error}" for key, event in state.analyses.items() if event.error]
    unscored = [
        f"{count} images of {target} could not be scored: taken as the most anomalous"
        for target, count in best.last.failed.items()
    ]
    not_learned = [
        f"{part} of class {target} has not learned: its own fakes against held-out normal images give AUROC {value:.2f}"
        for target, part, value in best.last.not_learned
    ]
    remarks = [*instance.remarks(), *map(accepted_remark, state.accepted), *auxiliary_remarks(state.space, instance)]
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


def table_of(state: RunState, best: TrialState, baselines: dict[str, dict[str, float | None]]) -> Table:
    """Measured, baseline and published rows; kinds never mix. Published rows of images do not stand beside groups."""
    opened, numbers, size = state.opened, best.last.numbers, judged_size(state, best)
    measured_row = Row(
        name=method(state.space.workload).name.upper() + (f", groups of {size}" if size else ""),
        kind=KINDS[opened.schedule],
        values={target: numbers[f"auroc/{target}"] for target in opened.targets},
        mean=numbers["auroc/mean"],
        note=note_of(state, best),
        leak=is_leak(state),
    )
    note = f"{BASELINE_NOTE}; of single images, so no rival of groups" if size else BASELINE_NOTE
    others = [Row(name, "baseline", values, mean(values.values()), note) for name, values in baselines.items()]
    table = Table(opened.targets, (measured_row, *others))
    known = None if size else published.load(opened.dataset)
    return with_published(table, known) if known else table


def judged_size(state: RunState, best: TrialState) -> int:
    """Images of the groups that the winner's AUROC is over; 0 where it is over images."""
    return group_size((method_of(state, best).judged_parts() or ("",))[0])


def out_table_of(state: RunState, best: TrialState, scores: pa.Table) -> Table | None:
    """The winner against the out sets of its space, from its score file."""
    opened = state.opened
    return out_table(
        scores,
        dataset=opened.dataset,
        targets=opened.targets,
        out=state.space.data.out,
        kind=KINDS[opened.schedule],
        note=note_of(state, best),
        counts=opened.counts,
    )


def sets_table_of(state: RunState, best: TrialState, contests: pa.Table) -> Table:
    """The winner's scores against the out sets, of a run whose dataset is normal as a whole."""
    return sets_table(
        per_part_auroc(contests),
        state.space.data.out,
        dataset=state.opened.dataset,
        kind=KINDS[state.opened.schedule],
        note=note_of(state, best),
        leak=is_leak(state),
    )


def is_leak(state: RunState) -> bool:
    """Whether test labels choose the winner."""
    return CRITERIA[state.space.select_by].leak


def note_of(state: RunState, best: TrialState) -> str:
    return f"trial {best.id}, seed {best.point.get('seed', state.space.fixed.get('seed', 0))}"


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


def per_class_of(trial: TrialState, state: RunState) -> dict[str, float | None]:
    """Test AUROC by column of the report, class or out set, of a trial at the end of its schedule; empty before."""
    if 1000 not in trial.rungs:
        return {}
    numbers = trial.rungs[1000].numbers
    if is_pooled(state):
        return {heading(name): numbers.get(f"auroc_out/{name}/mean") for name in state.space.data.out}
    return {target: numbers[f"auroc/{target}"] for target in state.opened.targets}


def levels_of(trial: TrialState) -> dict[str, float | None]:
    """Mean test AUROC of each part alone, of a trial at the end of its schedule; empty before.

    Parts are not measured against sets, where a dataset is normal as a whole.
    """
    alone = trial.rungs[1000].levels if 1000 in trial.rungs else {}
    means = {part: mean(values.values()) for part, values in alone.items()}
    return {part: value for part, value in means.items() if value is not None}


def label_free(trial: TrialState, method_type: Any) -> dict[str, float | None]:
    """A trial by every criterion of its method that needs no test label."""
    return {name: trial.metric(CRITERIA[name].metric) for name in method_type.selections if not CRITERIA[name].leak}


def read_findings(paths: RunPaths, state: RunState) -> dict[str, dict[str, dict[str, Any]]]:
    """analysis -> target -> {numbers, pictures}, of the run's present winner alone."""
    best = winner(state)
    findings: dict[str, dict[str, dict[str, Any]]] = {}
    for event in state.analyses.values():
        if best is not None and event.trial == best.id:
            path = paths.analysis(event.name, event.target)
            findings.setdefault(event.name, {})[event.target] = json.loads(read_checked(path, REMADE))
    return findings


def is_pooled(state: RunState) -> bool:
    """Whether a whole dataset is normal and the out sets are its anomalies."""
    return state.space.data.protocol == "in_out"


def main_table(paths: RunPaths, state: RunState, best: TrialState, scores: pa.Table) -> Table:
    """Methods by class, or where a whole dataset is normal the winner's scores by out set."""
    if is_pooled(state):
        return sets_table_of(state, best, against_sets(scores))
    identity = state.identity
    return table_of(state, best, measured(paths, identity.data, identity.baselines_code))


def trial_row(trial: TrialState, state: RunState, method_type: Any) -> dict[str, Any]:
    """A trial as the report lists it."""
    return {
        "trial": trial.id,
        "params": trial.point,
        **label_free(trial, method_type),
        "auroc": trial.metric("oracle"),
        "classes": per_class_of(trial, state),
        "levels": levels_of(trial),
        "state": str(trial.state),
        "schedule": f"{trial.reached / 10:g} %",
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
    method_type = method(state.space.workload)
    scores = read_table(paths.trial(best.id).scores(1000))
    table, warnings = main_table(paths, state, best, scores), warnings_of(state, best)
    out, levels = None, dict[str, dict[str, float | None]]()
    if is_pooled(state):
        scores = against_sets(scores)
    else:
        out, levels = out_table_of(state, best, scores), per_part_auroc(scores)
    report = Report(
        title=f"{opened.name}: {method_type.name.upper()} on {opened.dataset}",
        facts=facts_of(state),
        table=table,
        trials=[trial_row(trial, state, method_type) for trial in state.trials.values()],
        levels=levels,
        warnings=warnings,
        scores=scores,
        selection=selection_of(state, best, method_type),
        costs=network_costs(state, best),
        findings=read_findings(paths, state),
        about={name: analysis.title for name, analysis in method_type.analyses.items()},
        out=out,
        part_kind=method_type.part_names.kind,
    ).write(paths.report)
    return Results(best, table, warnings, report.with_name(PAGE), out)
