"""Copies among a user's images: test images that were learnt from, test images that lie in two classes, and images to
learn from that are there more than once, which must not be held out from each other.

Exact copies have the same pixels once they are read. Near copies were saved again, rescaled or made brighter.
Perceptual hashes mark no copy on surfaces: all photographs of one share their coarse pattern. So an image is brought to
32 x 32 grey values, what is coarser than about 8 of them is taken away, and the rest is scaled to length 1. Two images
are near copies where the distance of these is below `NEAREST` times the distance from the known image to its
third-nearest known one: nearer than photographs of the same thing come to each other.

How that was chosen: 150 photographs of 256 x 256 pixels to learn from and 150 others of each of nine kinds (four
textures, turned and scaled; an object at rest, and one that moves by 2 pixels; waves, and a grid of waves, at any
phase; a blank sheet; each lit from another side, with noise of 4 grey values). Of the 1,350 others 2 are called near
copies, both of the grid. Of the textures' 600 photographs all are found that were halved, blurred, made 20 % darker or
saved as JPEG of quality 75, of quality 50 57 %, halved and then saved at 75 half; none that was cropped by 3 pixels. Of
the object and the sheet, whose photographs differ by noise alone, hardly any copy but a brighter one is found.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from workloads.data.duplicates import exact_hashes
from workloads.data.images import Dataset, LabelledImages, rows_of_images
from workloads.data.reading.account import Reason, Unused, account_without, few_of
from workloads.errors import UserError

Floats = NDArray[np.float32]

SIDE = 32
COARSE = 4.0  # the deviation of the Gaussian that is taken away, in pixels of the small image
NEAREST = 0.1
NEIGHBOUR = 3
FARTHEST = 0.2  # copies are nearer than this in any case; at 0.2 the small images correlate by .98
MAX_PAIRS = 200_000_000  # of which near copies are looked for; 28 million took 2.5 to 3.7 s on two busy cores (load 10)
ROWS_AT_ONCE = 256
ROUNDING = 2e-3  # of distances in float32: those of 0 come out as up to 7e-4


@dataclass(frozen=True)
class Copy:
    """A test image that another image is a copy of: ids, and why it is left out."""

    id: str
    of: str
    reason: Reason

    def __str__(self) -> str:
        return f"{self.id} (as {self.of})"


def without_copies(dataset: Dataset, *, keep: bool) -> Dataset:
    """The dataset without the test images that are copies, which its account then names; copies among the images to
    learn from are a group each, so that no split parts them, and counted in a remark. keep: leave the test images in,
    and say so in a remark.

    A test image is left out where it is a copy of one that is learnt from or held out, and where it is one of another
    class's test image: then of the two that of the class that is not learnt, where the other is, else both.
    Raises UserError where a class would lose all its test images.
    """
    known = Whole.of([dataset.train, *([dataset.val] if dataset.val else [])])
    groups, repeated = groups_of_copies(known.first(len(dataset.train.first_windows)), dataset.groups)
    copies, skipped = find_copies(Whole.of([dataset.test]), known, set(dataset.train.labels.tolist()))
    remarks = [*dataset.remarks, *repeated, *([skipped] if skipped else [])]
    dataset = replace(dataset, groups=groups, remarks=tuple(remarks))
    if not copies:
        return dataset
    if keep:
        names = few_of([str(copy) for copy in copies])
        remarks.append(f"{len(copies)} test images are copies and were kept, so that AUROC is too good: {names}")
        return replace(dataset, remarks=tuple(remarks))
    gone = {copy.id for copy in copies}
    left = np.asarray([name not in gone for name in dataset.test.ids], bool)
    _check_classes(dataset, left, copies)
    unused: list[Unused] = [(copy.reason, str(copy)) for copy in copies]
    return replace(
        dataset,
        test=dataset.test.take(left),
        masks=None if dataset.masks is None else dataset.masks[left],
        account=dataset.account and account_without(dataset.account, unused),
    )


def find_copies(tested: "Whole", known: "Whole", learnt: set[int]) -> tuple[list[Copy], str]:
    """The test images to leave out, in their order; and a sentence where near copies were not looked for.

    known: images to learn from, and held-out ones. learnt: labels of the classes that are learnt.
    """
    too_many = len(tested.ids) * (len(known.ids) + len(tested.ids)) > MAX_PAIRS
    finders = {Reason.COPY: _exact_pairs} | ({} if too_many else {Reason.NEAR_COPY: _near_pairs})
    copies: dict[int, Copy] = {}
    for reason, pairs in finders.items():
        for row, of in pairs(tested, known):
            copies.setdefault(row, Copy(tested.ids[row], known.ids[of], reason))
    for pairs in finders.values():
        for row, of in pairs(tested, tested, other_class=True):
            if tested.labels[row] not in learnt or tested.labels[of] in learnt:
                copies.setdefault(row, Copy(tested.ids[row], tested.ids[of], Reason.CONTRADICTION))
    skipped = f"near copies were not looked for among {len(known.ids)} and {len(tested.ids)} images" if too_many else ""
    return [copies[row] for row in sorted(copies)], skipped


def groups_of_copies(learnt: "Whole", groups: Mapping[str, str]) -> tuple[Mapping[str, str], list[str]]:
    """The groups (id -> what it shows) with one for each set of copies, where the user has named none, and sentences
    on what was done. A copy of an image with a group joins that group."""
    too_many = len(learnt.ids) ** 2 > MAX_PAIRS
    finders = (_exact_pairs,) if too_many else (_exact_pairs, _near_pairs)
    remarks = [f"near copies were not looked for among {len(learnt.ids)} images to learn from"] if too_many else []
    links = np.asarray([pair for pairs in finders for pair in pairs(learnt, learnt)], np.intp).reshape(-1, 2)
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(learnt.ids),) * 2)
    sets: dict[int, list[str]] = {}
    for name, number in zip(learnt.ids, connected_components(graph)[1].tolist(), strict=True):
        sets.setdefault(number, []).append(name)
    together, copies = dict(groups), list[str]()
    for first, *others in sets.values():
        if others:
            group = next((groups[name] for name in (first, *others) if name in groups), f"copies of {first}")
            together |= {name: groups.get(name, group) for name in (first, *others)}
            copies += [f"{name} (as {first})" for name in others if together[name] == group]
    if copies:
        remarks.append(f"{len(copies)} images to learn from are copies and stay with their originals: {few_of(copies)}")
    return together, remarks


def _check_classes(dataset: Dataset, left: NDArray[np.bool_], copies: Sequence[Copy]) -> None:
    for label in sorted(set(dataset.test.labels.tolist()) - set(dataset.test.labels[left].tolist())):
        raise UserError(
            f"every test image of the class {dataset.classes[label]!r} is a copy: {few_of([str(c) for c in copies])}",
            where=dataset.name,
            fix="take the copies away from one side, or keep them with copies='keep' in the space's data",
        )


@dataclass(frozen=True)
class Whole:
    """Images, each once, whatever its windows: digests uint64 (N,) and labels int64 (N,); small: float32 (N, 1024), see
    the top of this module, None where the windows are smaller than `SIDE`. blank: bool (N,), of one value throughout:
    nothing that could be copied."""

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    digests: NDArray[np.uint64]
    blank: NDArray[np.bool_]
    small: Floats | None

    @classmethod
    def of(cls, parts: Sequence[LabelledImages]) -> "Whole":
        ids = tuple(part.ids[row] for part in parts for row in part.first_windows)
        labels = np.concatenate([part.labels[part.first_windows] for part in parts])
        digests = np.concatenate([_digests(part) for part in parts])
        blank = np.concatenate([_blank(part) for part in parts])
        if min(parts[0].images.shape[2:]) < SIDE:
            return cls(ids, labels, digests, blank, None)
        return cls(ids, labels, digests, blank, np.stack([small(image) for part in parts for image in stitched(part)]))

    def first(self, count: int) -> "Whole":
        small = None if self.small is None else self.small[:count]
        return Whole(self.ids[:count], self.labels[:count], self.digests[:count], self.blank[:count], small)


def _digests(part: LabelledImages) -> NDArray[np.uint64]:
    """uint64 (M,), of all windows of each image."""
    rows = exact_hashes(part.images)
    if part.windows is None:
        return rows
    images = np.split(rows, part.first_windows[1:])
    joint = [
        image.tobytes() if len(image) == 1 else hashlib.blake2b(image.tobytes(), digest_size=8).digest()
        for image in images
    ]
    return np.frombuffer(b"".join(joint), np.uint64)


def _blank(part: LabelledImages) -> NDArray[np.bool_]:
    """bool (M,): images all of whose windows are of one value."""
    pixels, first = part.images.reshape(len(part), -1), part.first_windows
    return np.minimum.reduceat(pixels.min(axis=1), first) == np.maximum.reduceat(pixels.max(axis=1), first)


def stitched(part: LabelledImages) -> Iterator[NDArray[np.uint8]]:
    """Each image as its windows show it, uint8 (C, H, W)."""
    if part.windows is None:
        yield from part.images
        return
    side = part.images.shape[2:]
    for rows in rows_of_images(part.ids):
        height, width = part.windows[rows.start, 2:]
        whole = np.zeros((part.images.shape[1], max(height, side[0]), max(width, side[1])), np.uint8)
        for (top, left, _, _), window in zip(part.windows[rows], part.images[rows], strict=True):
            whole[:, top : top + side[0], left : left + side[1]] = window
        yield whole


def small(image: NDArray[np.uint8]) -> Floats:
    """What tells an image uint8 (C, H, W) from others that look alike: float32 (1024,) of length 1, or 0 throughout."""
    grey = image.mean(axis=0, dtype=np.float32)
    reduced = np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BOX))
    fine = (reduced - gaussian_filter(reduced, COARSE, mode="reflect")).ravel()
    fine -= fine.mean()
    length = np.linalg.norm(fine)
    return (fine / length if length > 0 else fine).astype(np.float32)


def _exact_pairs(tested: Whole, known: Whole, *, other_class: bool = False) -> Iterator[tuple[int, int]]:
    """(row, the first known row) of equal digests; other_class: whose labels differ."""
    places: dict[int, list[int]] = {}
    for number, digest in enumerate(known.digests.tolist()):
        if not known.blank[number]:
            places.setdefault(digest, []).append(number)
    for row, digest in enumerate(tested.digests.tolist()):
        others = (o for o in places.get(digest, ()) if not other_class or tested.labels[row] != known.labels[o])
        if (first := next(others, None)) is not None:
            yield row, first


def _near_pairs(tested: Whole, known: Whole, *, other_class: bool = False) -> Iterator[tuple[int, int]]:
    """(row, known row) of near copies, of which none is the image itself; other_class: whose labels differ."""
    if tested.small is None or known.small is None or len(known.ids) <= NEIGHBOUR:
        return
    usual = np.full(len(known.ids), np.nan)
    for start in range(0, len(tested.small), ROWS_AT_ONCE):
        distances = _distances(tested.small[start : start + ROWS_AT_ONCE], known.small)
        rows, of = _candidates(distances)
        if other_class or tested is known:
            differ = tested.labels[start + rows] != known.labels[of] if other_class else start + rows != of
            rows, of = rows[differ], of[differ]
        new = np.unique(of[np.isnan(usual[of])])
        for part in np.split(new, range(ROWS_AT_ONCE, len(new), ROWS_AT_ONCE)):
            usual[part] = _usual(_distances(known.small[part], known.small))
        near = distances[rows, of] < NEAREST * usual[of]
        yield from zip((start + rows[near]).tolist(), of[near].tolist(), strict=True)


def _usual(distances: Floats) -> Floats:
    """(N,) from each of N images to its third-nearest among M, itself not counted: distances (N, M)."""
    return np.partition(distances, NEIGHBOUR, axis=1)[:, NEIGHBOUR]


def _candidates(distances: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pairs that may be near copies, of distances (N, M): few, whatever the images.

    By the triangle inequality no known image is farther from its third-nearest than from a tested one, at distance d,
    and from there on to that one's fourth-nearest, r: only where d < `NEAREST` * (d + r) need more be worked out.
    """
    some = np.flatnonzero((distances < FARTHEST).any(axis=1))
    fourth = np.partition(distances[some], NEIGHBOUR, axis=1)[:, NEIGHBOUR, None]
    nearest = np.minimum(fourth * NEAREST / (1 - NEAREST) + ROUNDING, FARTHEST)
    rows, of = np.nonzero(distances[some] < nearest)
    return some[rows], of


def _distances(rows: Floats, known: Floats) -> Floats:
    """(N, M) Euclidean distances of vectors of length 1; of vectors without length to all others 1.41."""
    return np.sqrt(np.maximum(2 - 2 * rows @ known.T, 0))
