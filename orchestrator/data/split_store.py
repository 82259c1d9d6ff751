"""Splits in a storage, once a content: Parquet shards of uint8 pixels, and a manifest that says what they are."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from orchestrator.data.auxiliary.reading import pixels
from orchestrator.record.paths import RunPaths
from workloads.data.images import CALIBRATION, AuxiliaryImages, AuxiliarySet, LabelledImages, out_name
from workloads.data.splits import AUXILIARY_SPLITS, Splits, Targets
from workloads.errors import Kind
from workloads.files import (
    DamagedFileError,
    alone,
    checksum_file,
    is_whole,
    read_checked,
    remove_partials,
    write_checked,
)
from workloads.units import GENERAL, ImageShape, TrainingCounts

log = logging.getLogger(__name__)

SHARD_ROWS = 4096
WINDOW = pa.binary(16)  # Parquet's fixed-size lists cannot be null
MANIFEST, MASKS = "manifest.json", "masks.npy"
NORMAL_SPLITS = ("train", "val", CALIBRATION)
SHARDS = "shards"
AUXILIARY_SHARDS = "general_shards"  # apart from the others, which are read far more often
FIX = "resume the run, or launch it again: its images are read anew, and damaged files of them written again"


@dataclass(frozen=True)
class SplitManifest:
    """Where stored splits lie, and what a worker must know to read them.

    sizes: images by part. counts: training images of the largest target. target_digests: of each target's own training
    images, which its shared stages are made of. duplicates: auxiliary images that were left out because the dataset has
    them, too. streamed: an auxiliary set that stays where it is.
    """

    path: str
    digest: str
    targets: Targets
    shape: ImageShape
    counts: TrainingCounts
    sizes: Mapping[str, int]
    target_digests: Mapping[str, str]
    duplicates: int = 0
    streamed: AuxiliarySet | None = None

    @property
    def folders(self) -> list[str]:
        """Of all shards; the auxiliary images' where they are held."""
        held = self.counts.auxiliary > 0 and self.streamed is None
        return [f"{self.path}/{name}" for name in ((SHARDS, AUXILIARY_SHARDS) if held else (SHARDS,))]

    @classmethod
    def of(cls, splits: Splits, path: str) -> "SplitManifest":
        return cls(
            path,
            splits.digest,
            splits.targets,
            splits.shape,
            splits.counts,
            {name: len(images) for name, images in splits.by_name().items()},
            splits.target_digests,
            splits.auxiliary.duplicates if splits.auxiliary else 0,
            splits.streamed,
        )

    def stored(self) -> dict[str, Any]:
        """As plain data, in the form that all runs have."""
        targets, shape = self.targets, self.shape
        tested_on = targets.tested_on
        return {
            "path": self.path,
            "digest": self.digest,
            "classes": list(targets.classes),
            "targets": list(targets.names),
            "channels": shape.channels,
            "side": shape.height,
            "train_images": self.counts.images,
            "target_digests": dict(self.target_digests),
            "counts": dict(self.sizes),
            "tested_on": None if tested_on is None else {target: list(names) for target, names in tested_on.items()},
            "members": {target: list(targets.members_of(target)) for target in targets.names},
            "general_images": self.counts.auxiliary,
            "general_duplicates": self.duplicates,
            "general_set": self.streamed.path if self.streamed else None,
            **({} if shape.width == shape.height else {"width": shape.width}),
            **({"groups": dict(targets.groups)} if targets.groups else {}),
        }

    @classmethod
    def read(cls, folder: UPath) -> "SplitManifest":
        """Of splits that `SplitStore.keep` has left in a folder; the storage may have moved since."""
        values = json.loads(read_checked(folder / MANIFEST, FIX))
        members = {target: tuple(names) for target, names in values["members"].items() if names != [target]}
        tested_on = values["tested_on"]
        auxiliary = values["general_images"]
        streamed = values["general_set"]
        return cls(
            str(folder),
            values["digest"],
            Targets(
                tuple(values["classes"]),
                tuple(values["targets"]),
                members,
                None if tested_on is None else {target: tuple(names) for target, names in tested_on.items()},
                values.get("groups", {}),
            ),
            ImageShape(values["channels"], values["side"], values.get("width", values["side"])),
            TrainingCounts(values["train_images"], auxiliary),
            values["counts"],
            values["target_digests"],
            values["general_duplicates"],
            AuxiliarySet(streamed, auxiliary, values["target_digests"][GENERAL]) if streamed else None,
        )


class SplitStore:
    """The splits of a storage, for work that cannot have them from the launcher: later analyses, resuming elsewhere."""

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths

    def folder(self, digest: str) -> UPath:
        """Where splits of a digest lie."""
        return self.paths.data / digest[:16]

    def keep(self, splits: Splits) -> SplitManifest:
        """Write what is not there yet: the same content is found again, and what was damaged since is made again. The
        manifest is written last."""
        folder = self.folder(splits.digest)
        manifest = SplitManifest.of(splits, str(folder))
        with alone(folder):
            remove_partials(folder, below=True)
            windowed = any(images.windows is not None for images in splits.by_name().values())
            for name, images in splits.by_name().items():
                for number, start in enumerate(range(0, len(images), SHARD_ROWS)):
                    file = shard_file(folder, name, number)
                    if not _is_kept(file):
                        write_checked(file, parquet(shard(images, name, start, windowed=windowed)))
            if splits.masks is not None and not _is_kept(folder / MASKS):
                write_checked(folder / MASKS, npy(splits.masks))
            if not _is_kept(folder / MANIFEST):
                write_checked(folder / MANIFEST, json.dumps(manifest.stored(), indent=1).encode())
        return manifest

    def manifest(self, digest: str) -> SplitManifest:
        """Of splits that are there. Raises FileNotFoundError, and UserError for a damaged one."""
        return SplitManifest.read(self.folder(digest))

    def tables(self, digest: str, *, auxiliary: bool = False) -> Iterator[pa.Table]:
        """The shards' tables; with the auxiliary images, where they are held."""
        folder = self.folder(digest)
        vouched = checksum_file(folder / MANIFEST).exists()  # else an earlier version has written the whole folder
        for name in (SHARDS, AUXILIARY_SHARDS) if auxiliary else (SHARDS,):
            for file in sorted((folder / name).glob("*.parquet"), key=str):
                yield pq.read_table(pa.BufferReader(read_checked(file, FIX, vouched=vouched)))

    def masks(self, digest: str) -> NDArray[np.uint8] | None:
        """uint8 (N, H, W) of the test images in their order, 1 where a pixel is anomalous; None where unknown."""
        path, manifest = self.folder(digest) / MASKS, self.folder(digest) / MANIFEST
        if not path.exists():
            return None
        content = read_checked(path, FIX, vouched=checksum_file(manifest).exists())
        return np.load(BytesIO(content), allow_pickle=False)

    def read(self, digest: str) -> Splits:
        """All of the splits. Raises FileNotFoundError where they are not there."""
        manifest = self.manifest(digest)
        held = manifest.counts.auxiliary > 0 and manifest.streamed is None
        tables, masks = self.tables(digest, auxiliary=held), self.masks(digest)
        return assemble(tables, manifest, manifest.targets.names, auxiliary=held, masks=masks)


def assemble(
    tables: Iterable[pa.Table],
    manifest: SplitManifest,
    targets: Sequence[str],
    *,
    auxiliary: bool,
    masks: NDArray[np.uint8] | None = None,
) -> Splits:
    """Splits from tables of their shards: normal images of `targets`, all test images and out sets, and the auxiliary
    images where they are asked for, for they may be the most by far.

    Tables may come in pieces and in any order: rows are put where they belong. Raises ValueError for auxiliary images
    that the data does not have, and DamagedFileError where the tables hold fewer or more images than the manifest says.
    """
    if auxiliary and not manifest.counts.auxiliary:
        raise ValueError("auxiliary images are asked for, and the data has none")
    classes = manifest.targets.classes
    wanted = [classes.index(name) for target in targets for name in manifest.targets.members_of(target)]
    expected = [name for name in manifest.sizes if auxiliary or name not in AUXILIARY_SPLITS]
    pieces: dict[str, list[pa.Table]] = {name: [] for name in expected}
    arrived = Counter[str]()
    for table in tables:
        names = table.column("split").to_numpy()
        for name in set(names) & pieces.keys():
            rows = names == name
            arrived[name] += int(rows.sum())
            if name in NORMAL_SPLITS:
                rows &= np.isin(table.column("label").to_numpy(), wanted)
            if rows.any():
                pieces[name].append(table.filter(pa.array(rows)))
    for name in expected:
        if arrived[name] != manifest.sizes[name]:
            headline = f"of {manifest.sizes[name]} images of split {name!r} the shards hold {arrived[name]}"
            raise DamagedFileError(headline, where=manifest.path, fix=FIX, kind=Kind.ENVIRONMENT)
    splits = {name: _joined(pieces.pop(name), manifest.shape) for name in expected}
    train, val = (splits.get(name) for name in AUXILIARY_SPLITS)
    return Splits(
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        targets=manifest.targets,
        out={out_name(name): images for name, images in splits.items() if out_name(name)},
        auxiliary=None if train is None or val is None else AuxiliaryImages(train, val, manifest.duplicates),
        streamed=manifest.streamed,
        masks=masks,
        calibration=splits.get(CALIBRATION),
    )


def _joined(tables: list[pa.Table], shape: ImageShape) -> LabelledImages:
    """Images of one split in the order of their rows. Each table is let go when it is copied, so that a large set is in
    memory once."""
    numbers = np.concatenate([np.empty(0, np.int64), *(table.column("row").to_numpy() for table in tables)])
    places, count = numbers.argsort().argsort(), len(numbers)
    images = np.empty((count, shape.channels, shape.height, shape.width), np.uint8)
    labels, ids = np.empty(count, np.int64), np.empty(count, object)
    windows = np.empty((count, 4), np.int32) if any(_has_windows(table) for table in tables) else None
    while tables:
        table = tables.pop()
        places, rows = np.split(places, [len(places) - len(table)])
        images[rows] = _pixels(table, shape)
        labels[rows], ids[rows] = table.column("label").to_numpy(), table.column("id").to_pylist()
        if windows is not None:
            windows[rows] = np.frombuffer(b"".join(table.column("window").to_pylist()), "<i4").reshape(-1, 4)
    return LabelledImages(images, labels, tuple(ids), windows)


def _has_windows(table: pa.Table) -> bool:
    """Whether a shard says where its rows lie in images of several windows; of parts without any it says nothing."""
    return "window" in table.column_names and table.column("window").null_count == 0


def _pixels(table: pa.Table, shape: ImageShape) -> NDArray[np.uint8]:
    """uint8 (N, C, H, W): the images of a table, without a copy."""
    return pixels(table.column("image").combine_chunks()).reshape(-1, shape.channels, shape.height, shape.width)


def shard(images: LabelledImages, split: str, start: int, *, windowed: bool = False) -> pa.Table:
    """At most SHARD_ROWS rows from `start` on: row, id, split, label, image (fixed-size binary, C*H*W bytes).

    windowed: with a column of where windows lie (`Places`, 4 little-endian int32), null for images of one window.
    """
    size = int(np.prod(images.images.shape[1:]))
    part = np.ascontiguousarray(images.images[start : start + SHARD_ROWS])
    rows = len(part)
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), rows, [None, pa.py_buffer(part.tobytes())])
    table = pa.table(
        {
            "row": pa.array(range(start, start + rows), pa.int64()),
            "id": pa.array(images.ids[start : start + rows]),
            "split": pa.array([split] * rows),
            "label": pa.array(images.labels[start : start + rows]),
            "image": column,
        }
    )
    if not windowed:
        return table
    windows = None if images.windows is None else images.windows[start : start + SHARD_ROWS]
    values = [None] * rows if windows is None else [row.tobytes() for row in windows.astype("<i4")]
    return table.append_column("window", pa.array(values, WINDOW))


def shard_file(folder: UPath, split: str, number: int) -> UPath:
    """Where a shard of a split lies."""
    shards = AUXILIARY_SHARDS if split in AUXILIARY_SPLITS else SHARDS
    return folder / shards / f"{split.replace('/', '-')}-{number:05d}.parquet"


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def npy(array: NDArray[np.uint8]) -> bytes:
    data = BytesIO()
    np.save(data, array)
    return data.getvalue()


def _is_kept(file: UPath) -> bool:
    """Whether a file is there as it was written. One that is damaged, or that nothing vouches for, is named."""
    if is_whole(file, vouched=True):
        return True
    if file.exists():
        log.warning("%s is damaged or has no checksum: it is written again", file)
    return False
