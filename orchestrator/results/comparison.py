"""Runs side by side: their winners' AUROC in one table, and how alike their models rank the same images."""

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from orchestrator.data.split_store import SplitStore
from orchestrator.planning.request import absolute
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import open_run
from orchestrator.record.state import RunState
from orchestrator.results.evaluation import read_table
from orchestrator.results.run import sure_winner, table_of
from orchestrator.results.tables import KINDS, Row, Table
from workloads.data.images import out_name
from workloads.errors import UserError, nearest
from workloads.files import write_atomically
from workloads.scoring.paired import Difference, OverSeeds, difference, mean_difference, over_seeds, wilcoxon_p
from workloads.scoring.table import WHOLE

LEAST = 10
"""Images that two models must share, or a rank correlation would be noise."""


Key = tuple[str, ...]
"""What an image is known by over several runs: a digest of what it is, then its id. Two datasets may have files of one
name, and groups of all runs are numbered from 0."""


@dataclass(frozen=True)
class Model:
    """One run's winner for one target: the scores of one part, inf of what could not be scored. groups: of what groups
    they are; empty where they are of images. anomalous: whether an image is, for the target."""

    name: str
    scores: dict[Key, float]
    groups: str = ""
    run: str = ""
    target: str = ""
    anomalous: dict[Key, bool] = field(default_factory=dict)

    @cached_property
    def finite(self) -> dict[Key, float]:
        """Of what could be scored: inf is a rank, which tables count, and no score to be correlated."""
        return {key: score for key, score in self.scores.items() if math.isfinite(score)}


@dataclass(frozen=True)
class Pair:
    """Two runs on the images that both have; what could not be scored ranks above all. classes: target -> how much more
    AUROC the first has than the second; mean: of the means over these. wilcoxon: p over the classes; None where
    they are too few. seeds: the same over the seeds that both runs have trained the points of their winners with, by
    the mean over the classes; None where these are not several, or the runs have other images or classes."""

    first: str
    second: str
    classes: dict[str, Difference]
    seeds: OverSeeds | None = None

    @property
    def mean(self) -> Difference:
        return mean_difference([*self.classes.values()])

    @property
    def wilcoxon(self) -> float | None:
        return wilcoxon_p([*self.classes.values()])


@dataclass(frozen=True)
class Comparison:
    """table: the measured rows of every run. models: with `correlations` (M, M), Spearman's rho in [-1, 1] over shared
    test and out images (nan where they share fewer than `LEAST`), and `shared` (M, M), how many those are. notes: what
    could not be compared, in sentences. files: those that were written. pairs: of runs that share targets."""

    table: Table
    models: list[Model]
    correlations: np.ndarray
    shared: np.ndarray
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    pairs: tuple[Pair, ...] = ()

    @property
    def leaks(self) -> frozenset[str]:
        """Runs whose configuration was picked by test labels."""
        return frozenset(row.name for row in self.table.rows if row.leak)

    def marked(self, mark: str) -> list[str]:
        """The models' names, with a mark where their run is a leak."""
        return [f"{model.name} {mark}" if model.run in self.leaks else model.name for model in self.models]


def compare(storage: str, runs: list[str], part: str, folder: Path | None = None) -> Comparison:
    """The winners of finished runs. folder: where files that show it are written.

    Raises UserError (exit 2) for unknown runs, one that is named twice, and for a part that one lacks.
    """
    if twice := [run for run, count in Counter(runs).items() if count > 1]:
        raise UserError(f"the run {twice[0]!r} is named twice", fix="name every run once")
    opened = [open_run(absolute(storage), run) for run in runs]
    models = [model for paths, state in opened for model in models_of(paths, state, part)]
    size = len(models)
    correlations, shared = np.full((size, size), np.nan), np.zeros((size, size), np.int64)
    for i, j in np.ndindex(size, size):
        left, right = models[i].finite, models[j].finite
        both = sorted(left.keys() & right.keys())
        shared[i, j] = len(both)
        if len(both) >= LEAST:
            correlations[i, j] = rank_correlation([left[key] for key in both], [right[key] for key in both])
    unlike = [f"{a.name} and {b.name}" for a, b in combinations(models, 2) if a.groups != b.groups]
    notes = [f"{pair} scored other groups of images: their scores are not correlated" for pair in unlike]
    states = {paths.run: state for paths, state in opened}
    pairs = pairs_of(models)
    if part == WHOLE:  # whose AUROC the seeds have
        pairs = tuple(replace(p, seeds=seeds_of(states[p.first], states[p.second])) for p in pairs)
    table = side_by_side(opened)
    comparison = Comparison(table, models, correlations, shared, tuple(notes), pairs=pairs)
    return replace(comparison, files=write(comparison, folder, part)) if folder else comparison


def pairs_of(models: list[Model]) -> tuple[Pair, ...]:
    """Every two runs that have a target in common, and of it enough images of either kind."""
    by_run: dict[str, dict[str, Model]] = {}
    for model in models:
        by_run.setdefault(model.run, {})[model.target] = model
    pairs = []
    for (first, left), (second, right) in combinations(by_run.items(), 2):
        differences = {target: paired(left[target], right[target]) for target in left if target in right}
        known = {target: value for target, value in differences.items() if value is not None}
        pairs += [Pair(first, second, known)] if known else []
    return tuple(pairs)


def seeds_of(first: RunState, second: RunState) -> OverSeeds | None:
    """The difference of two runs' winners over the seeds of their points; see `Pair`."""
    alike = (first.opened.targets, first.identity.data) == (second.opened.targets, second.identity.data)
    left, right = (state.areas_by_seed(sure_winner(state).id) for state in (first, second))
    return over_seeds(left, right) if alike else None


def paired(left: Model, right: Model) -> Difference | None:
    """The difference on images that both have and call the same; None where too few are of either kind."""
    marks = left.anomalous
    both = [key for key in left.scores if key in right.scores and marks[key] == right.anomalous[key]]
    kinds = [[key for key in both if marks[key] == kind] for kind in (False, True)]
    if min(map(len, kinds)) < LEAST:
        return None
    normal, anomalous = (np.array([[model.scores[key] for key in keys] for model in (left, right)]) for keys in kinds)
    return difference(normal, anomalous)


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Spearman's rho; nan where either never varies."""
    from scipy.stats import spearmanr  # half a second, which every launch would wait for

    return float(spearmanr(a, b).statistic) if np.ptp(a) and np.ptp(b) else float("nan")


def models_of(paths: RunPaths, state: RunState, part: str) -> list[Model]:
    """One model a target of a run, named by the run, and by the target where there are several."""
    best = sure_winner(state)
    scores = read_table(paths.trial(best.id).scores(1000), vouched=paths.vouched)
    parts = scores["part"].unique().to_pylist()
    if part not in parts:
        raise UserError(f"the run {paths.run!r} has no scores {part!r}", details=nearest(part, parts))
    tested = [split == "test" or bool(out_name(split)) for split in scores["split"].to_pylist()]
    rows = scores.filter(pc.and_(pc.equal(scores["part"], part), tested))
    grouped = any(item.startswith("group-") for item in rows["image_id"].slice(0, 1).to_pylist())
    digest, targets = state.opened.identity.data, state.opened.targets
    pixels = {} if grouped else image_digests(paths, digest)
    models = []
    for target in targets:
        of_target = rows.filter(pc.equal(rows["target"], target))
        groups = groups_of(digest, target, state.space.config(best.point)) if grouped else ""
        splits, ids = of_target["split"].to_pylist(), of_target["image_id"].to_pylist()
        pairs = zip(splits, ids, strict=True)
        keys: list[Key] = [
            (groups, split, item) if grouped else (pixels.get(item, digest), item) for split, item in pairs
        ]
        name = paths.run if len(targets) == 1 else f"{paths.run}/{target}"
        scored, marks = (of_target[column].to_pylist() for column in ("score", "anomalous"))
        anomalous = dict(zip(keys, marks, strict=True))
        models.append(Model(name, dict(zip(keys, scored, strict=True)), groups, paths.run, target, anomalous))
    return models


def groups_of(digest: str, target: str, config: Any) -> str:
    """What decides which images meet in a group."""
    return f"{digest} {target} seed {config.group_seed}, contamination {config.contamination:g}"


def image_digests(paths: RunPaths, digest: str) -> dict[str, str]:
    """Id -> digest of its pixels, of the tested images that the storage keeps under a data digest; empty where they are
    gone. So an image is the same in runs that have other images beside it."""
    digests: dict[str, str] = {}
    store = SplitStore(paths)
    if not store.folder(digest).exists():
        return digests
    for table in store.tables(digest):
        splits, ids, images = (table[name] for name in ("split", "id", "image"))
        for split, item, image in zip(splits.to_pylist(), ids.to_pylist(), images, strict=True):
            if split == "test" or out_name(split):
                digests[item] = blake2b(image.as_buffer(), digest_size=16).hexdigest()
    return digests


def side_by_side(opened: list[tuple[RunPaths, RunState]]) -> Table:
    """The whole detectors of all runs over all their columns; baselines and published rows of each data set once."""
    tables = []
    for paths, state in opened:
        table = table_of(paths, state, sure_winner(state))
        measured = [row for row in table.rows if row.kind.startswith("measured")]
        whole = measured if table.unit == "classes" else [row for row in measured if row.name == WHOLE]
        others = [row for row in table.rows if row not in measured]
        tables.append(replace(table, rows=(*(replace(row, name=paths.run) for row in whole), *others)))
    columns = tuple(dict.fromkeys(name for table in tables for name in table.classes))
    rows: dict[Any, Row] = {(row.kind, row.name, repr(row.values)): row for table in tables for row in table.rows}
    units, kinds = {table.unit for table in tables}, [*KINDS.values()]
    ordered = sorted(rows.values(), key=lambda row: kinds.index(row.kind))
    apart = tuple(dict.fromkeys(name for table in tables for name in table.apart))
    unit, rivals = units.pop() if len(units) == 1 else "columns", all(table.rivals for table in tables)
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    return Table(columns, tuple(ordered), unit=unit, notes=notes, apart=apart, rivals=rivals)


def write(comparison: Comparison, folder: Path, part: str) -> tuple[Path, ...]:
    """correlation.csv, correlation.png and auroc.csv in a folder; their paths."""
    from orchestrator.results.report.curves import correlation_plot
    from orchestrator.results.report.tables import to_csv

    folder.mkdir(parents=True, exist_ok=True)
    names = [model.name for model in comparison.models]
    lines = [",".join(["", *names])]
    lines += [
        ",".join([name, *("" if np.isnan(v) else f"{v:.6f}" for v in row)])
        for name, row in zip(names, comparison.correlations, strict=True)
    ]
    files = {name: folder / name for name in ("auroc.csv", "correlation.csv", "correlation.png")}
    write_atomically(files["auroc.csv"], to_csv(comparison.table).encode())
    write_atomically(files["correlation.csv"], ("\n".join(lines) + "\n").encode())
    scores = [model.finite for model in comparison.models]
    write_atomically(files["correlation.png"], correlation_plot(names, scores, comparison.correlations, part))
    return tuple(files.values())
