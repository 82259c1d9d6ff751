"""Runs side by side: their winners' AUROC in one table, and how alike their models rank the same images."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import spearmanr

from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import open_run
from orchestrator.record.state import RunState
from orchestrator.results.evaluation import read_table
from orchestrator.results.report.tables import KINDS, Row, Table
from orchestrator.results.run import main_table, sure_winner
from workloads.data.images import out_name
from workloads.errors import UserError, nearest
from workloads.scoring.table import WHOLE

LEAST = 10
"""Images that two models must share, or a rank correlation would be noise."""


@dataclass(frozen=True)
class Model:
    """One run's winner for one target: the scores of one part, by image id."""

    name: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """table: the measured rows of every run. models: with `correlations` (M, M), Spearman's rho in [-1, 1] over shared
    test and out images (nan where they share fewer than `LEAST`), and `shared` (M, M), how many those are."""

    table: Table
    models: list[Model]
    correlations: np.ndarray
    shared: np.ndarray


def compare(storage: str, runs: list[str], part: str) -> Comparison:
    """The winners of finished runs. Raises UserError (exit 2) for unknown runs, and for a part that one lacks."""
    opened = [open_run(storage, run) for run in runs]
    models = [model for paths, state in opened for model in models_of(paths, state, part)]
    size = len(models)
    correlations, shared = np.full((size, size), np.nan), np.zeros((size, size), np.int64)
    for i, j in np.ndindex(size, size):
        left, right = models[i].scores, models[j].scores
        both = sorted(left.keys() & right.keys())
        shared[i, j] = len(both)
        if len(both) >= LEAST:
            correlations[i, j] = rank_correlation([left[key] for key in both], [right[key] for key in both])
    return Comparison(side_by_side(opened), models, correlations, shared)


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Spearman's rho; nan where either never varies."""
    return float(spearmanr(a, b).statistic) if np.ptp(a) and np.ptp(b) else float("nan")


def models_of(paths: RunPaths, state: RunState, part: str) -> list[Model]:
    """One model a target of a run, named by the run, and by the target where there are several."""
    scores = read_table(paths.trial(sure_winner(state).id).scores(1000))
    parts = scores["part"].unique().to_pylist()
    if part not in parts:
        raise UserError(f"the run {paths.run!r} has no scores {part!r}", details=nearest(part, parts))
    seen = [split for split in scores["split"].unique().to_pylist() if split == "test" or out_name(split)]
    rows = scores.filter(pc.and_(pc.equal(scores["part"], part), pc.is_in(scores["split"], pa.array(seen))))
    targets = state.opened.targets
    models = []
    for target in targets:
        of_target = rows.filter(pc.equal(rows["target"], target))
        name = paths.run if len(targets) == 1 else f"{paths.run}/{target}"
        pairs = zip(of_target["image_id"].to_pylist(), of_target["score"].to_pylist(), strict=True)
        models.append(Model(name, dict(pairs)))
    return models


def side_by_side(opened: list[tuple[RunPaths, RunState]]) -> Table:
    """The whole detectors of all runs over all their columns; baselines and published rows of each data set once."""
    tables = []
    for paths, state in opened:
        best = sure_winner(state)
        table = main_table(paths, state, best, read_table(paths.trial(best.id).scores(1000)))
        measured = [row for row in table.rows if row.kind.startswith("measured")]
        whole = measured if table.unit == "classes" else [row for row in measured if row.name == WHOLE]
        others = [row for row in table.rows if row not in measured]
        tables.append(replace(table, rows=(*(replace(row, name=paths.run) for row in whole), *others)))
    columns = tuple(dict.fromkeys(name for table in tables for name in table.classes))
    rows: dict[Any, Row] = {(row.kind, row.name, repr(row.values)): row for table in tables for row in table.rows}
    units = {table.unit for table in tables}
    ordered = sorted(rows.values(), key=lambda row: KINDS.index(row.kind))
    return Table(columns, tuple(ordered), unit=units.pop() if len(units) == 1 else "columns")


def write(comparison: Comparison, folder: Path, part: str) -> list[Path]:
    """correlation.csv, correlation.png and auroc.csv in a folder; their paths."""
    from orchestrator.results.report.plots import correlation_plot
    from orchestrator.results.report.tables import to_csv

    folder.mkdir(parents=True, exist_ok=True)
    names = [model.name for model in comparison.models]
    lines = [",".join(["", *names])]
    lines += [
        ",".join([name, *("" if np.isnan(v) else f"{v:.6f}" for v in row)])
        for name, row in zip(names, comparison.correlations, strict=True)
    ]
    files = {name: folder / name for name in ("auroc.csv", "correlation.csv", "correlation.png")}
    files["auroc.csv"].write_text(to_csv(comparison.table), encoding="utf-8")
    files["correlation.csv"].write_text("\n".join(lines) + "\n", encoding="utf-8")
    scores = [model.scores for model in comparison.models]
    files["correlation.png"].write_bytes(correlation_plot(names, scores, comparison.correlations, part))
    return list(files.values())
