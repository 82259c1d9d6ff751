"""The parts of report.md, each a pure function from facts to Markdown. No part is shown without something to show."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.results.report.out import set_means
from orchestrator.results.report.tables import KINDS, LEAK, Table, markdown_table, number, ranged, to_markdown
from workloads.scoring.metrics import Rows, auroc_interval, mean, per_part_auroc, rows_by_target
from workloads.scoring.selection import CRITERIA, Select
from workloads.scoring.table import group_size

Findings = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""analysis -> class -> {"numbers": name -> value or None, "pictures": stem -> file name}."""

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
FOOTER = f"""\
## How to read this

- AUROC is the chance that an anomalous image scores higher than a normal one: .5 is guessing, 1.000 is perfect, below
  .5 is upside down. A dash means undefined or not run.
- A column is the class taken as normal, and all others are anomalies; of a dataset that is normal as a whole, it is the
  out set taken as anomalies.
- "Measured (paper schedule)", "measured (reduced preset)", "measured (smoke preset)", "baseline" and "published" are
  different kinds of number: compare within one. A smoke preset shows that the pieces run, and nothing about the method.
- Bold is the best of several measured rows of one kind.
- The contrastive score and bits/dim pick a configuration without test labels. The former says how well stand-ins for
  anomalies are found, made ones or general images, not real ones. Any number picked by test AUROC is marked **{LEAK}**.
- `all` is the detector's answer: the average of its levels, which are detectors of one structure size each, or that of
  its scores which the configuration names.
"""


def headline(title: str, facts: Mapping[str, str], table: Table) -> str:
    """Title, one sentence a measured row, and the facts: dataset, preset, seeds, hardware and what else is given."""
    results = []
    for kind in (kind for kind in KINDS if kind.startswith("measured")):
        whole = [row for row in table.rows if row.kind == kind and row.mean is not None]
        for row in whole if table.unit == "classes" else whole[-1:]:
            over = f"over {table.defined(row)} of {len(table.classes)} {table.unit}, {kind}"
            results.append(f"**{row.name}**: mean AUROC {number(row.mean)}{_mark(row.leak)} {over}.")
    listed = [f"- **{name}**: {value}" for name, value in facts.items()]
    return _joined(f"# {title}", "\n".join(results), "\n".join(listed))


def warning_list(warnings: Sequence[str]) -> str:
    """What went wrong or asks for caution."""
    return _joined("## Warnings", "\n".join(f"- {warning}" for warning in warnings)) if warnings else ""


def per_class(table: Table) -> str:
    """The table of methods and classes, or of scores and out sets."""
    return _joined(
        "## AUROC per class" if table.unit == "classes" else f"## AUROC against {table.unit}", to_markdown(table)
    )


def selected(selection: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]) -> str:
    """The best configuration, how it was picked, and what an oracle would have picked."""
    by = selection["select_by"]
    leak = _mark(by == ORACLE)
    lines = [f"Trial `{selection['trial']}`{leak}, selected by {SELECTED_BY[by]}.", ""]
    lines += [f"- {CRITERIA[name].title}: {number(selection.get(name))}" for name in LABEL_FREE if name in selection]
    lines += [f"- mean test AUROC: {number(selection.get('auroc'))}{leak}"]
    lines += [f"- {name}: `{value}`" for name, value in selection["params"].items()]
    best = max((trial for trial in trials if trial.get("auroc") is not None), key=lambda t: t["auroc"], default=None)
    if by != ORACLE and best is not None and len(trials) > 1:
        picked = f"`{best['trial']}` at {number(best['auroc'])}{_mark(True)}"
        lines += ["", f"For comparison, an oracle would pick {picked}."]
    return _joined("## Best configuration", "\n".join(lines))


def per_part(levels: Mapping[str, Mapping[str, float | None]], classes: Sequence[str], kind: str, leak: bool) -> str:
    """AUROC of every part of the detector: rows are those, columns the classes, mean last. kind: what a part is."""
    if not levels:
        return ""
    rows = [
        [part, *_numbers(values.get(name) for name in classes), number(mean(map(values.get, classes)))]
        for part, values in levels.items()
    ]
    warned = f"**{LEAK}**: see the best configuration." if leak else ""
    return _joined(f"## AUROC per {kind}", warned, markdown_table([kind, *classes, "mean"], rows))


def out_of_distribution(table: Table | None) -> str:
    """The table of parts against the other classes and the out sets, as `orchestrator.results.report.out` makes it."""
    if table is None:
        return ""
    columns = "A column is class/set: AUROC of the class's own normal test images against all images of the set."
    means = ", ".join(f"{name} {number(value)}" for name, value in set_means(table).items())
    leak = any(row.leak for row in table.rows)
    overall = f"`all`, mean over the classes{_mark(leak)}: {means}."
    return _joined("## Out of distribution", columns, overall, to_markdown(table))


def intervals(scores: pa.Table | None, leak: bool, unit: str) -> str:
    """Sizes and 95 % DeLong intervals of the whole detector's AUROC per unit, from the per-image scores.

    scores: columns of `workloads.scoring.table.SCHEMA`. leak: whether the configuration was picked by test AUROC.
    """
    tested = {} if scores is None else {t: rows for t, rows in rows_by_target(scores).items() if len(rows.scores)}
    if not tested:
        return ""
    lines = []
    for target, rows in tested.items():
        interval = auroc_interval(*rows)
        reach = "–" if interval is None else f"{number(interval[0])} to {number(interval[1])}"
        lines.append([target, *map(str, _sizes(rows)), number(rows.auroc()), reach])
    doubt = (
        "DeLong intervals: the doubt from the number of test images (or groups of them, where those are judged), "
        "not from the training's seed."
    )
    table = markdown_table([unit, "normal", "anomalous", "AUROC", "95 % interval"], lines)
    return _joined("## Test images and intervals", f"**{LEAK}**. {doubt}" if leak else doubt, table)


def group_intervals(scores: pa.Table | None, leak: bool) -> str:
    """How sure the AUROC of groups of images is, by score and group size, and how many groups there were.

    Rows are the scores by group size, columns the targets; empty without groups. Arguments as in `intervals`.
    """
    tested = None if scores is None else scores.filter(pc.equal(scores["split"], "test"))
    parts = [] if tested is None else [part for part in per_part_auroc(tested) if group_size(part)]
    if not parts:
        return ""
    groups = {part: rows_by_target(tested, part) for part in parts}
    rows = [
        [part, *(ranged(group.auroc(), auroc_interval(*group)) for group in targets.values())]
        for part, targets in groups.items()
    ]
    counts = {
        group_size(part): ", ".join("{} {} and {}".format(target, *_sizes(group)) for target, group in targets.items())
        for part, targets in reversed(groups.items())  # of a size's parts, the first one's
    }
    doubt = (
        "AUROC with its 95 % DeLong interval: the doubt from the number of groups, not from the training's seed nor "
        "from which images meet in a group. No image is in two groups of a size."
    )
    listed = [f"- groups of {size}, normal and anomalous: {count}" for size, count in sorted(counts.items())]
    return _joined(
        "## Groups and intervals",
        f"**{LEAK}**. {doubt}" if leak else doubt,
        markdown_table(["score/group size", *groups[parts[0]]], rows),
        "\n".join(listed),
    )


def _sizes(rows: Rows) -> tuple[int, int]:
    """How many are normal and how many anomalous."""
    return int((~rows.anomalous).sum()), int(rows.anomalous.sum())


def analyses(findings: Findings, titles: Mapping[str, str]) -> str:
    """One section an analysis: rows are its numbers, columns the classes, then every class's pictures."""
    sections = []
    for name, targets in findings.items():
        names = list(dict.fromkeys(key for finding in targets.values() for key in finding["numbers"]))
        rows = [[key, *(_any_number(finding["numbers"].get(key)) for finding in targets.values())] for key in names]
        pictures = [
            f"![{name}: {target}, {stem}](../analyses/{name}/{quote(file)})\n\n*{target}: {stem}*"
            for target, finding in targets.items()
            for stem, file in finding["pictures"].items()
        ]
        table = markdown_table(["", *targets], rows) if rows else ""
        sections.append(_joined(f"## Analysis: {name}", titles.get(name, ""), table, *pictures))
    return "\n\n".join(sections)


def _any_number(value: float | None) -> str:
    """In [0, 1] as AUROCs are shown, other numbers with three digits that matter."""
    return number(value) if value is None or 0 <= value <= 1 else f"{value:.3g}"


def all_trials(trials: Sequence[Mapping[str, Any]], select_by: str) -> str:
    """Every trial, best first by the selection criterion; undefined last."""
    if not trials:
        return ""
    params = list(dict.fromkeys(name for trial in trials for name in trial.get("params", {})))
    known = {"trial", "params", "auroc", "classes", "levels", *LABEL_FREE}
    tail = list(dict.fromkeys(name for trial in trials for name in trial if name not in known))
    leak = f"test AUROC (**{LEAK}**)" if select_by == ORACLE else f"test AUROC (choosing by it: **{LEAK}**)"
    criteria = [name for name in LABEL_FREE if any(name in trial for trial in trials)]
    rows = [
        [
            str(trial["trial"]),
            *_numbers(trial.get(name) for name in (*criteria, "auroc")),
            *(str(trial.get("params", {}).get(name, "")) for name in params),
            *(str(trial.get(name, "")) for name in tail),
        ]
        for trial in ranked(trials, select_by)
    ]
    table = markdown_table(["trial", *criteria, leak, *params, *tail], rows, text=len(params) + len(tail))
    order = CRITERIA[_criterion(select_by)].title
    return _joined("## All trials", f"{len(trials)} trials, sorted by {order}.", table)


def every_trial(trials: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> str:
    """AUROC per class of every trial that has come to its end, for spaces that compare points rather than search them.

    In the order of the plan: a row is no worse for standing below another.
    """
    ended = [trial for trial in trials if trial.get("classes")]
    if len(ended) < 2:
        return ""
    rows = [
        [_point(trial), *_numbers(map(trial["classes"].get, classes)), number(trial.get("auroc"))] for trial in ended
    ]
    purpose = f"Test AUROC of every trial that reached the end, to compare points; to choose one by it is a **{LEAK}**."
    table = markdown_table(["trial", *classes, "mean"], rows)
    return _joined("## AUROC per class of every trial", purpose, table, _parts_of(ended))


def _parts_of(trials: Sequence[Mapping[str, Any]]) -> str:
    """Each trial's parts alone, mean over the classes; nothing where the trials have none."""
    parts = list(dict.fromkeys(part for trial in trials for part in trial.get("levels", {})))
    rows = [[_point(trial), *_numbers(map(trial.get("levels", {}).get, parts))] for trial in trials]
    return markdown_table(["trial, mean AUROC of a part alone", *parts], rows) if parts else ""


def _point(trial: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in trial.get("params", {}).items()) or str(trial["trial"])


def costs(networks: Mapping[str, tuple[int, float, float | None]]) -> str:
    """Measured seconds of a network beside the plan's, by kind and part."""
    if not networks:
        return ""
    rows = []
    for name, (count, seconds, planned) in networks.items():
        beside = [f"{planned:.3g}", f"{seconds / planned:.2f}"] if planned else ["–", "–"]
        rows.append([name, str(count), f"{seconds:.3g}", *beside])
    extent = (
        "Training of the winner's networks and of the stages this run trained, on one worker; scoring is not in it."
    )
    table = markdown_table(["network", "number", "seconds each", "planned", "ratio"], rows)
    return _joined("## Cost of a network", extent, table)


def pictures(names: Mapping[str, str], leak: bool) -> str:
    """Embedded by relative link. names: file name -> caption."""
    shown = [f"![{caption}]({name})\n\n*{caption}*{_mark(leak)}" for name, caption in names.items()]
    return _joined("## Plots", *shown) if shown else ""


def ranked(trials: Sequence[Mapping[str, Any]], select_by: str) -> list[Mapping[str, Any]]:
    """Best first by the selection criterion, trials without it last, in their own order."""
    chosen = _criterion(select_by)
    key = "auroc" if chosen == ORACLE else chosen

    def place(trial: Mapping[str, Any]) -> tuple[bool, float]:
        value = trial.get(key)
        return value is None, 0.0 if value is None else CRITERIA[chosen].better_first(value)

    return sorted(trials, key=place)


def _criterion(select_by: str) -> Select:
    return "contrastive" if select_by == "given" else cast(Select, select_by)


def _numbers(values: Iterable[float | None]) -> list[str]:
    return list(map(number, values))


def _mark(leak: bool) -> str:
    return f" (**{LEAK}**)" if leak else ""


def _joined(*blocks: str) -> str:
    return "\n\n".join(block.strip("\n") for block in blocks if block)
