"""Splits in a storage, once a content: Parquet shards of uint8 pixels, and a manifest that says what they are."""

import json
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
from orchestrator.record.locks import alone
from orchestrator.record.paths import RunPaths
from workloads.data.images import AuxiliaryImages, AuxiliarySet, LabelledImages, out_name
from workloads.data.splits import AUXILIARY_SPLITS, Splits, Targets
from workloads.files import read_checked, write_checked
from workloads.units import GENERAL, ImageShape, TrainingCounts

SHARD_ROWS = 4096
MANIFEST, MASKS = "manifest.json", "masks.npy"
NORMAL_SPLITS = ("train", "val")
SHARDS = "shards"
AUXILIARY_SHARDS = "general_shards"  # apart from the others, which are read far more often


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
            {name: len(images) for name, images in splits.parts().items()},
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
        } | ({} if shape.width == shape.height else {"width": shape.width})

    @classmethod
    def read(cls, folder: UPath) -> "SplitManifest":
        """Of splits that `SplitStore.keep` has left in a folder; the storage may have moved since."""
        values = json.loads(read_checked(folder / MANIFEST))
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

    def keep(self, splits: Splits) -> SplitManifest:
        """Write the splits once; the same content is found again. The manifest is written last."""
        folder = self.paths.data(splits.digest)
        manifest = SplitManifest.of(splits, str(folder))
        with alone(folder):
            if not (folder / MANIFEST).exists():
                parts = splits.parts()
                auxiliary = {name: parts.pop(name) for name in AUXILIARY_SPLITS if name in parts}
                _write_shards(parts, folder / SHARDS)
                _write_shards(auxiliary, folder / AUXILIARY_SHARDS)
                if splits.masks is not None:
                    _write_masks(splits.masks, folder / MASKS)
                write_checked(folder / MANIFEST, json.dumps(manifest.stored(), indent=1).encode())
        return manifest

    def manifest(self, digest: str) -> SplitManifest:
        """Of splits that are there. Raises FileNotFoundError."""
        return SplitManifest.read(self.paths.data(digest))

    def tables(self, digest: str, *, auxiliary: bool = False) -> Iterator[pa.Table]:
        """The shards' tables; with the auxiliary images, where they are held."""
        folder = self.paths.data(digest)
        for name in (SHARDS, AUXILIARY_SHARDS) if auxiliary else (SHARDS,):
            for file in sorted((folder / name).iterdir(), key=str):
                with file.open("rb") as opened:
                    yield pq.read_table(opened)

    def masks(self, digest: str) -> NDArray[np.uint8] | None:
        """uint8 (N, H, W) of the test images in their order, 1 where a pixel is anomalous; None where unknown."""
        path = self.paths.data(digest) / MASKS
        return np.load(BytesIO(path.read_bytes()), allow_pickle=False) if path.exists() else None

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
    that the data does not have, or that are not in the tables.
    """
    if auxiliary and not manifest.counts.auxiliary:
        raise ValueError("auxiliary images are asked for, and the data has none")
    classes = manifest.targets.classes
    wanted = [classes.index(name) for target in targets for name in manifest.targets.members_of(target)]
    gathered = {name: _Gathered(manifest.sizes[name], manifest.shape) for name in AUXILIARY_SPLITS if auxiliary}
    pieces = {name: _Pieces(manifest.shape) for name in manifest.sizes if name not in AUXILIARY_SPLITS}
    for table in tables:
        names = table.column("split").to_numpy()
        for name in set(names) & (pieces.keys() | gathered.keys()):
            rows = names == name
            if name in NORMAL_SPLITS:
                rows &= np.isin(table.column("label").to_numpy(), wanted)
            part = table.filter(pa.array(rows))
            if len(part):
                (gathered if name in gathered else pieces)[name].add(part)
    parts = {name: piece.images() for name, piece in pieces.items()}
    return Splits(
        train=parts["train"],
        val=parts["val"],
        test=parts["test"],
        targets=manifest.targets,
        out={out_name(name): images for name, images in parts.items() if out_name(name)},
        auxiliary=_auxiliary(gathered, manifest.duplicates) if gathered else None,
        streamed=manifest.streamed,
        masks=masks,
    )


def _auxiliary(gathered: Mapping[str, "_Gathered"], duplicates: int) -> AuxiliaryImages:
    if missing := sum(int((~part.arrived).sum()) for part in gathered.values()):
        raise ValueError(f"{missing} auxiliary images were not among the shards")
    train, val = (gathered[name].labelled() for name in AUXILIARY_SPLITS)
    return AuxiliaryImages(train, val, duplicates)


class _Pieces:
    """Images of one part as they arrive."""

    def __init__(self, shape: ImageShape) -> None:
        self.shape = shape
        self.tables: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        self.tables.append(table.select(["row", "id", "label", "image"]))

    def images(self) -> LabelledImages:
        """All of them in the order of their rows; the tables are let go."""
        tables, self.tables = self.tables, []
        if not tables:
            nothing = np.empty((0, self.shape.channels, self.shape.height, self.shape.width), np.uint8)
            return LabelledImages(nothing, np.empty(0, np.int64), ())
        positions = np.concatenate([table.column("row").to_numpy() for table in tables]).argsort().argsort()
        count = len(positions)
        images = np.empty((count, self.shape.channels, self.shape.height, self.shape.width), np.uint8)
        labels, ids = np.empty(count, np.int64), np.empty(count, object)
        start = 0
        for table in tables:
            rows = positions[start : start + len(table)]
            images[rows] = _pixels(table, self.shape)
            labels[rows], ids[rows] = table.column("label").to_numpy(), table.column("id").to_pylist()
            start += len(table)
        return LabelledImages(images, labels, tuple(ids))


class _Gathered:
    """Images that are put at their rows as they arrive, so that a large set is in memory once."""

    def __init__(self, count: int, shape: ImageShape) -> None:
        self.shape = shape
        self.images = np.empty((count, shape.channels, shape.height, shape.width), np.uint8)
        self.labels, self.ids = np.empty(count, np.int64), np.empty(count, object)
        self.arrived = np.zeros(count, bool)

    def add(self, table: pa.Table) -> None:
        rows = table.column("row").to_numpy()
        self.images[rows] = _pixels(table, self.shape)
        self.labels[rows], self.ids[rows] = table.column("label").to_numpy(), table.column("id").to_pylist()
        self.arrived[rows] = True

    def labelled(self) -> LabelledImages:
        return LabelledImages(self.images, self.labels, tuple(self.ids))


def _pixels(table: pa.Table, shape: ImageShape) -> NDArray[np.uint8]:
    """uint8 (N, C, H, W): the images of a table, without a copy."""
    return pixels(table.column("image").combine_chunks()).reshape(-1, shape.channels, shape.height, shape.width)


def shard(images: LabelledImages, split: str) -> Iterator[pa.Table]:
    """Tables of at most SHARD_ROWS rows: row, id, split, label, image (fixed-size binary, C*H*W bytes)."""
    size = int(np.prod(images.images.shape[1:]))
    for start in range(0, len(images), SHARD_ROWS):
        part = np.ascontiguousarray(images.images[start : start + SHARD_ROWS])
        rows = len(part)
        column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), rows, [None, pa.py_buffer(part.tobytes())])
        yield pa.table(
            {
                "row": pa.array(range(start, start + rows), pa.int64()),
                "id": pa.array(images.ids[start : start + rows]),
                "split": pa.array([split] * rows),
                "label": pa.array(images.labels[start : start + rows]),
                "image": column,
            }
        )


def _write_shards(parts: Mapping[str, LabelledImages], folder: UPath) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, images in parts.items():
        for number, table in enumerate(shard(images, name)):
            with (folder / f"{name.replace('/', '-')}-{number:05d}.parquet").open("wb") as file:
                pq.write_table(table, file)


def _write_masks(masks: NDArray[np.uint8], path: UPath) -> None:
    """Beside the shards, for only analyses look at them."""
    data = BytesIO()
    np.save(data, masks)
    path.write_bytes(data.getvalue())
