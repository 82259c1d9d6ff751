"""Auxiliary sets: images of any kind that a general model learns from, in the form of the dataset they stand beside.

Schirrmeister et al. (2006.10848) compare a model of one dataset with a model of 80 Million Tiny Images. That set is
withdrawn, so any source of the catalogue (`SOURCES`), any dataset's training images, and mixes of them can be used.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import SOURCES
from workloads.data.datasets import load
from workloads.data.duplicates import exact_hashes
from workloads.data.images import AuxiliaryImages, LabelledImages
from workloads.data.loaders.image_arrays import image_arrays
from workloads.data.loaders.photo_tiles import TILES, photo_tiles
from workloads.data.loaders.tiny_images import CHUNK, IMAGE_BYTES, PAPER_CHUNKS, chosen_chunks, decode
from workloads.data.out_sets import alike, no_class
from workloads.data.reading.folder import Listed, decode_all, images_under
from workloads.data.shuffling import shuffled
from workloads.errors import UserError, data_missing
from workloads.units import ImageShape

log = logging.getLogger(__name__)

PARTS = ("train", "val")
Pair = tuple[LabelledImages, LabelledImages]


@dataclass(frozen=True)
class Source:
    """One source of auxiliary images.

    name: of `catalogue.auxiliary_names()`. path: of a file or folder; None is the place that the catalogue names.
    max_images: train and val together; None is all (`photo_tiles.TILES` tiles; the paper's 1,562,560 of Tiny Images).
    val_fraction: held out, in (0, 1); the paper's is 0.2. seed: of the choice, and of what is held out.
    """

    name: str
    path: str | None = None
    max_images: int | None = None
    val_fraction: float = 0.2
    seed: int = 0


def auxiliary_images(
    sources: Sequence[Source],
    data_dir: Path,
    *,
    shape: ImageShape,
    known: Sequence[NDArray[np.uint8]] = (),
    download: bool = True,
) -> AuxiliaryImages:
    """The images of all sources as one set: uint8 (N, *shape), labels `NO_CLASS`.

    known: images, uint8 (N, *shape), of the dataset and the out sets that they stand beside, for nothing
    may learn from what is tested as anomalous; exact copies of any of them are left out, counted and named in a
    warning. Raises as `workloads.data.datasets.load`, and UserError for files that cannot be used and for a source
    with fewer than 2 images.
    """
    pairs = [_source(number, source, data_dir, shape, download) for number, source in enumerate(sources)]
    hashes = np.concatenate([exact_hashes(images) for images in known]) if known else np.empty(0, np.uint64)
    parts: list[LabelledImages] = []
    duplicates = 0
    for number in range(2):
        part = _joined([pair[number] for pair in pairs])
        copies = np.isin(exact_hashes(part.images), hashes)
        duplicates += int(copies.sum())
        parts.append(part.take(~copies) if copies.any() else part)
        if not len(parts[-1]):
            raise UserError(
                "every auxiliary image is an image of the dataset itself or of an out set",
                where="data.auxiliary",
                fix="use another source",
            )
    if duplicates:
        log.warning("%d auxiliary images are images of the dataset or of an out set, too: left out", duplicates)
    return AuxiliaryImages(parts[0], parts[1], duplicates)


def _source(number: int, source: Source, data_dir: Path, shape: ImageShape, download: bool) -> Pair:
    """Train and val of one source. Ids begin with the source's number, for two may have files of the same name."""
    if source.name == "photo_tiles":
        count = source.max_images or TILES
        tiles = photo_tiles(shape.side, count, _held_out(count, source), source.seed)
        return _pair(number, _named_parts(source.name, tiles), shape)
    if source.name == "tiny_images":
        images = _tiny_images(_path(source, data_dir), source.max_images)
        first = len(images) - _held_out(len(images), source)  # by place, as the paper does: the choice was random
        return _pair(number, _named_parts(source.name, (images[:first], images[first:])), shape)  # no copy
    if source.name == "folder":
        return _pair(number, _of_folder(source, _path(source, data_dir), shape.side), shape)
    if source.name == "arrays":
        whole = _named(source.name, image_arrays(_path(source, data_dir)))
    else:
        whole = load(source.name, data_dir, side=shape.side, seed=source.seed, download=download).train
    return _pair(number, [whole.take(rows) for rows in _divided(len(whole), source)], shape)


def _of_folder(source: Source, folder: Path, side: int) -> list[LabelledImages]:
    """Only the chosen files are opened."""
    root = folder.resolve()
    files = images_under(root)
    parts = []
    for rows in _divided(len(files), source):
        images, _ = decode_all([Listed("", source.name, files[row]) for row in rows], (source.name,), root, side)
        parts.append(images)
    return parts


def _tiny_images(path: Path, max_images: int | None) -> NDArray[np.uint8]:
    """uint8 (N, 3, 32, 32): the paper's choice of whole chunks in its order, or the first `max_images` of it."""
    size = path.stat().st_size if path.is_file() else 0
    if not size or size % IMAGE_BYTES:
        raise UserError(
            f"{size} bytes are not a whole number of {IMAGE_BYTES}-byte images",
            where=str(path),
            fix="give the path of tiny_images.bin",
        )
    chunks = min(PAPER_CHUNKS, -(-max_images // CHUNK)) if max_images else PAPER_CHUNKS
    file = np.memmap(path, np.uint8, mode="r").reshape(-1, IMAGE_BYTES)
    images = np.empty((chunks * CHUNK, 3, 32, 32), np.uint8)
    for place, chunk in enumerate(chosen_chunks(len(file), chunks)):
        images[place * CHUNK : (place + 1) * CHUNK] = decode(file[chunk * CHUNK : (chunk + 1) * CHUNK].tobytes())
    return images[:max_images]


def _path(source: Source, data_dir: Path) -> Path:
    facts = SOURCES[source.name]
    path = Path(source.path).expanduser() if source.path else data_dir / facts.place
    if path.exists():
        return path
    raise data_missing(source.name, (path,), facts.how_to_get)


def _divided(count: int, source: Source) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Train and val rows, each ascending, of a seeded choice among `count` images."""
    rows = shuffled(np.arange(count), "general", source.seed, source.name)[: source.max_images]
    held_out = _held_out(len(rows), source)
    return np.sort(rows[held_out:]), np.sort(rows[:held_out])


def _held_out(count: int, source: Source) -> int:
    if count < 2:
        raise UserError(
            f"{source.name!r} has {count} image(s), and some are to be held out",
            where=source.path or "data.auxiliary",
            fix="use a source with more images",
        )
    return min(max(round(count * source.val_fraction), 1), count - 1)


def _named(name: str, images: NDArray[np.uint8]) -> LabelledImages:
    return LabelledImages(images, no_class(len(images)), tuple(f"{name}/{i:07d}" for i in range(len(images))))


def _named_parts(name: str, parts: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> list[LabelledImages]:
    return [_named(f"{name}/{part}", images) for part, images in zip(PARTS, parts, strict=True)]


def _pair(number: int, parts: Sequence[LabelledImages], shape: ImageShape) -> Pair:
    train, val = (alike(part, shape) for part in parts)
    return _prefixed(f"general_{number}", train), _prefixed(f"general_{number}", val)


def _prefixed(prefix: str, part: LabelledImages) -> LabelledImages:
    return LabelledImages(part.images, part.labels, tuple(f"{prefix}/{item}" for item in part.ids))


def _joined(parts: Sequence[LabelledImages]) -> LabelledImages:
    if len(parts) == 1:
        return parts[0]
    ids = tuple(item for part in parts for item in part.ids)
    return LabelledImages(np.concatenate([p.images for p in parts]), no_class(len(ids)), ids)
