"""From a run's ledger and score files to its winner, its table and its report."""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from orchestrator.record.paths import RunPaths
from orchestrator.record.state import RunState, State, TrialState
from orchestrator.results.baselines import measured
from orchestrator.results.evaluation import read_table
from orchestrator.results.report.out import against_sets, heading, out_table, sets_table
from orchestrator.results.report.tables import Row, Table, with_published
from orchestrator.results.report.write import PAGE, Report
from tune_spaces import published
from tune_spaces.schema import Space
from workloads.errors import Kind, UserError
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
    criterion = CRITERIA[state.opened["space"]["select_by"]]
    ended = [(t, t.metric(criterion.metric)) for t in state.trials.values() if t.state == State.FINISHED]
    if ended and len(state.trials) == 1:
        return ended[0][0]  # given, not chosen: the criterion may be undefined
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
    """What the method says of the winner's config, and parts that cannot tell normal images from their own fakes."""
    space = Space.model_validate(state.opened["space"])
    chosen = method(space.workload)(space.config(best.point))
    remarks = [*chosen.remarks(), *general_remarks(space, chosen)]
    remarks += [f"the analysis {key} failed: {e['error']}" for key, e in state.analyses.items() if "error" in e]
    last = best.rungs[max(best.rungs)]
    listed: list[Any] = last["not_learned"]
    remarks += [
        f"{count} images of {target} could not be scored: taken as the most anomalous"
        for target, count in last.get("failed", {}).items()  # runs of earlier versions did not count them
    ]
    return remarks + [
        f"{part} of class {target} has not learned: its own fakes against held-out normal images give AUROC {value:.2f}"
        for target, part, value in listed
    ]


def general_remarks(space: Space, chosen: Any) -> list[str]:
    """What a general set other than the published one means for the numbers."""
    sources = [source.name for source in space.data.auxiliary]
    if sources == ["tiny_images"] or not any(unit.target == GENERAL for unit in chosen.stages(())):
        return []
    unless = ", unless it is the paper's choice of them" if sources == ["prepared"] else ""
    said = f"general images are of {', '.join(sources)}, and not the published 80 Million Tiny Images{unless}"
    return [f"{said}: no number here compares with the paper's"]


def table_of(state: RunState, best: TrialState, baselines: dict[str, dict[str, float | None]]) -> Table:
    """Measured, baseline and published rows; kinds never mix. Published rows of images do not stand beside groups."""
    opened, last = state.opened, best.rungs[max(best.rungs)]
    targets, size = tuple(opened["targets"]), judged_size(state, best)
    ours = Row(
        name=opened["space"]["workload"].upper() + (f", groups of {size}" if size else ""),
        kind=KINDS[opened["schedule"]],
        values={t: last[f"auroc/{t}"] for t in targets},
        mean=last["auroc/mean"],
        note=note_of(state, best),
        leak=opened["space"]["select_by"] == "oracle",
    )
    rows = [ours]
    for name, values in baselines.items():
        known = [v for v in values.values() if v is not None]
        note = f"{BASELINE_NOTE}; of single images, so no rival of groups" if size else BASELINE_NOTE
        rows.append(Row(name, "baseline", values, sum(known) / len(known) if known else None, note))
    table = Table(targets, tuple(rows))
    numbers = None if size else published.load(opened["dataset"])
    return with_published(table, numbers) if numbers else table


def judged_size(state: RunState, best: TrialState) -> int:
    """Images of the groups that the winner's AUROC is over; 0 where it is over images."""
    space = Space.model_validate(state.opened["space"])
    return group_size(method(space.workload)(space.config(best.point)).judged_parts()[0])


def out_table_of(state: RunState, best: TrialState, scores: pa.Table) -> Table | None:
    """The winner against the out sets of its space, from its score file."""
    opened = state.opened
    return out_table(
        scores,
        dataset=opened["dataset"],
        targets=opened["targets"],
        out=opened["space"]["data"].get("out", ()),  # runs of earlier versions have none
        kind=KINDS[opened["schedule"]],
        note=note_of(state, best),
        counts=opened["counts"],
    )


def sets_table_of(state: RunState, best: TrialState, contests: pa.Table) -> Table:
    """The winner's scores against the out sets, of a run whose dataset is normal as a whole."""
    opened = state.opened
    return sets_table(
        per_part_auroc(contests),
        opened["space"]["data"]["out"],
        dataset=opened["dataset"],
        kind=KINDS[opened["schedule"]],
        note=note_of(state, best),
        leak=opened["space"]["select_by"] == "oracle",
    )


def note_of(state: RunState, best: TrialState) -> str:
    return f"trial {best.id}, seed {best.point.get('seed', state.opened['space']['fixed'].get('seed', 0))}"


def facts_of(state: RunState) -> dict[str, str]:
    opened, provenance = state.opened, state.opened["provenance"]
    data = opened["space"]["data"]
    return {
        "dataset": f"{opened['dataset']} at {data['side']}x{data['side']}, digest {opened['identity']['data'][:12]}",
        "images": ", ".join(f"{count} {split}" for split, count in opened["counts"].items()),
        "preset": opened["preset"],
        "seed": str(opened["space"]["fixed"].get("seed", 0)),
        "trials": f"{len(state.trials)} ({', '.join(f'{n} {s}' for s, n in count_states(state).items())})",
        "hardware": provenance["hardware"],
        "code": f"{provenance['git_commit'] or 'no checkout'}, workload digest {opened['identity']['code']}",
        "versions": ", ".join(f"{k[8:]} {v}" for k, v in provenance.items() if k.startswith("version.")),
        "command": provenance["command"],
    }


def count_states(state: RunState) -> dict[str, int]:
    counts: dict[str, int] = {}
    for trial in state.trials.values():
        counts[trial.state] = counts.get(trial.state, 0) + 1
    return counts


def costs_of(state: RunState, best: TrialState) -> dict[str, tuple[int, float, float | None]]:
    """Kind of network ("detector/level_4") -> how many this run trained for its winner, mean seconds, planned seconds.

    Stages that an earlier run has left cost this one nothing and do not appear.
    """
    own = [state.stages[key] for key in best.stages.values() if key in state.stages]
    spent = {event["unit"]: event["seconds"] for event in own if not event["found"]}
    spent |= best.rungs[max(best.rungs)]["seconds"]
    kinds: dict[str, list[float]] = {}
    for unit, seconds in spent.items():
        kind, _, part = unit.split("/")
        kinds.setdefault(f"{kind}/{part}", []).append(seconds)
    planned = state.opened["planned_seconds"]
    order = [name for name in planned if name in kinds]
    return {name: (len(kinds[name]), sum(kinds[name]) / len(kinds[name]), planned.get(name)) for name in order}


def per_class_of(trial: TrialState, state: RunState) -> dict[str, float | None]:
    """Test AUROC by column of the report, class or out set, of a trial at the end of its schedule; empty before."""
    last = trial.rungs.get(1000)
    if not last:
        return {}
    if is_pooled(state):
        return {heading(name): last.get(f"auroc_out/{name}/mean") for name in state.opened["space"]["data"]["out"]}
    return {target: last[f"auroc/{target}"] for target in state.opened["targets"]}


def levels_of(trial: TrialState) -> dict[str, float | None]:
    """Mean test AUROC of each part alone, of a trial at the end of its schedule; empty before."""
    alone = trial.rungs.get(1000, {}).get("levels", {})  # none against sets, where a dataset is normal as a whole
    means = {part: mean(values.values()) for part, values in alone.items()}
    return {part: value for part, value in means.items() if value is not None}


def label_free(trial: TrialState, chosen: Any) -> dict[str, float | None]:
    """A trial by every criterion of its method that needs no test label."""
    return {name: trial.metric(CRITERIA[name].metric) for name in chosen.selections if not CRITERIA[name].leak}


def read_findings(places: RunPaths, state: RunState) -> dict[str, dict[str, dict[str, Any]]]:
    """analysis -> target -> {numbers, pictures}, of the run's present winner alone."""
    best = winner(state)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for event in state.analyses.values():
        if best is not None and event["trial"] == best.id:
            path = places.analysis(event["name"], event["target"])
            found.setdefault(event["name"], {})[event["target"]] = json.loads(path.read_text())
    return found


def is_pooled(state: RunState) -> bool:
    """Whether a whole dataset is normal and the out sets are its anomalies."""
    return bool(state.opened["space"]["data"]["protocol"] == "in_out")


def main_table(places: RunPaths, state: RunState, best: TrialState, scores: pa.Table) -> Table:
    """Methods by class, or where a whole dataset is normal the winner's scores by out set."""
    if is_pooled(state):
        return sets_table_of(state, best, against_sets(scores))
    identity = state.opened["identity"]
    return table_of(state, best, measured(places, identity["data"], identity["code"]))


def conclude(places: RunPaths, state: RunState) -> Results:
    """Pick the winner and write the report. Raises UserError where no trial reached the end."""
    best = sure_winner(state)
    scores = read_table(places.trial(best.id).scores(1000))
    levels: dict[str, dict[str, float | None]] = {}
    out, table = None, main_table(places, state, best, scores)
    chosen = method(state.opened["space"]["workload"])
    trials = [
        {
            "trial": t.id,
            "params": t.point,
            **label_free(t, chosen),
            "auroc": t.metric("oracle"),
            "classes": per_class_of(t, state),
            "levels": levels_of(t),
            "state": str(t.state),
            "schedule": f"{max(t.rungs, default=0) / 10:g} %",
        }
        for t in state.trials.values()
    ]
    warnings = warnings_of(state, best)
    if is_pooled(state):
        scores = against_sets(scores)
    else:
        out, levels = out_table_of(state, best, scores), per_part_auroc(scores)
    select_by = state.opened["space"]["select_by"]
    report = Report(
        title=f"{state.opened['name']}: {state.opened['space']['workload'].upper()} on {state.opened['dataset']}",
        facts=facts_of(state),
        table=table,
        trials=trials,
        levels=levels,
        warnings=warnings,
        scores=scores,
        selection={
            "select_by": select_by if len(trials) > 1 else "given",
            "trial": best.id,
            "params": best.point,
            **label_free(best, chosen),
            "auroc": best.metric("oracle"),
        },
        costs=costs_of(state, best),
        findings=read_findings(places, state),
        about={name: analysis.title for name, analysis in chosen.analyses.items()},
        out=out,
        part_kind=chosen.part_names.kind,
    ).write(places.report)
    return Results(best, table, warnings, report.with_name(PAGE), out)
