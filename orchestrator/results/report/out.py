"""Tables of out-of-distribution AUROC: every part and the whole, against the out sets.

There are two. Where the other classes are anomalies, too, they and the out sets stand side by side (`out_table`). Where
a whole dataset is normal, the out sets alone are the anomalies, and take the place of classes (`sets_table`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.results.report.tables import Row, Table, with_published
from tune_spaces import published
from workloads.data.catalogue import NOISE
from workloads.data.images import out_name, out_split
from workloads.scoring.metrics import mean, out_auroc, per_part_auroc
from workloads.scoring.table import SCHEMA, WHOLE, group_size


def out_table(
    scores: pa.Table,
    *,
    dataset: str,
    targets: Sequence[str],
    out: Sequence[str],
    kind: str,
    note: str = "",
    counts: Mapping[str, int] | None = None,
) -> Table | None:
    """Rows are the parts, the whole last; columns ``target/set``, set by set; None for scores without out sets.

    The first set, ``rDATASET``, is the other classes of the dataset: the ordinary per-class AUROC. scores: columns of
    `workloads.scoring.table.SCHEMA`. kind: of number, one of `tables.KINDS`. counts: images by split, for a note. The
    paper's rows stand below, as a kind of their own, where it has such a table and shares columns with it.
    """
    areas = out_auroc(scores)
    if not areas:
        return None
    rest = f"r{heading(dataset)}"
    columns = tuple(f"{target}/{name}" for name in (rest, *map(heading, out)) for target in targets)
    rows = []
    for part, classes in per_part_auroc(scores).items():
        values = {f"{target}/{rest}": classes.get(target) for target in targets}
        values |= {f"{target}/{heading(name)}": areas.get((target, part, name)) for name in out for target in targets}
        rows.append(Row(part, kind, values, None, note))
    sizes = ", ".join(f"{(counts or {}).get(out_split(name), '?')} of {heading(name)}" for name in out)
    notes = (f"Measured against the other classes' test images ({rest}) and out-set images: {sizes}.",)
    table = Table(columns, tuple(rows), notes, averaged=False)
    return _beside(table, f"{dataset}_ood")


def against_sets(scores: pa.Table) -> pa.Table:
    """Scores of a dataset that is normal as a whole, as if every out set were a target with a test of its own.

    Columns of `workloads.scoring.table.SCHEMA`, in and out. The rows of a set ``out/NAME`` become test rows of the
    target NAME, together with the dataset's own test rows; all others are left out.
    """
    splits = [split for split in scores["split"].unique().to_pylist() if out_name(split)]
    tested = scores.filter(pc.equal(scores["split"], "test"))
    parts = []
    for split in splits:
        rows = pa.concat_tables([tested, scores.filter(pc.equal(scores["split"], split))])
        renamed = {"target": pa.repeat(out_name(split), len(rows)), "split": pa.repeat("test", len(rows))}
        parts.append(pa.table([renamed.get(name, rows[name]) for name in SCHEMA.names], SCHEMA.names).cast(SCHEMA))
    return pa.concat_tables(parts).unify_dictionaries() if parts else SCHEMA.empty_table()


def sets_table(
    areas: Mapping[str, Mapping[str, float | None]], sets: Sequence[str], *, dataset: str, kind: str, **row: Any
) -> Table:
    """Rows are the parts, the whole last; columns the out sets. areas: `per_part_auroc` of `against_sets`.

    kind: of number, one of `tables.KINDS`. row: further fields of every measured `Row`. Published rows stand below.
    """
    rows = [
        Row(part, kind, {heading(name): values.get(name) for name in sets}, mean(values.values()), **row)
        for part, values in areas.items()
    ]
    notes = (f"`{WHOLE}` is the detector's own score. Normal are all test images of {heading(dataset)}.",)
    table = Table(tuple(map(heading, sets)), tuple(rows), notes, unit="out sets")
    groups = any(group_size(row.name) for row in rows)  # groups stand beside groups, never beside single images
    return _beside(table, f"{dataset}_{'groups' if groups else 'in_out'}")


def set_means(table: Table) -> dict[str, float | None]:
    """Mean over the targets of the measured whole detector's AUROC, by set."""
    whole = next(row for row in table.rows if row.name == WHOLE and row.kind.startswith("measured"))
    by_set: dict[str, list[float | None]] = {}
    for column in table.classes:
        by_set.setdefault(column.rpartition("/")[2], []).append(whole.values.get(column))
    return {name: mean(values) for name, values in by_set.items()}


def heading(name: str) -> str:
    """A dataset's name as the paper's Table 4 writes it."""
    return name.capitalize() if name == NOISE else name.upper()


def _beside(table: Table, name: str) -> Table:
    """The table with published rows, if there are such and they share a column."""
    numbers = published.load(name)
    return with_published(table, numbers) if numbers and set(numbers.columns) & set(table.classes) else table
