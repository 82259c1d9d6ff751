"""Exact AUROC and what is made of it: per class, per part, and the selection criterion that needs no test label.

Higher score = more anomalous; the anomaly is the positive class. Undefined is None, never 0.5. The functions over
tables take one with the columns of `workloads.scoring.table.SCHEMA` and group it once: a million rows cost a second.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from workloads.data.images import out_name, out_split
from workloads.scoring.intervals import Interval, interval_of, mean_interval
from workloads.scoring.table import FAILED, SCHEMA, WHOLE

TEST, VALIDATION = "test", "val"
OWN_FAKES = "own"  # the proxy group of the made anomalies that a part was trained against

Floats = NDArray[np.float64]


def auroc(scores: ArrayLike, anomalous: ArrayLike) -> float | None:
    """Area under the ROC curve: the chance that an anomaly outscores a normal image, a tie counting one half.

    scores: (N,) reals, any unit; -inf and +inf are ordinary ends of the order.
    anomalous: (N,) booleans or 0/1.
    Returns a value in [0, 1], counted in integers and rounded once (Mann-Whitney U / (n m)); None when either class is
    absent. Raises ValueError for a NaN score, a shape mismatch or a label that is neither 0 nor 1.
    """
    normal, anomaly = _by_class(scores, anomalous)
    return _area(normal, anomaly)


def pixel_auroc(maps: ArrayLike, masks: ArrayLike) -> float | None:
    """`auroc` over every pixel of all images together: can maps say where an anomaly is?

    maps: (N, S, S) reals, taken as float32; higher = more anomalous. masks: (N, S, S) booleans or 0/1, 1 = anomalous.
    None where no pixel, or every pixel, is anomalous. Raises ValueError as `auroc`, also where the shapes differ.
    """
    scores, anomalous = np.asarray(maps, dtype=np.float32), np.asarray(masks)
    if scores.shape != anomalous.shape:
        raise ValueError(f"maps and masks must be (N, S, S) alike, found {scores.shape} and {anomalous.shape}")
    return auroc(scores.ravel(), anomalous.ravel())


def auroc_interval(scores: ArrayLike, anomalous: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """`workloads.scoring.intervals.interval_of`, arguments and errors as in `auroc`."""
    return interval_of(*_by_class(scores, anomalous), confidence)


def roc_curve(scores: ArrayLike, anomalous: ArrayLike) -> tuple[Floats, Floats]:
    """False and true positive rates, each (K + 1,) in [0, 1] for K distinct scores, rising from (0, 0) to (1, 1).

    Ties move along one straight segment, so the trapezoid rule gives `auroc`. Arguments as in `auroc`; raises
    ValueError as it does, and also where it returns None: with one class absent there is no curve.
    """
    normal, anomaly = _by_class(scores, anomalous)
    if not len(normal) or not len(anomaly):
        raise ValueError(f"a ROC curve needs both classes, found {len(normal)} normal and {len(anomaly)} anomalous")
    thresholds = np.unique(np.concatenate([normal, anomaly]))[::-1]
    return _exceeding(normal, thresholds), _exceeding(anomaly, thresholds)


def mean(values: Iterable[float | None]) -> float | None:
    """Mean over the defined values; None if none is. Whoever needs all of them defined must count them."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def per_class_auroc(table: pa.Table, part: str = WHOLE, *, group: int = 1) -> dict[str, float | None]:
    """AUROC over the test rows of one part for every target in the table, in natural order; None where undefined.
    group: as of `Rows.grouped`.

    Raises ValueError for missing columns, nulls or NaN scores.
    """
    return {target: rows.grouped(group).auroc() for target, rows in rows_by_target(table, part).items()}


def rows_by_target(table: pa.Table, part: str = WHOLE) -> dict[str, Rows]:
    """The test rows of one part for every target in the table, in natural order. Raises as `per_class_auroc`."""
    groups = _groups(table)
    return {target: groups.get(_Unit(target, part, TEST), NO_ROWS) for target in _targets(groups)}


def per_part_auroc(table: pa.Table) -> dict[str, dict[str, float | None]]:
    """`per_class_auroc` of every part in the table: parts in natural order, the whole detector last."""
    groups = _groups(table)
    parts = sorted({unit.part for unit in groups}, key=lambda part: (part == WHOLE, _natural(part)))
    targets = _targets(groups)
    return {part: {t: groups.get(_Unit(t, part, TEST), NO_ROWS).auroc() for t in targets} for part in parts}


def out_auroc(table: pa.Table, *, group: int = 1) -> dict[tuple[str, str, str], float | None]:
    """(target, part, out set) -> AUROC of the target's own normal test images against the whole out set. group: as of
    `Rows.grouped`.

    Natural order; None where the target has no normal test rows, or no image of the set could be scored. The
    anomalous test images, those of the other classes, take no part: they are `per_class_auroc`'s. Empty for a table
    without out sets. Raises as `per_class_auroc`, and ValueError for rows of an out set that are marked normal.
    """
    groups = _groups(table)
    areas: dict[tuple[str, str, str], float | None] = {}
    for unit, rows in groups.items():
        if name := out_name(unit.split):
            if not rows.anomalous.all():
                raise ValueError(f"{unit}: the rows of an out set must be anomalous")
            test = groups.get(unit._replace(split=TEST), NO_ROWS)
            areas[unit.target, unit.part, name] = test.normal_against(rows).grouped(group).auroc()
    return areas


def contests(table: pa.Table, part: str = WHOLE) -> dict[str, Rows]:
    """What every AUROC of one part is over, by its name in MLflow: ``auroc/TARGET`` over all that a target is tested
    on, ``auroc_out/SET/TARGET`` over its normal test images and an out set, but not over its own anomalies."""
    return _contests(_groups(table), part)


def unscored(table: pa.Table) -> dict[str, dict[str, tuple[int, int]]]:
    """part -> name in MLflow of an AUROC -> how many of the images that it is over could not be scored, and how many
    there are; AUROCs over scored images alone left out."""
    if not pc.any(pc.equal(table["score"], FAILED)).as_py():
        return {}
    groups = _groups(table)
    by_part = {part: _contests(groups, part) for part in dict.fromkeys(unit.part for unit in groups)}
    counts = {
        part: {name: (rows.failed, len(rows.scores)) for name, rows in matches.items() if rows.failed}
        for part, matches in by_part.items()
    }
    return {part: matches for part, matches in counts.items() if matches}


def _contests(groups: dict[_Unit, Rows], part: str) -> dict[str, Rows]:
    tests = {unit.target: rows for unit, rows in groups.items() if unit.part == part and unit.split == TEST}
    matches = {f"auroc/{target}": rows for target, rows in tests.items()}
    for name in dict.fromkeys(out_name(unit.split) for unit in groups if out_name(unit.split)):
        for target, rows in tests.items():
            others = groups.get(_Unit(target, part, out_split(name)), NO_ROWS)
            matches[f"auroc_out/{name}/{target}"] = rows.normal_against(others)
    return matches


def whole_intervals(table: pa.Table, *, pooled: bool = False) -> dict[str, Interval | None]:
    """95 % intervals of the whole detectors' AUROCs and of their means, by the names of these numbers in MLflow.

    Targets' errors count as independent where they are each other's anomalies. Those against one out set do not, for
    all targets are held against its images; nor do those of several sets, held against the same normal images. pooled:
    whether a whole dataset is normal, so that `auroc/mean` is over its out sets.
    """
    rows = contests(table)
    known = {name: (pair.auroc(), pair.interval()) for name, pair in rows.items()}
    intervals = {name: interval for name, (_, interval) in known.items()}
    intervals["auroc/mean"] = mean_interval(pair for name, pair in known.items() if name.startswith("auroc/"))
    means = []
    for name in dict.fromkeys(out_name(split) for split in table["split"].unique().to_pylist() if out_name(split)):
        parts = [pair for number, pair in known.items() if number.startswith(f"auroc_out/{name}/")]
        intervals[f"auroc_out/{name}/mean"] = mean_interval(parts, independent=False)
        means.append((mean(area for area, _ in parts), intervals[f"auroc_out/{name}/mean"]))
    if means:
        intervals["auroc_out/mean"] = mean_interval(means, independent=False)
    if pooled:
        intervals["auroc/mean"] = intervals.get("auroc_out/mean")
    return intervals


def contrastive(table: pa.Table, parts: Collection[str] | None = None) -> float | None:
    """The selection criterion that sees no test row: how well held-out normals are told from held-out made anomalies.

    parts: those that count; all but the whole detector where None.
    The mean of `contrastive_by_unit` over groups, then over a target's parts, then over targets, so that neither a
    group with many banks nor a target with many parts weighs more. In [0, 1], higher is better; undefined entries are
    left out (see `mean`), None if nothing is defined: compare trials over the same targets and parts. None also where a
    row that counts could not be scored, as in `mean_validation`. Unlike the training loss it has no lam, so trials with
    unequal lam compare. Raises as `contrastive_by_unit`.
    """
    by_unit, by_target = contrastive_by_unit(table), dict[str, list[float | None]]()
    if _unscored_proxies(table, parts):
        return None
    for (target, part), groups in by_unit.items():
        if parts is None or part in parts:
            by_target.setdefault(target, []).append(mean(groups.values()))
    return mean(mean(values) for values in by_target.values())


def mean_validation(table: pa.Table, part: str) -> float | None:
    """Mean score that a part gives held-out normal images: over the images of a target, then over targets.

    None where the table has no such rows, and where one of them could not be scored: a mean over the others would be
    the better the more images fail. Raises as `per_class_auroc`.
    """
    groups = _groups(table)
    means = [
        float(rows.scores.mean()) for unit, rows in groups.items() if unit.split == VALIDATION and unit.part == part
    ]
    return mean(means) if np.isfinite(means).all() else None


def contrastive_by_unit(table: pa.Table) -> dict[tuple[str, str], dict[str, float | None]]:
    """For every (target, part) except the whole detector: the AUROC of each proxy group, averaged over its banks.

    A bank is a split named ``group/name`` that is no out set; it is set against the ``val`` rows of the same target and
    part. A group whose AUROC is undefined is None: without validation rows, or where one of these or of its proxies
    could not be scored, for a failure ranks as an anomaly that was detected. Raises ValueError for missing columns,
    nulls, NaN scores, and for validation rows marked anomalous or proxy rows marked normal.
    """
    groups = _groups(table)
    banks: dict[tuple[str, str], dict[str, list[float | None]]] = {}
    for unit, rows in groups.items():
        if unit.part == WHOLE:
            continue
        by_group = banks.setdefault((unit.target, unit.part), {})
        if "/" not in unit.split or out_name(unit.split):
            continue
        normal = groups.get(unit._replace(split=VALIDATION), NO_ROWS)
        if normal.anomalous.any() or not rows.anomalous.all():
            raise ValueError(f"{unit}: validation rows must be normal and proxy rows anomalous")
        whole = not (normal.failed or rows.failed)
        area = _area(normal.scores, rows.scores) if whole else None
        by_group.setdefault(unit.split.partition("/")[0], []).append(area)
    return {unit: {name: _mean_of_all(areas) for name, areas in by_group.items()} for unit, by_group in banks.items()}


def _mean_of_all(values: list[float | None]) -> float | None:
    """None where one is undefined."""
    return None if None in values else mean(values)


def _unscored_proxies(table: pa.Table, parts: Collection[str] | None) -> bool:
    """Whether a validation or proxy row of these parts, all but the whole detector by default, could not be scored."""
    rows = table.filter(pc.equal(table["score"], FAILED))
    pairs = set(zip(rows["split"].to_pylist(), rows["part"].to_pylist(), strict=True))
    counted = {split for split, part in pairs if part != WHOLE and (parts is None or part in parts)}
    return any(split != TEST and not out_name(split) for split in counted)


def not_learned(table: pa.Table, threshold: float = 0.55) -> list[tuple[str, str, float]]:
    """(target, part, AUROC) of every detector that hardly tells held-out normals from the fakes it was trained against.

    Those are near chance, or upside down, on their own task, and drag the average of the parts down. A unit whose
    own-group AUROC is undefined cannot be judged and is not listed. Raises as `contrastive_by_unit`.
    """
    areas = ((*unit, groups.get(OWN_FAKES)) for unit, groups in contrastive_by_unit(table).items())
    return [(target, part, area) for target, part, area in areas if area is not None and area < threshold]


def failed(table: pa.Table) -> dict[str, int]:
    """How many images (or groups) of a target could not be scored by some part; targets without one left out."""
    rows = table.filter(pc.equal(table["score"], FAILED)).select(["target", "split", "image_id"])
    images = rows.group_by(rows.column_names, use_threads=False).aggregate([])
    return dict(Counter(images["target"].to_pylist()))


def _by_class(scores: ArrayLike, anomalous: ArrayLike) -> tuple[Floats, Floats]:
    values, labels = np.asarray(scores, dtype=np.float64), np.asarray(anomalous)
    if values.ndim != 1 or values.shape != labels.shape:
        raise ValueError(f"scores and anomalous must be (N,) alike, found {values.shape} and {labels.shape}")
    if np.isnan(values).any():
        raise ValueError(f"{np.isnan(values).sum()} of {len(values)} scores are NaN")
    positive = labels.astype(np.bool_)
    if not np.array_equal(positive, labels):
        raise ValueError("anomalous must hold booleans or 0/1")
    return values[~positive], values[positive]


def _area(normal: Floats, anomaly: Floats) -> float | None:
    if not len(normal) or not len(anomaly):
        return None
    ordered, queries = np.sort(normal), np.sort(anomaly)  # sorted queries walk through memory in order: much faster
    twice = sum(int(np.searchsorted(ordered, queries, side).sum(dtype=np.int64)) for side in ("left", "right"))
    return twice / (2 * len(normal) * len(anomaly))


def _exceeding(scores: Floats, thresholds: Floats) -> Floats:
    """Share of the scores at or above each falling threshold, after a leading 0."""
    counts = len(scores) - np.searchsorted(np.sort(scores), thresholds, "left")
    return np.concatenate([[0.0], counts / len(scores)])


def _targets(groups: dict[_Unit, Rows]) -> list[str]:
    return sorted({unit.target for unit in groups}, key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts level_2 before level_16."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", name)]


def _groups(table: pa.Table) -> dict[_Unit, Rows]:
    """The rows of every (target, part, split), in natural order; one grouping of the whole table."""
    if missing := [name for name in SCHEMA.names if name not in table.column_names]:
        raise ValueError(f"not a table of scores: columns {', '.join(missing)} are missing")
    columns = [*_Unit._fields, "score", "anomalous"]
    for column in columns:
        if nulls := table[column].null_count:
            raise ValueError(f"column {column} has {nulls} nulls")
    # Chunks written by different workers number the same names differently: one dictionary for all first.
    grouping = table.select(columns).unify_dictionaries().group_by(_Unit._fields, use_threads=False)
    listed = grouping.aggregate([("score", "list"), ("anomalous", "list")])
    units = (_Unit(*names) for names in zip(*(listed[name].to_pylist() for name in _Unit._fields), strict=True))
    groups: dict[_Unit, Rows] = {}
    for unit, scores, anomalous in zip(units, listed["score_list"], listed["anomalous_list"], strict=True):
        values = scores.values.to_numpy().astype(np.float64)
        if np.isnan(values).any():
            raise ValueError(f"NaN scores in {unit}")
        groups[unit] = Rows(values, anomalous.values.to_numpy(zero_copy_only=False))
    return dict(sorted(groups.items(), key=lambda item: [_natural(name) for name in item[0]]))


class _Unit(NamedTuple):
    target: str
    part: str
    split: str


class Rows(NamedTuple):
    """Scores of one target, part and split, and which of them are of anomalies, (N,) each."""

    scores: Floats
    anomalous: NDArray[np.bool_]

    @property
    def failed(self) -> int:
        """How many images could not be scored."""
        return int((self.scores == FAILED).sum())

    @property
    def undetermined(self) -> bool:
        """Whether no anomaly was scored: that all rank above the normal images is then no merit of the detector."""
        return bool((self.scores[self.anomalous] == FAILED).all())

    def auroc(self) -> float | None:
        """None where a class is absent, or no anomaly could be scored."""
        if self.undetermined:
            return None
        return _area(self.scores[~self.anomalous], self.scores[self.anomalous])

    def normal_against(self, anomalies: Rows) -> Rows:
        """The normal images of these rows beside other anomalies."""
        normal = self.scores[~self.anomalous]
        marks = np.repeat([False, True], [len(normal), len(anomalies.scores)])
        return Rows(np.concatenate([normal, anomalies.scores]), marks)

    def grouped(self, size: int) -> Rows:
        """Groups of so many images of one kind, each scored by the mean of its images: a seeded choice, no image in two
        groups; images that fill no group are left out."""
        if size <= 1:
            return self
        random = np.random.default_rng(size)
        kinds = [random.permutation(self.scores[self.anomalous == kind]) for kind in (False, True)]
        means = [scores[: len(scores) // size * size].reshape(-1, size).mean(1) for scores in kinds]
        return Rows(np.concatenate(means), np.repeat([False, True], [len(scores) for scores in means]))

    def interval(self) -> Interval | None:
        """95 % interval of `auroc`."""
        if self.undetermined:
            return None
        return interval_of(self.scores[~self.anomalous], self.scores[self.anomalous])


NO_ROWS = Rows(np.empty(0), np.empty(0, dtype=np.bool_))
