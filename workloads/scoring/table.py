"""The table of per-image scores: the one place from which every number in a report comes.

One row is one image scored by one part of one target's detector. Columns (`SCHEMA`):

image_id   str      the dataset's id of the image; made images (fakes) have ids such as ``P_2/17``
target     str      the class that counts as normal
split      str      ``test``; ``val`` (held-out normal images); or a proxy ``group/name`` of anomalies that need no
                    label: ``own/P_2``, ``other/P_0``, ``position/random``. ``out/NAME`` are the images of an out set,
                    scored at the end of the schedule only: no proxy, so no selection may see them
label      str      the image's own class name; ``fake`` for made images; an out set's name for its images
anomalous  bool     whether it is an anomaly for this target (the positive class)
part       str      ``level_4``, ``likelihood`` and so on; ``all`` for the score of the whole detector; ``NAME/SIZE``
                    for a score of groups of so many images. Such a row is a group, its id ``group-SIZE/NUMBER``
score      float32  higher = more anomalous
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

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
FAILED = 1e6
"""The score of an image that a detector could not score: as anomalous as can be, for a failure must not look normal."""
OUT = "out"


def out_split(name: str) -> str:
    """The split of an out set's rows."""
    return f"{OUT}/{name}"


def out_name(split: str) -> str:
    """The out set of a split, empty for any other split."""
    group, _, name = split.partition("/")
    return name if group == OUT else ""


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
    """One block of the scores table."""
    count = len(scores)
    columns = [ids, [target] * count, [split] * count, labels, anomalous, [part] * count, scores.astype(np.float32)]
    arrays = [pa.array(c).cast(field.type) for c, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
