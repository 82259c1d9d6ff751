"""The parts of report.md, each a pure function from facts to Markdown. No part is shown without something to show."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.results.report.out import set_means
from orchestrator.results.report.tables import KINDS, LEAK, Table, markdown_row, number, to_markdown
from workloads.scoring.metrics import auroc, auroc_interval, mean, per_class_auroc
from workloads.scoring.selection import CRITERIA, Select
from workloads.scoring.table import WHOLE

ORACLE = "oracle"
LABEL_FREE = tuple(name for name, criterion in CRITERIA.items() if not criterion.leak)
SAID = {
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
            defined = sum(row.values.get(name) is not None for name in table.classes)
            over = f"over {defined} of {len(table.classes)} {table.unit}, {kind}"
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
    lines = [f"Trial `{selection['trial']}`{leak}, selected by {SAID[by]}.", ""]
    lines += [f"- {CRITERIA[name].title}: {number(selection.get(name))}" for name in LABEL_FREE if name in selection]
    lines += [f"- mean test AUROC: {number(selection.get('auroc'))}{leak}"]
    lines += [f"- {name}: `{value}`" for name, value in selection["params"].items()]
    best = max((trial for trial in trials if trial.get("auroc") is not None), key=lambda t: t["auroc"], default=None)
    if by != ORACLE and best is not None and len(trials) > 1:
        picked = f"`{best['trial']}` at {number(best['auroc'])}{_mark(True)}"
        lines += ["", f"For comparison, an oracle would pick {picked}."]
    return _joined("## Best configuration", "\n".join(lines))


def per_level(levels: Mapping[str, Mapping[str, float | None]], classes: Sequence[str], leak: bool) -> str:
    """AUROC of every level, or score, of the detector: rows are those, columns the classes, mean last."""
    if not levels:
        return ""
    what = "level" if any(name.startswith("level_") for name in levels) else "score"
    rows = [markdown_row([what, *classes, "mean"]), "|---|" + "---:|" * (len(classes) + 1)]
    for level, values in levels.items():
        cells = [values.get(name) for name in classes]
        rows.append(markdown_row([level, *map(number, cells), number(mean(cells))]))
    return _joined(f"## AUROC per {what}", f"**{LEAK}**: see the best configuration." if leak else "", "\n".join(rows))


def out_of_distribution(table: Table | None) -> str:
    """The table of levels against the other classes and the out sets, as `orchestrator.results.report.out` makes it."""
    if table is None:
        return ""
    said = "A column is class/set: AUROC of the class's own normal test images against all images of the set."
    means = ", ".join(f"{name} {number(value)}" for name, value in set_means(table).items())
    leak = any(row.leak for row in table.rows)
    overall = f"`all`, mean over the classes{_mark(leak)}: {means}."
    return _joined("## Out of distribution", said, overall, to_markdown(table))


def intervals(scores: pa.Table | None, leak: bool, unit: str) -> str:
    """Sizes and 95 % DeLong intervals of the whole detector's AUROC per unit, from the per-image scores."""
    if scores is None:
        return ""
    chosen = scores.filter(pc.and_(pc.equal(scores["split"], "test"), pc.equal(scores["part"], WHOLE)))
    if not chosen.num_rows:
        return ""
    rows = [markdown_row([unit, "normal", "anomalous", "AUROC", "95 % interval"]), "|---|---:|---:|---:|---:|"]
    for name in per_class_auroc(chosen):
        part = chosen.filter(pc.equal(chosen["target"], name))
        values, anomalous = part["score"].to_numpy(), part["anomalous"].to_numpy()
        interval = auroc_interval(values, anomalous)
        shown = "–" if interval is None else f"{number(interval[0])} to {number(interval[1])}"
        counts = str(int((~anomalous).sum())), str(int(anomalous.sum()))
        rows.append(markdown_row([name, *counts, number(auroc(values, anomalous)), shown]))
    said = (
        "DeLong intervals: the doubt from the number of test images (or groups of them, where those are judged), "
        "not from the training's seed."
    )
    return _joined("## Test images and intervals", f"**{LEAK}**. {said}" if leak else said, "\n".join(rows))


def all_trials(trials: Sequence[Mapping[str, Any]], select_by: str) -> str:
    """Every trial, best first by the selection criterion; undefined last."""
    if not trials:
        return ""
    params = list(dict.fromkeys(name for trial in trials for name in trial.get("params", {})))
    known = {"trial", "params", "auroc", "classes", "levels", *LABEL_FREE}
    tail = list(dict.fromkeys(name for trial in trials for name in trial if name not in known))
    leak = f"test AUROC (**{LEAK}**)" if select_by == ORACLE else f"test AUROC (choosing by it: **{LEAK}**)"
    criteria = [name for name in LABEL_FREE if any(name in trial for trial in trials)]
    rows = [markdown_row(["trial", *criteria, leak, *params, *tail])]
    rows.append("|---|" + "---:|" * len(criteria) + "---:|" + "---|" * (len(params) + len(tail)))
    for trial in ranked(trials, select_by):
        values = [str(trial.get("params", {}).get(name, "")) for name in params]
        others = [str(trial.get(name, "")) for name in tail]
        scores = [*(number(trial.get(name)) for name in criteria), number(trial.get("auroc"))]
        rows.append(markdown_row([str(trial["trial"]), *scores, *values, *others]))
    order = CRITERIA[_criterion(select_by)].title
    return _joined("## All trials", f"{len(trials)} trials, sorted by {order}.", "\n".join(rows))


def every_trial(trials: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> str:
    """AUROC per class of every trial that has come to its end, for spaces that compare points rather than search them.

    In the order of the plan: a row is no worse for standing below another.
    """
    ended = [trial for trial in trials if trial.get("classes")]
    if len(ended) < 2:
        return ""
    rows = [markdown_row(["trial", *classes, "mean"]), "|---|" + "---:|" * (len(classes) + 1)]
    for trial in ended:
        values = [trial["classes"].get(target) for target in classes]
        rows.append(markdown_row([_point(trial), *map(number, values), number(trial.get("auroc"))]))
    said = f"Test AUROC of every trial that reached the end, to compare points; to choose one by it is a **{LEAK}**."
    return _joined("## AUROC per class of every trial", said, "\n".join(rows), _levels_of(ended))


def _levels_of(trials: Sequence[Mapping[str, Any]]) -> str:
    """Each trial's parts alone, mean over the classes; nothing where the trials have none."""
    levels = list(dict.fromkeys(level for trial in trials for level in trial.get("levels", {})))
    if not levels:
        return ""
    rows = [markdown_row(["trial, mean AUROC of a part alone", *levels]), "|---|" + "---:|" * len(levels)]
    rows += [
        markdown_row([_point(trial), *(number(trial.get("levels", {}).get(level)) for level in levels)])
        for trial in trials
    ]
    return "\n".join(rows)


def _point(trial: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in trial.get("params", {}).items()) or str(trial["trial"])


def costs(networks: Mapping[str, tuple[int, float, float | None]]) -> str:
    """Measured seconds of a network beside the plan's, by kind and level."""
    if not networks:
        return ""
    rows = [markdown_row(["network", "number", "seconds each", "planned", "ratio"]), "|---|---:|---:|---:|---:|"]
    for name, (count, seconds, planned) in networks.items():
        shown = ["–", "–"] if not planned else [f"{planned:.3g}", f"{seconds / planned:.2f}"]
        rows.append(markdown_row([name, str(count), f"{seconds:.3g}", *shown]))
    said = "Training of the winner's networks and of the stages this run trained, on one worker; scoring is not in it."
    return _joined("## Cost of a network", said, "\n".join(rows))


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


def _mark(leak: bool) -> str:
    return f" (**{LEAK}**)" if leak else ""


def _joined(*blocks: str) -> str:
    return "\n\n".join(block.strip("\n") for block in blocks if block)
