"""Score files, and every number that comes from those files alone."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from orchestrator.planning.identity import Identity
from orchestrator.record.paths import BASELINE, RunPaths, TrialPaths
from workloads.data.images import CALIBRATION, out_name
from workloads.errors import Kind
from workloads.files import DamagedFileError, damaged_file, read_checked, remove_checked, write_checked
from workloads.scoring.baselines import CONVOLUTIONS
from workloads.scoring.image_metrics import image_numbers
from workloads.scoring.metrics import (
    contrastive,
    contrastive_by_unit,
    failed,
    mean,
    mean_validation,
    not_learned,
    out_auroc,
    per_class_auroc,
    per_part_auroc,
    unscored,
    whole_intervals,
)
from workloads.scoring.pixel_metrics import PixelMetrics, pixel_numbers
from workloads.scoring.table import LIKELIHOOD, WHOLE, join, one_row_an_image, rows

SECONDS = b"seconds"
REMADE = "resume the run: that makes the file again"


def write_table(path: UPath, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    write_checked(path, sink.getvalue().to_pybytes())


def read_table(path: UPath, *, vouched: bool = True) -> pa.Table:
    """Raises DamagedFileError, which names the file, where it is missing, damaged or no table, and without a checksum
    unless it is not `vouched`."""
    try:
        return pq.read_table(pa.BufferReader(read_checked(path, REMADE, vouched=vouched)))
    except FileNotFoundError:
        raise DamagedFileError("a score file is missing", str(path), fix=REMADE, kind=Kind.ENVIRONMENT) from None
    except pa.ArrowException as error:  # of an earlier version, without a checksum
        headline = "a score file is damaged: it is no Parquet file"
        raise DamagedFileError(headline, str(path), fix=REMADE, kind=Kind.ENVIRONMENT) from error


def write_share(path: UPath, scores: pa.Table, seconds: Mapping[str, float]) -> None:
    """One worker's scores of a rung and, in the file's own notes, what training took: str(unit) -> seconds."""
    write_table(path, scores.replace_schema_metadata({SECONDS: json.dumps(seconds)}))


def seconds_of(table: pa.Table) -> dict[str, float]:
    """The notes of `write_share`."""
    seconds: dict[str, float] = json.loads((table.schema.metadata or {}).get(SECONDS, b"{}"))
    return seconds


def combined(table: pa.Table, method: Any) -> pa.Table:
    """The rows of the whole detectors: for test, val, calibration and out images, the parts' scores put together by the
    method.

    The parts that a config is judged by are put together, all of the same images, or groups of one size.
    """
    blocks, judged = [], method.judged_parts()
    out = [split for split in table.column("split").unique().to_pylist() if out_name(split)]
    for target, of_target in by_target(table):
        for split in ("test", "val", CALIBRATION, *out):
            of_split = of_target.filter(pc.equal(of_target.column("split"), split))
            there = set(of_split.column("part").unique().to_pylist())
            names = sorted(there if judged is None else there & set(judged))
            if not names:  # not one group of that size
                continue
            parts = {n: of_split.filter(pc.equal(of_split.column("part"), n)) for n in names}
            first = parts[names[0]]
            if any(not p.column("image_id").equals(first.column("image_id")) for p in parts.values()):
                raise ValueError(f"the parts of {target} scored different images")
            whole = method.combine({n: p.column("score").to_numpy() for n, p in parts.items()})
            ids, labels = (first.column(n).to_pylist() for n in ("image_id", "label"))
            blocks.append(rows(target, split, WHOLE, ids, labels, first.column("anomalous").to_numpy(), whole))
    return join(blocks)


def by_target(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Every target with its rows, both in the order of the table.

    The table is sorted once: filtered for every target it would be read as often as there are classes, and its length
    grows with their square as it is.
    """
    targets = table.column("target").unify_dictionaries().combine_chunks()
    numbers = targets.indices.to_numpy()
    rows = np.argsort(numbers, kind="stable")
    ordered = table.take(rows).combine_chunks()
    starts = np.unique(numbers[rows], return_index=True)[1]
    pieces = zip(starts, [*starts[1:], len(rows)], strict=True)
    for start, end in sorted(pieces, key=lambda piece: rows[piece[0]]):
        yield targets[rows[start]].as_py(), ordered.slice(start, end - start)


def metrics_of(
    table: pa.Table, method: Any, *, pooled: bool = False, windows: pa.Table | None = None
) -> dict[str, Any]:
    """Every number of an evaluation, from its table alone: what MLflow and the report show. Undefined is None.

    ``oracle`` is the mean test AUROC, over classes where they are each other's anomalies, else over the out sets.
    pooled: whether a whole dataset is normal, so that the mean is over its out sets and its own anomalies are in none.
    windows: the table with a row a window, where images have several: ``bits_per_dim`` is their mean, for an image's
    row is its worst window's, and a density is judged by all that it was fitted to.
    """
    whole = per_class_auroc(table, WHOLE)
    out = out_numbers(table, method)
    tested = out.get("auroc_out/mean") if pooled else mean(whole.values())
    levels = {part: values for part, values in per_part_auroc(table).items() if part != WHOLE}
    in_bits = table if windows is None else windows
    own_proxies = {f"{t}/{p}": groups.get("own") for (t, p), groups in contrastive_by_unit(table).items()}
    return {
        "contrastive": contrastive(table, method.judged_parts()),
        "oracle": tested if tested is not None else out.get("auroc_out/mean"),
        **({"bits_per_dim": mean_validation(in_bits, LIKELIHOOD)} if "likelihood" in method.selections else {}),
        "auroc/mean": tested,
        **image_numbers(table, pooled=pooled),
        **{f"auroc/{target}": value for target, value in whole.items()},
        **{f"auroc_level/{method.part_names.short(part)}": mean(v.values()) for part, v in levels.items()},
        **out,
        "levels": levels,
        "own": own_proxies,
        "intervals": whole_intervals(table, pooled=pooled),
        "unscored": unscored(table),
        "not_learned": [list(item) for item in not_learned(table)],
        "failed": failed(table),
        "failed_scores": sum(failed(table).values()),
    }


def out_numbers(table: pa.Table, method: Any) -> dict[str, Any]:
    """AUROC against the out sets: ``out`` holds all as set -> part -> target, the other keys what MLflow shows.

    ``auroc_out/<set>/<target>`` and its means are of the whole detectors, ``auroc_out_level/<k>/<set>`` is the mean of
    a level. Empty for a table without out sets.
    """
    nested: dict[str, dict[str, dict[str, float | None]]] = {}
    for (target, part, name), value in out_auroc(table).items():
        nested.setdefault(name, {}).setdefault(part, {})[target] = value
    shown: dict[str, Any] = {"out": nested} if nested else {}
    for name, parts in nested.items():
        for part, values in parts.items():
            if part == WHOLE:
                shown |= {f"auroc_out/{name}/{target}": value for target, value in values.items()}
                shown[f"auroc_out/{name}/mean"] = mean(values.values())
            else:
                shown[f"auroc_out_level/{method.part_names.short(part)}/{name}"] = mean(values.values())
    if nested:
        shown["auroc_out/mean"] = mean(shown[f"auroc_out/{name}/mean"] for name in nested)
    return shown


def baseline_numbers(
    paths: RunPaths, identity: Identity, *, pooled: bool = False, group: int = 1
) -> tuple[dict[str, dict[str, float | None]], list[str]]:
    """AUROC by class of every baseline that has been scored, from its file; by out set where a whole dataset is normal.
    Beside them sentences on those whose files are damaged or missing, or have been.

    group: as of `workloads.scoring.metrics.Rows.grouped`. Which baselines a run of an earlier version had is not known:
    what is missing of them is not said.
    """
    numbers, remarks, expected = dict[str, dict[str, float | None]](), list[str](), bool(identity.baselines)
    files = {name: paths.baselines / key / BASELINE for name, key in identity.baseline_keys.items()}
    for name, path in files.items():
        try:
            table = read_table(path, vouched=paths.vouched)
        except DamagedFileError as error:
            if path.exists() or (expected and (name == CONVOLUTIONS or not pooled)):
                remarks.append(f"the row of {name} is left out: {error.headline} ({path}); {error.fix}")
            continue
        remarks += remade(path)
        if pooled:
            numbers[name] = {out: value for (_, _, out), value in out_auroc(table, group=group).items()}
        else:
            numbers[name] = per_class_auroc(table, group=group)
    return numbers, remarks


def remade(path: UPath) -> list[str]:
    """That a file was damaged and has been made again, where it was."""
    kept = damaged_file(path)
    return [f"{path} was damaged and has been made again; what was there is {kept.name}"] if kept.exists() else []


def finish_rung(
    paths: TrialPaths,
    rung: int,
    writers: int,
    method: Any,
    train_seconds: float,
    macs: float,
    *,
    pooled: bool = False,
    pixels: Mapping[str, PixelMetrics] | None = None,
) -> None:
    """Join the workers' parts into one file and compute the rung's numbers from it; the JSON is written last. pooled:
    as in `metrics_of`. pixels: of the targets whose images have maps and masks; no table has these."""
    parts = [paths.scores_share(rung, rank) for rank in range(writers)]
    tables = [read_table(p) for p in parts]
    seconds = {unit: spent for table in tables for unit, spent in seconds_of(table).items()}
    table = pa.concat_tables([t.replace_schema_metadata(None) for t in tables]).unify_dictionaries()
    windows = pa.concat_tables([table, combined(table, method)]).unify_dictionaries()
    table = one_row_an_image(windows)
    write_table(paths.scores(rung), table)
    cost = {"train_seconds": round(train_seconds, 2), "macs": macs, "seconds": dict(sorted(seconds.items()))}
    numbers = metrics_of(table, method, pooled=pooled, windows=windows)
    metrics = {"budget": rung, **cost, **numbers, **pixel_numbers(pixels or {})}
    write_checked(paths.rung(rung), json.dumps(metrics, indent=1).encode())
    for part in paths.scores_shares(rung):
        remove_checked(part)
