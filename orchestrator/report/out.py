"""The table of out-of-distribution AUROC: each level and the whole, against the other classes and every out set."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from orchestrator.report.tables import Row, Table, with_published
from tune_spaces import published
from workloads.data.catalogue import NOISE
from workloads.metrics import mean, out_auroc, per_level_auroc
from workloads.scores import WHOLE, out_split


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
    `workloads.scores.SCHEMA`. kind: of number, one of `tables.KINDS`. counts: images by split, for a note. The paper's
    rows stand below, as a kind of their own, where it has such a table and shares columns with it.
    """
    areas = out_auroc(scores)
    if not areas:
        return None
    rest = f"r{heading(dataset)}"
    columns = tuple(f"{target}/{name}" for name in (rest, *map(heading, out)) for target in targets)
    rows = []
    for part, classes in per_level_auroc(scores).items():
        values = {f"{target}/{rest}": classes.get(target) for target in targets}
        values |= {f"{target}/{heading(name)}": areas.get((target, part, name)) for name in out for target in targets}
        rows.append(Row(part, kind, values, None, note))
    sizes = ", ".join(f"{(counts or {}).get(out_split(name), '?')} of {heading(name)}" for name in out)
    notes = (f"Measured against the other classes' test images ({rest}) and out-set images: {sizes}.",)
    table = Table(columns, tuple(rows), notes, averaged=False)
    groups = any("/" in row.name for row in rows)  # parts of groups of images stand beside groups, never single images
    numbers = published.load(f"{dataset}_{'groups' if groups else 'ood'}")
    return with_published(table, numbers) if numbers and set(numbers.columns) & set(columns) else table


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
