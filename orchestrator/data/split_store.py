"""Images on their way to the workers: files -> Parquet shards of uint8 pixels -> Ray Data -> tensors on the device."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from upath import UPath

from orchestrator.data.auxiliary.reading import pixels
from orchestrator.data.auxiliary.streamed import AuxiliarySet
from orchestrator.record.locks import alone
from tune_spaces.schema import Auxiliary, Data
from workloads.data.auxiliary import Source, general_images
from workloads.data.datasets import load
from workloads.data.images import NO_CLASS, LabelledImages
from workloads.data.in_out import in_out
from workloads.data.out_sets import out_sets
from workloads.data.protocols import Split, digest, members_of, normal_for, one_class, rows_for
from workloads.errors import UserError
from workloads.scoring.table import out_name, out_split
from workloads.units import GENERAL, ImageShape

SHARD_ROWS = 4096
MASKS = "masks.npy"
NORMAL_SPLITS = ("train", "val")
GENERAL_SPLITS = ("general_train", "general_val")
SHARDS = "shards"
GENERAL_SHARDS = "general_shards"  # apart from the others, which are read far more often


@dataclass(frozen=True)
class Prepared:
    """A dataset in shards: where it lies and what a worker must know to read it."""

    path: str
    digest: str
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    channels: int
    side: int
    train_images: int  # of the largest target, without validation
    target_digests: dict[str, str]  # of each target's own training images: what its shared stages are made of
    counts: dict[str, int]
    tested_on: dict[str, list[str]] | None = None  # target -> classes whose test images it is tested on; None: on all
    members: dict[str, list[str]] = field(default_factory=dict)  # target -> classes that are normal for it
    general_images: int = 0  # training images of the general set
    general_duplicates: int = 0  # general images left out because the dataset has them, too
    general_set: str | None = None  # where it lies, if it is streamed

    @property
    def shape(self) -> ImageShape:
        """Of the largest target."""
        return ImageShape(self.channels, self.side, self.train_images, self.general_images)

    @classmethod
    def read(cls, folder: UPath) -> "Prepared":
        """What `prepare` has left in a folder."""
        values = json.loads((folder / "manifest.json").read_text())
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        plain["path"] = str(folder)  # the storage may have moved since
        return cls(**plain)


@dataclass(frozen=True)
class Resident:
    """What a worker holds: its targets' normal images on the device, every test image and every out set.

    Where general images were asked for, they are `general`, and those of the target `GENERAL`, too.
    """

    train: dict[str, Tensor]  # target -> uint8 (N, C, S, S)
    val: dict[str, Tensor]
    test: Tensor
    test_labels: np.ndarray  # (N,) int64
    test_ids: list[str]
    val_ids: dict[str, list[str]]
    val_labels: dict[str, list[str]]  # target -> class names of its val images
    labels: dict[str, Tensor]  # target -> int64 (N,) on the device: the places of its train images among its members
    test_rows: dict[str, np.ndarray]  # target -> (N,) bool: the test images it is tested on
    out: dict[str, Tensor] = field(default_factory=dict)  # out set -> uint8 (N, C, S, S)
    out_ids: dict[str, list[str]] = field(default_factory=dict)
    auxiliary: tuple[Tensor, Tensor] | None = None  # train and val, uint8 (N, C, S, S)


def read_images(data: Data, data_dir: Path, download: bool = True) -> Split:
    """The split that a space asks for. Raises UserError or UserError before anything else has begun."""
    path = Path(data.path).expanduser() if data.path else None
    dataset = load(data.name, data_dir, path=path, side=data.side, seed=data.seed, download=download)
    amounts: dict[str, Any] = {
        "side": data.side,
        "val_fraction": data.val_fraction,
        "max_train_images": data.max_train_images,
    }
    if data.protocol == "in_out":
        split = in_out(dataset, **amounts, seed=data.seed)
    else:
        split = one_class(dataset, **amounts, classes=data.classes, seed=data.seed)
    form: dict[str, Any] = {"channels": split.test.images.shape[1], "side": data.side, "download": download}
    out = out_sets(data.out, data_dir, **form, max_images=data.max_out_images, seed=data.seed)
    if not data.auxiliary or streamed_source(data):
        return replace(split, out=out)
    sources = [Source(**source.model_dump()) for source in data.auxiliary]
    known = [part.images for part in (split.train, split.val, split.test, *out.values())]
    return replace(split, out=out, auxiliary=general_images(sources, data_dir, known=known, **form))


def streamed_source(data: Data) -> Auxiliary | None:
    """The prepared general set that a space names. Raises UserError where it names others beside it."""
    found = [source for source in data.auxiliary if source.name == "prepared"]
    if found and len(data.auxiliary) > 1:
        raise UserError(
            "a prepared general set is streamed alone",
            where="data.auxiliary",
            fix="name it alone, or prepare all the images as one set",
        )
    return found[0] if found else None


def splits_of(split: Split) -> dict[str, LabelledImages]:
    """Every part of a split under the name that its shards and its scores carry."""
    parts = {"train": split.train, "val": split.val, "test": split.test}
    if split.auxiliary is not None:
        parts |= dict(zip(GENERAL_SPLITS, (split.auxiliary.train, split.auxiliary.val), strict=True))
    return parts | {out_split(name): images for name, images in split.out.items()}


def shard(images: LabelledImages, split: str) -> Iterable[pa.Table]:
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


def prepare(split: Split, root: UPath, auxiliary_set: AuxiliarySet | None = None) -> Prepared:
    """Write the shards once; a split of the same content is found again. The manifest is written last.

    auxiliary_set: general images that stay where they are and are streamed.
    """
    key, parts = digest(split), splits_of(split)
    if auxiliary_set is not None:
        key = hashlib.sha256(f"{key} {auxiliary_set.digest}".encode()).hexdigest()
    folder = root / key[:16]
    digests = {target: target_digest(split, target) for target in split.targets}
    if split.auxiliary is not None:
        digests[GENERAL] = pixel_digest(split.auxiliary.train.images).hexdigest()[:16]
    if auxiliary_set is not None:
        digests[GENERAL] = auxiliary_set.digest
    prepared = Prepared(
        path=str(folder),
        digest=key,
        classes=tuple(split.classes),
        targets=tuple(split.targets),
        channels=split.train.images.shape[1],
        side=split.train.images.shape[-1],
        train_images=max(int(split.own(split.train, target).sum()) for target in split.targets),
        target_digests=digests,
        counts={name: len(images) for name, images in parts.items()},
        tested_on=None if split.tested_on is None else {t: list(names) for t, names in split.tested_on.items()},
        members={target: list(members_of(split.members, target)) for target in split.targets},
        general_images=auxiliary_set.images if auxiliary_set else len(split.auxiliary.train) if split.auxiliary else 0,
        general_duplicates=split.auxiliary.duplicates if split.auxiliary else 0,
        general_set=auxiliary_set.path if auxiliary_set else None,
    )
    with alone(folder):
        if not (folder / "manifest.json").exists():
            general = {name: parts.pop(name) for name in GENERAL_SPLITS if name in parts}
            write_shards(parts, folder / SHARDS)
            write_shards(general, folder / GENERAL_SHARDS)
            if split.masks is not None:
                write_masks(split.masks, folder / MASKS)
            (folder / "manifest.json").write_text(json.dumps(asdict(prepared), indent=1))
    return prepared


def write_masks(masks: np.ndarray, path: UPath) -> None:
    """Beside the shards, for only analyses look at them."""
    data = BytesIO()
    np.save(data, masks)
    path.write_bytes(data.getvalue())


def read_masks(prepared: Prepared) -> np.ndarray | None:
    """uint8 (N, S, S) of the test images in their order, 1 where a pixel is anomalous; None where unknown."""
    path = UPath(prepared.path) / MASKS
    return np.load(BytesIO(path.read_bytes()), allow_pickle=False) if path.exists() else None


def write_shards(parts: Mapping[str, LabelledImages], folder: UPath) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, images in parts.items():
        for number, table in enumerate(shard(images, name)):
            with (folder / f"{name.replace('/', '-')}-{number:05d}.parquet").open("wb") as file:
                pq.write_table(table, file)


def target_digest(split: Split, target: str) -> str:
    """Of one target's training images alone, so that asking for other classes, too, finds its stages again.

    Of a target of several classes also their labels: methods may learn from them.
    """
    own = split.train.take(split.own(split.train, target))
    hashed = pixel_digest(own.images)
    if target in split.members:
        hashed.update(np.ascontiguousarray(own.labels, dtype="<i8").data)
    return hashed.hexdigest()[:16]


def pixel_digest(images: np.ndarray) -> Any:
    """SHA-256 of images and their shape, to be gone on with."""
    hashed = hashlib.sha256(repr(images.shape).encode())
    hashed.update(np.ascontiguousarray(images).data)
    return hashed


def stream(prepared: Prepared, auxiliary: bool = True) -> Any:
    """The shards as a Ray dataset, read by Ray's tasks and streamed to whoever iterates.

    auxiliary: with the auxiliary images, where there are any; leave them out where no worker needs them.
    """
    import ray.data

    held = prepared.general_images and not prepared.general_set
    folders = [SHARDS, GENERAL_SHARDS] if auxiliary and held else [SHARDS]
    return ray.data.read_parquet([f"{prepared.path}/{folder}" for folder in folders])


def collect(
    batches: Iterable[pa.Table],
    prepared: Prepared,
    targets: Sequence[str],
    device: torch.device,
    auxiliary: bool = False,
) -> Resident:
    """Drain a stream of shards into tensors: normal images of `targets`, all test images and all out sets; the general
    images only where `auxiliary` asks for them or `GENERAL` is a target, for they may be the most by far.

    One-class sets are small (5,000 CIFAR images are 15 MB), so they stay on the device as uint8 and every epoch is a
    seeded permutation of them. Rows are sorted, so the order in which blocks arrive does not matter.
    """
    own = [target for target in targets if target != GENERAL]
    if prepared.general_set:
        auxiliary, targets = False, own  # they are not among the shards
    members = {target: members_of(prepared.members, target) for target in own}
    wanted = [prepared.classes.index(name) for names in members.values() for name in names]
    columns: dict[str, list[Any]] = {name: [] for name in ("row", "id", "split", "label", "image")}
    shape = (prepared.channels, prepared.side, prepared.side)
    asked = GENERAL_SPLITS if auxiliary or GENERAL in targets else ()
    if asked and not prepared.general_images:
        raise ValueError("general images are asked for, and the data has none")
    gathered = {name: Gathered(prepared.counts[name], shape) for name in asked}
    for batch in batches:
        label, split = batch.column("label").to_numpy(), np.array(batch.column("split").to_pylist())
        for name in asked:
            if (split == name).any():
                gathered[name].add(batch.filter(pa.array(split == name)))
        normal = np.isin(split, NORMAL_SPLITS) & np.isin(label, wanted)
        keep = normal | ~np.isin(split, (*NORMAL_SPLITS, *GENERAL_SPLITS))
        table = batch.filter(pa.array(keep))
        if not len(table):
            continue
        columns["image"].append(pixels_of(table, shape))
        columns["row"].append(table.column("row").to_numpy())
        columns["label"].append(table.column("label").to_numpy())
        columns["split"].append(split[keep])
        columns["id"].append(np.array(table.column("id").to_pylist(), dtype=object))
    row, label, split, ids = (np.concatenate(columns[n]) for n in ("row", "label", "split", "id"))
    images = np.concatenate(columns["image"])

    def rows(name: str, target: str | None = None) -> np.ndarray:
        chosen = split == name
        if target is not None:
            chosen &= normal_for(label, prepared.classes, prepared.members, target)
        found = np.flatnonzero(chosen)
        return found[np.argsort(row[found])]

    def tensors(name: str) -> dict[str, Tensor]:
        return {t: torch.from_numpy(images[rows(name, t)]).to(device) for t in own}

    def places(target: str) -> Tensor:
        numbers = [prepared.classes.index(name) for name in members[target]]
        return torch.tensor([numbers.index(found) for found in label[rows("train", target)]], device=device)

    test = rows("test")
    out = {name: rows(part) for part in prepared.counts if (name := out_name(part))}
    resident = Resident(
        train=tensors("train"),
        val=tensors("val"),
        test=torch.from_numpy(images[test]),
        test_labels=label[test],
        test_ids=list(ids[test]),
        val_ids={t: list(ids[rows("val", t)]) for t in own},
        val_labels={t: [prepared.classes[i] for i in label[rows("val", t)]] for t in own},
        labels={t: places(t) for t in own},
        test_rows={t: rows_for(label[test], prepared.classes, prepared.tested_on, t) for t in own},
        out={name: torch.from_numpy(images[found]) for name, found in out.items()},
        out_ids={name: list(ids[found]) for name, found in out.items()},
    )
    if not asked:
        return resident
    parts = [gathered[name] for name in asked]
    if missing := sum(int((~part.arrived).sum()) for part in parts):
        raise ValueError(f"{missing} general images were not in the stream")
    train, val = (torch.from_numpy(part.images).to(device) for part in parts)
    return with_general(resident, train, val, list(parts[1].ids))


def with_general(resident: Resident, train: Tensor, val: Tensor, val_ids: list[str]) -> Resident:
    """The general images as `Resident.general`, and as images of the target `GENERAL`, which has no test images."""
    return replace(
        resident,
        auxiliary=(train, val),
        train=resident.train | {GENERAL: train},
        val=resident.val | {GENERAL: val},
        val_ids=resident.val_ids | {GENERAL: val_ids},
        val_labels=resident.val_labels | {GENERAL: [GENERAL] * len(val)},
        labels=resident.labels | {GENERAL: torch.full((len(train),), NO_CLASS, device=train.device)},
    )


class Gathered:
    """Images that are put at their rows as they arrive, so that a large set is in memory once."""

    def __init__(self, count: int, shape: tuple[int, int, int]) -> None:
        self.images = np.empty((count, *shape), np.uint8)
        self.ids = np.empty(count, dtype=object)
        self.arrived = np.zeros(count, bool)

    def add(self, table: pa.Table) -> None:
        rows = table.column("row").to_numpy()
        self.images[rows] = pixels_of(table, self.images.shape[1:])
        self.ids[rows] = table.column("id").to_pylist()
        self.arrived[rows] = True


def pixels_of(table: pa.Table, shape: Sequence[int]) -> np.ndarray:
    """uint8 (N, C, S, S): the images of a table, without a copy."""
    return pixels(table.column("image").combine_chunks()).reshape(-1, *shape)
