"""The tables of report.md, each a pure function of facts; its words are in report.md.jinja."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.results.report.tables import KINDS, LEAK, Row, Table, markdown_table, number, ranged
from workloads.scoring.metrics import Rows, auroc_interval, mean, per_part_auroc, rows_by_target
from workloads.scoring.selection import CRITERIA, Select
from workloads.scoring.table import group_size

Findings = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""analysis -> class -> {"numbers": name -> value or None, "pictures": stem -> file name}."""
Trials = Sequence[Mapping[str, Any]]

ORACLE = "oracle"
LABEL_FREE = tuple(name for name, criterion in CRITERIA.items() if not criterion.leak)
SELECTED_BY = {
    "contrastive": "the contrastive score: held-out normal images against proxies of anomalies, no test label seen",
    "likelihood": "the lowest bits/dim of held-out normal images, no test label seen",
    ORACLE: f"its test AUROC, a **{LEAK}**: the numbers below it are too good and estimate nothing",
    "given": "nothing: one configuration was given, none was searched",
}
UNITS = {"classes": "normal class", "out sets": "out set"}
"""A table's unit -> one of them."""


def headlines(table: Table) -> list[Row]:
    """The measured rows with a mean; where rows are a detector's scores, the last of a kind, which is the whole's."""
    rows = []
    for kind in (kind for kind in KINDS if kind.startswith("measured")):
        whole = [row for row in table.rows if row.kind == kind and row.mean is not None]
        rows += whole if table.unit == "classes" else whole[-1:]
    return rows


def rival(trials: Trials, select_by: str) -> Mapping[str, Any] | None:
    """The trial that an oracle would have picked, where there was a choice and another criterion made it."""
    known = [trial for trial in trials if trial.get("auroc") is not None]
    if select_by == ORACLE or len(trials) < 2 or not known:
        return None
    return max(known, key=lambda trial: trial["auroc"])


def per_part(levels: Mapping[str, Mapping[str, float | None]], kind: str, classes: Sequence[str]) -> str:
    """AUROC of every part of the detector: rows are those, columns the classes, mean last. kind: what a part is."""
    values = {part: [areas.get(name) for name in classes] for part, areas in levels.items()}
    return markdown_table([kind, *classes, "mean"], ([part, *_numbers([*v, mean(v)])] for part, v in values.items()))


def intervals(scores: pa.Table | None, unit: str) -> str:
    """Sizes and 95 % intervals of the whole detector's AUROC per unit, from the per-image scores.

    scores: columns of `workloads.scoring.table.SCHEMA`. Empty without test rows of the whole detector.
    """
    lines = []
    for target, rows in ({} if scores is None else rows_by_target(scores)).items():
        if len(rows.scores):
            interval = auroc_interval(*rows)
            reach = "–" if interval is None else f"{number(interval[0])} to {number(interval[1])}"
            lines.append([target, *map(str, _sizes(rows)), number(rows.auroc()), reach])
    return markdown_table([unit, "normal", "anomalous", "AUROC", "95 % interval"], lines) if lines else ""


def group_intervals(scores: pa.Table | None) -> str:
    """How sure the AUROC of groups of images is: rows are the scores by group size, columns the targets."""
    parts = _group_parts(scores)
    lines = (
        [part, *(ranged(rows.auroc(), auroc_interval(*rows)) for rows in targets.values())]
        for part, targets in parts.items()
    )
    return markdown_table(["score/group size", *next(iter(parts.values()))], lines) if parts else ""


def group_counts(scores: pa.Table | None) -> dict[int, str]:
    """Group size -> how many groups of it every target has, normal and anomalous; by size."""
    by_size = {group_size(part): targets for part, targets in reversed(_group_parts(scores).items())}
    return {
        size: ", ".join("{} {} and {}".format(target, *_sizes(rows)) for target, rows in by_size[size].items())
        for size in sorted(by_size)
    }


def _group_parts(scores: pa.Table | None) -> dict[str, dict[str, Rows]]:
    """Every part that scores groups -> target -> its test rows."""
    if scores is None:
        return {}
    tested = scores.filter(pc.equal(scores["split"], "test"))
    return {part: rows_by_target(tested, part) for part in per_part_auroc(tested) if group_size(part)}


def _sizes(rows: Rows) -> tuple[int, int]:
    """How many are normal and how many anomalous."""
    return int((~rows.anomalous).sum()), int(rows.anomalous.sum())


def numbers(targets: Mapping[str, Mapping[str, Any]]) -> str:
    """The numbers of an analysis: columns are the classes. Those in [0, 1] as AUROCs, others with three digits."""
    names = dict.fromkeys(key for finding in targets.values() for key in finding["numbers"])
    values = {key: [finding["numbers"].get(key) for finding in targets.values()] for key in names}
    rows = ([key, *(f"{v:.3g}" if v and not 0 <= v <= 1 else number(v) for v in row)] for key, row in values.items())
    return markdown_table(["", *targets], rows) if values else ""


def all_trials(trials: Trials, criterion: Select, leak: bool) -> str:
    """Every trial, best first by the criterion; undefined last."""
    params = list(dict.fromkeys(name for trial in trials for name in trial.get("params", {})))
    shown = {"trial", "params", "auroc", "classes", "levels", *LABEL_FREE}
    others = list(dict.fromkeys(name for trial in trials for name in trial if name not in shown))
    criteria = [name for name in LABEL_FREE if any(name in trial for trial in trials)]
    tested = f"test AUROC (**{LEAK}**)" if leak else f"test AUROC (choosing by it: **{LEAK}**)"
    rows = [
        [
            str(trial["trial"]),
            *_numbers(map(trial.get, [*criteria, "auroc"])),
            *(str(trial.get("params", {}).get(name, "")) for name in params),
            *(str(trial.get(name, "")) for name in others),
        ]
        for trial in ranked(trials, criterion)
    ]
    return markdown_table(["trial", *criteria, tested, *params, *others], rows, text=len(params) + len(others))


def per_class(trials: Trials, classes: Sequence[str]) -> str:
    """AUROC per class of trials, for spaces that compare points rather than search them.

    In the order of the plan: a row is no worse for standing below another.
    """
    values = ([*map(trial["classes"].get, classes), trial.get("auroc")] for trial in trials)
    rows = ([_point(trial), *_numbers(row)] for trial, row in zip(trials, values, strict=True))
    return markdown_table(["trial", *classes, "mean"], rows)


def parts_alone(trials: Trials) -> str:
    """Each trial's parts alone, mean over the classes; nothing where the trials have none."""
    parts = list(dict.fromkeys(part for trial in trials for part in trial.get("levels", {})))
    rows = ([_point(trial), *_numbers(map(trial.get("levels", {}).get, parts))] for trial in trials)
    return markdown_table(["trial, mean AUROC of a part alone", *parts], rows) if parts else ""


def cost_table(networks: Mapping[str, tuple[int, float, float | None]]) -> str:
    """Measured seconds of a network beside the plan's, by kind and part."""
    rows = []
    for name, (count, seconds, planned) in networks.items():
        beside = [f"{planned:.3g}", f"{seconds / planned:.2f}"] if planned else ["–", "–"]
        rows.append([name, str(count), f"{seconds:.3g}", *beside])
    return markdown_table(["network", "number", "seconds each", "planned", "ratio"], rows)


def ranked(trials: Trials, criterion: Select) -> list[Mapping[str, Any]]:
    """Best first by the criterion, trials without it last, in their own order."""
    key = "auroc" if criterion == ORACLE else criterion
    known = [trial for trial in trials if trial.get(key) is not None]
    unknown = [trial for trial in trials if trial.get(key) is None]
    return [*sorted(known, key=lambda trial: CRITERIA[criterion].better_first(trial[key])), *unknown]


def _point(trial: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in trial.get("params", {}).items()) or str(trial["trial"])


def _numbers(values: Iterable[float | None]) -> list[str]:
    return list(map(number, values))
