"""The table of per-image scores: the one place from which every number in a report comes.

One row is one image scored by one part of one target's detector. Columns (`SCHEMA`):

image_id   str      the dataset's id of the image; made images (fakes) have ids such as ``P_2/17``
target     str      the class that counts as normal
split      str      ``test``; ``val`` (held-out normal images); ``calibration`` (normal images that neither trained nor
                    chose the detector, or training images scored by a fit without them); or a proxy ``group/name`` of
                    anomalies that need no label: ``own/P_2``, ``other/P_0``, ``position/random``. ``out/NAME`` are the
                    images of an out set, scored at the end of the schedule only: no proxy, so no selection may see them
label      str      the image's own class name; ``fake`` for made images; an out set's name for its images
anomalous  bool     whether it is an anomaly for this target (the positive class)
part       str      ``level_4``, ``likelihood`` and so on; ``all`` for the score of the whole detector; ``NAME/SIZE``
                    for a score of groups of so many images. Such a row is a group, its id ``group-SIZE/NUMBER``
score      float32  higher = more anomalous; `FAILED` where the detector could not score
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workloads.data.images import out_name

if TYPE_CHECKING:  # reports are made of tables, and need no torch
    from workloads.data.view import TargetView
    from workloads.learner import GroupScores, Scores

SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("target", pa.dictionary(pa.int32(), pa.string())),
        ("split", pa.dictionary(pa.int32(), pa.string())),
        ("label", pa.dictionary(pa.int32(), pa.string())),
        ("anomalous", pa.bool_()),
        ("part", pa.dictionary(pa.int32(), pa.string())),
        ("score", pa.float32()),
    ]
)
WHOLE = "all"
LIKELIHOOD = "likelihood"
"""The part that holds an image's negative log-likelihood in bits/dim, of methods that have one."""
FAILED = float("inf")
"""In place of the score of an image that a detector could not score, a state and no number: every score that is not
finite becomes it. It ranks above all scores, for a failure must not look normal, and ties with other failures."""
OTHER = "other"
"""The label of a group of the other classes' images."""


def group_size(part: str) -> int:
    """How many images a row of a part ``NAME/SIZE`` stands for; 0 for parts that score single images by themselves."""
    size = part.rpartition("/")[2]
    return int(size) if "/" in part and size.isdecimal() else 0


def rows(
    target: str,
    split: str,
    part: str,
    ids: Sequence[str],
    labels: Sequence[str],
    anomalous: np.ndarray,
    scores: np.ndarray,
) -> pa.Table:
    """One block of the scores table. A finite score stays finite: beyond float32's largest number it is that number."""
    count, largest = len(scores), np.finfo(np.float32).max
    stored = np.where(np.isfinite(scores), np.clip(scores, -largest, largest), FAILED).astype(np.float32)
    columns = [ids, [target] * count, [split] * count, labels, anomalous, [part] * count, stored]
    arrays = [pa.array(c).cast(field.type) for c, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def join(blocks: Sequence[pa.Table]) -> pa.Table:
    """All blocks as one table, empty where there is none."""
    return pa.concat_tables(blocks) if blocks else SCHEMA.empty_table()


def score_rows(view: "TargetView", split: str, scores: "Scores") -> pa.Table:
    """A row a window and part of a split of a target: `test`, `val`, `calibration`, `out/NAME`, or a proxy
    `group/name`. What is kept has a row an image, see `one_row_an_image`.

    scores: (N,) of each part, one a window.
    """
    if split not in view.ids:
        return join([_proxy_rows(view.target, split, part, values) for part, values in scores.items()])
    ids, labels = view.ids[split], view.class_names[split]
    anomalous = view.anomalous if split == "test" else np.full(len(ids), bool(out_name(split)))
    return join([rows(view.target, split, part, ids, labels, anomalous, values) for part, values in scores.items()])


def highest_by_image(scores: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(M,) scores of images, from (N,) of their windows: an image scores as its most anomalous window.

    first: (M,) the first window of every image, ascending.
    """
    return np.maximum.reduceat(scores, first)


def one_row_an_image(table: pa.Table) -> pa.Table:
    """The table with one row where rows of an image's windows follow one another: the first, with the highest score.

    The scores of the whole detector are among them by then: parts are combined window by window, and then an image has
    its most anomalous window's score.
    """
    table = table.unify_dictionaries()
    columns = [table.column(name).combine_chunks() for name in ("image_id", "part", "split", "target")]
    keys = [column.indices if pa.types.is_dictionary(column.type) else column for column in columns]
    again = np.logical_and.reduce([pc.equal(key[1:], key[:-1]).to_numpy(zero_copy_only=False) for key in keys])
    if not again.any():
        return table
    first = np.flatnonzero(np.concatenate([[True], ~again]))
    scores = pa.array(highest_by_image(table.column("score").to_numpy(), first))
    return table.take(first).set_column(SCHEMA.get_field_index("score"), SCHEMA.field("score"), scores)


def with_other_windows(proxies: np.ndarray, held_out: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Scores (N,) of made windows as scores of images that have such a window beside those of a held-out image.

    held_out, numbers: (M,) score and image of the held-out windows. The n-th made window lies in the image of the n-th
    held-out one, counted in turns: so proxies and held-out images are compared by as many windows.
    """
    highest = highest_by_image(held_out, np.unique(numbers, return_index=True)[1])
    return np.maximum(proxies, highest[np.resize(numbers, len(proxies))])


def _proxy_rows(target: str, split: str, part: str, scores: np.ndarray) -> pa.Table:
    name, count = split.partition("/")[2], len(scores)
    ids = [f"{name}/{number}" for number in range(count)]
    return rows(target, split, part, ids, ["fake"] * count, np.ones(count, bool), scores)


def group_rows(target: str, scores: "GroupScores") -> pa.Table:
    """A row a group and part; in a split, the anomalous groups are numbered on from the normal ones."""
    blocks = [_group_rows(target, part, "val", target, values) for part, values in scores.held_out.items()]
    blocks += [_group_rows(target, part, "test", target, values) for part, values in scores.normal.items()]
    for split, parts in scores.anomalous.items():
        for part, values in parts.items():
            first = len(scores.normal.get(part, ())) if split == "test" else 0
            blocks.append(_group_rows(target, part, split, out_name(split) or OTHER, values, True, first))
    return join(blocks)


def _group_rows(
    target: str, part: str, split: str, label: str, scores: np.ndarray, anomalous: bool = False, first: int = 0
) -> pa.Table:
    size = part.rpartition("/")[2]
    ids = [f"group-{size}/{number:05d}" for number in range(first, first + len(scores))]
    return rows(target, split, part, ids, [label] * len(scores), np.full(len(scores), anomalous), scores)
