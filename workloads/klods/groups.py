"""Seeded groups of images: pure (all normal or all anomalous), or anomalous ones with normals mixed in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.errors import BadInputError
from workloads.seeds import derive_seed

Members = NDArray[np.int64]
NORMAL = "normal"


@dataclass(frozen=True)
class Groups:
    """Groups of one size. normal (G, size) are rows of the normal images; anomalous (A, size) are rows of normal and
    anomalous images put one after the other, the normals first. Left over: images that fill no group."""

    size: int
    seed: int
    normal: Members
    anomalous: Members
    anomalies_each: int
    normals_left: int
    anomalies_left: int

    def said(self) -> str:
        """One line for a log or a report."""
        mixed = "" if self.anomalies_each == self.size else f" ({self.anomalies_each} anomalies in each)"
        return (
            f"groups of {self.size}: {len(self.normal)} normal, {len(self.anomalous)} anomalous{mixed}, "
            f"seed {self.seed}; left over: {self.normals_left} normal and {self.anomalies_left} anomalous images"
        )


def partition(images: int, size: int, seed: int, name: str) -> Members:
    """(images // size, size) distinct rows in [0, images), by a seeded shuffle; the rest fills no group.

    Depends on (seed, name, size, images) alone. Raises BadInputError where not one group can be filled.
    """
    if size < 1:
        raise BadInputError(f"a group of {size} images", where="group size", fix="1 or more")
    if images < size:
        raise BadInputError(f"{images} images of {name!r} fill no group of {size}", fix="smaller groups or more images")
    order = np.random.default_rng(derive_seed("groups", seed, name, size)).permutation(images)
    return order[: images // size * size].reshape(-1, size).astype(np.int64)


def form(normals: int, anomalies: int, size: int, seed: int, name: str, contamination: float = 1.0) -> Groups:
    """Groups of `size` for one comparison of normals with the anomalies called `name`.

    contamination: share of anomalies in an anomalous group, in (0, 1]; rounded to whole images, at least one. Where
    that leaves room for normals, a seeded half of them is kept for the anomalous groups and the other half fills the
    normal groups, so no image is in both. Normal groups never depend on the anomalies, so several sets share them.
    Raises BadInputError where either kind has no group.
    """
    if not 0 < contamination <= 1:
        raise BadInputError(f"contamination {contamination}", where="contamination", fix="a share in (0, 1]")
    each = max(1, round(contamination * size))
    bad = partition(anomalies, each, seed, name)
    if each == size:
        normal = partition(normals, size, seed, NORMAL)
        left = normals - normal.size, anomalies - bad.size
        return Groups(size, seed, normal, bad + normals, each, *left)
    order = np.random.default_rng(derive_seed("halves", seed, size)).permutation(normals)
    kept, rest = order[: normals // 2], order[normals // 2 :]
    normal = rest[partition(len(rest), size, seed, NORMAL)]
    filler = kept[partition(len(kept), size - each, seed, f"with {name}")]
    count = min(len(bad), len(filler))
    mixed = np.concatenate([filler[:count], bad[:count] + normals], axis=1)
    return Groups(
        size, seed, normal, mixed, each, normals - normal.size - count * (size - each), anomalies - count * each
    )
