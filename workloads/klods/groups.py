"""Seeded groups of images: pure (all normal or all anomalous), or anomalous ones with normals mixed in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.errors import UserError
from workloads.training.seeds import derive_seed

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

    def summary(self) -> str:
        """One line for a log or a report."""
        mixed = "" if self.anomalies_each == self.size else f" ({self.anomalies_each} anomalies in each)"
        return (
            f"groups of {self.size}: {len(self.normal)} normal, {len(self.anomalous)} anomalous{mixed}, "
            f"seed {self.seed}; left over: {self.normals_left} normal and {self.anomalies_left} anomalous images"
        )


def partition(images: int, size: int, seed: int, name: str) -> Members:
    """(images // size, size) distinct rows in [0, images), by a seeded shuffle; the rest fills no group.

    Depends on (seed, name, size, images) alone. Raises UserError where not one group can be filled.
    """
    if size < 1:
        raise UserError(f"a group of {size} images", where="group size", fix="1 or more")
    if images < size:
        raise UserError(f"{images} images of {name!r} fill no group of {size}", fix="smaller groups or more images")
    order = np.random.default_rng(derive_seed("groups", seed, name, size)).permutation(images)
    return order[: images // size * size].reshape(-1, size).astype(np.int64)


def anomalies_each(size: int, contamination: float) -> int:
    """Anomalies in an anomalous group: the share of whole images nearest to `contamination`, at least one."""
    if not 0 < contamination <= 1:
        raise UserError(f"contamination {contamination}", where="contamination", fix="a share in (0, 1]")
    return max(1, round(contamination * size))


def halves(normals: int, size: int, seed: int, contamination: float) -> tuple[Members, Members]:
    """Rows of normal images that fill normal groups, and those kept to be mixed into anomalous ones: a seeded half, or
    none where groups are pure. So no image is in both, and normal groups never depend on the anomalies."""
    if anomalies_each(size, contamination) == size:
        return np.arange(normals), np.arange(0)
    order = np.random.default_rng(derive_seed("halves", seed, size)).permutation(normals)
    return order[normals // 2 :], order[: normals // 2]


def normal_groups(normals: int, size: int, seed: int, contamination: float = 1.0) -> Members:
    """(G, size) rows of normal images. Raises UserError where they fill no group."""
    rows, _ = halves(normals, size, seed, contamination)
    return rows[partition(len(rows), size, seed, NORMAL)]


def form(normals: int, anomalies: int, size: int, seed: int, name: str, contamination: float = 1.0) -> Groups:
    """Groups of `size` for one comparison of normals with the anomalies called `name`.

    contamination: share of anomalies in an anomalous group, in (0, 1], see `anomalies_each`; 1 is pure groups, as
    published. Raises UserError where either kind has no group.
    """
    anomalies_in = anomalies_each(size, contamination)
    normal = normal_groups(normals, size, seed, contamination)
    anomalous = partition(anomalies, anomalies_in, seed, name) + normals
    if anomalies_in < size:
        _, kept = halves(normals, size, seed, contamination)
        filler = kept[partition(len(kept), size - anomalies_in, seed, f"with {name}")]
        count = min(len(anomalous), len(filler))
        anomalous = np.concatenate([filler[:count], anomalous[:count]], axis=1)
    mixed_in = len(anomalous) * (size - anomalies_in)
    left = normals - normal.size - mixed_in, anomalies - len(anomalous) * anomalies_in
    return Groups(size, seed, normal, anomalous, anomalies_in, *left)
