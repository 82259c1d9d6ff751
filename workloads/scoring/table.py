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

from workloads.data.images import image_of_window, out_name

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
    """A row an image and part of a split of a target: `test`, `val`, `calibration`, `out/NAME`, or a proxy
    `group/name`.

    scores: (N,) of each part, one a window; an image has the highest of its windows' scores.
    """
    if split not in view.ids:
        return join([_proxy_rows(view.target, split, part, values) for part, values in scores.items()])
    numbers = image_of_window(view.ids[split])
    first = np.unique(numbers, return_index=True)[1]
    ids, labels = ([column[row] for row in first] for column in (view.ids[split], view.class_names[split]))
    anomalous = view.anomalous[first] if split == "test" else np.full(len(first), bool(out_name(split)))
    return join(
        [
            rows(view.target, split, part, ids, labels, anomalous, _highest(values, numbers, len(first)))
            for part, values in scores.items()
        ]
    )


def _proxy_rows(target: str, split: str, part: str, scores: np.ndarray) -> pa.Table:
    name, count = split.partition("/")[2], len(scores)
    ids = [f"{name}/{number}" for number in range(count)]
    return rows(target, split, part, ids, ["fake"] * count, np.ones(count, bool), scores)


def _highest(scores: np.ndarray, numbers: np.ndarray, images: int) -> np.ndarray:
    """(images,): of each image the highest of its windows' scores (N,)."""
    if len(scores) == images:
        return scores
    highest = np.full(images, -np.inf, scores.dtype)
    np.maximum.at(highest, numbers, scores)
    return highest


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
