"""What a prepared set knows of itself. Plain JSON; written last, so its presence says that every shard is there.

<out>/
  plan.json                what was asked and what the source was: a prepare that continues must find the same
  shards/train-000000.parquet    id, offset, image (fixed-size binary, C*S*S bytes, planes R, G, B)
  records/train-000000.json      rows, row groups, SHA-256 and counts of a finished shard
  quarantine/train-000000.parquet    id, reason and bytes of images that could not be used, where there are any
  manifest.json            all records in order
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from upath import UPath

from orchestrator.data.auxiliary.sources.base import Piece
from orchestrator.planning.request import absolute
from tune_spaces.schema import Auxiliary
from workloads.errors import UserError
from workloads.files import is_whole, read_checked, write_checked

VERSION = 1
COUNTS = ("rows", "bytes", "bad", "exact_duplicates", "near_duplicates", "blank", "broken")
PLAN, MANIFEST = "plan.json", "manifest.json"
GROUP_BYTES = 3 << 19  # 1.5 MiB of pixels: one request to object storage
SHARD_BYTES = 96 << 20

Seen = Callable[[int, int, int, int], None]
"""(shards done, shards in all, images done, images in all; 0 where only the end tells) whenever a shard is finished."""


@dataclass(frozen=True)
class ShardLayout:
    """How pixels lie in shards: (C, S, S) images, rows of a Parquet row group, about how many images a shard."""

    channels: int
    side: int
    group_rows: int
    shard_images: int

    @classmethod
    def of(cls, side: int, shard_bytes: int = SHARD_BYTES) -> "ShardLayout":
        """RGB in row groups of about 1.5 MiB and shards of about `shard_bytes`."""
        size = 3 * side**2
        rows = max(1, GROUP_BYTES // size)
        return cls(3, side, rows, max(1, round(shard_bytes / size / rows)) * rows)

    @property
    def image_bytes(self) -> int:
        return self.channels * self.side**2


@dataclass(frozen=True)
class Shard:
    """A finished shard. groups: rows of each of its row groups. sums, squares: of the pixel values, a channel each."""

    name: str
    split: str
    rows: int
    groups: tuple[int, ...]
    bytes: int
    sha256: str
    bad: int
    exact_duplicates: int
    near_duplicates: int
    blank: int
    sums: tuple[int, ...]
    squares: tuple[int, ...]
    broken: int = 0  # source files that break off, each counted as one bad image

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "Shard":
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)


@dataclass(frozen=True)
class Manifest:
    """A whole prepared set and where it lies."""

    path: str
    plan: Mapping[str, Any]
    shards: tuple[Shard, ...]

    @classmethod
    def read(cls, path: str) -> "Manifest":
        """Raises UserError where no finished set lies at `path`."""
        file = UPath(path) / MANIFEST
        if not file.exists():
            if (UPath(path) / PLAN).exists():
                fix = "give the command that began it again: it continues"
                raise UserError("this set is not finished", where=path, fix=fix)
            fix = "make one: python -m orchestrator data prepare --help"
            raise UserError("no prepared image set here", where=path, fix=fix)
        try:
            values = json.loads(read_checked(file, "prepare the set again"))
            if values["version"] != VERSION:
                raise UserError(f"version {values['version']!r} is not {VERSION}", where=str(file))
            return cls(path, values["plan"], tuple(Shard.parse(shard) for shard in values["shards"]))
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"damaged manifest: {error}", where=str(file), fix="prepare the set again") from error

    def write(self) -> None:
        values = {"version": VERSION, "plan": self.plan, "shards": [asdict(shard) for shard in self.shards]}
        write_checked(UPath(self.path) / MANIFEST, json.dumps(values, indent=1).encode())

    @property
    def layout(self) -> ShardLayout:
        return ShardLayout(**self.plan["layout"])

    @property
    def splits(self) -> list[str]:
        """Those with images in them, in the order of the shards."""
        return list(dict.fromkeys(shard.split for shard in self.shards if shard.rows))

    def file(self, shard: Shard) -> UPath:
        return shard_file(self.path, shard.name)

    def of_split(self, split: str) -> list[Shard]:
        """Raises UserError where there are no images of that split."""
        shards = [shard for shard in self.shards if shard.split == split and shard.rows]
        if not shards:
            headline = f"no images of split {split!r}, only of {', '.join(self.splits)}"
            fix = "prepare it again into another --out with --hold-out 0.05"
            raise UserError(headline, where=self.path, fix=fix)
        return shards

    def count(self, what: str) -> int:
        """Sum of one of COUNTS over the shards. blank: images whose every value is 0, which are kept."""
        return sum(getattr(shard, what) for shard in self.shards)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) of the pixel values 0..255, a channel each, over all images."""
        pixels = max(1, self.count("rows")) * self.layout.side**2
        mean, square = (
            np.array([sum(column) for column in zip(*(getattr(s, what) for s in self.shards), strict=True)]) / pixels
            for what in ("sums", "squares")
        )
        return mean, np.sqrt(np.maximum(square - mean**2, 0))


def open_set(path: str) -> Manifest:
    """The prepared set at a path or URI as a user gives it. Raises UserError as `Manifest.read` does."""
    return Manifest.read(absolute(path))


def sets_below(root: str) -> dict[str, Manifest | UserError]:
    """Path -> prepared set, sorted, of every one below a folder or URI; what is wrong with one that cannot be used."""
    folder, sets = UPath(absolute(root)), dict[str, Manifest | UserError]()
    for path in sorted(str(file.parent) for file in folder.rglob(PLAN)) if folder.exists() else []:
        try:
            sets[path] = Manifest.read(path)
        except UserError as error:
            sets[path] = error
    return sets


def shard_file(path: str, name: str) -> UPath:
    return UPath(path) / "shards" / f"{name}.parquet"


def record_file(path: str, name: str) -> UPath:
    return UPath(path) / "records" / f"{name}.json"


def quarantine_file(path: str, name: str) -> UPath:
    return UPath(path) / "quarantine" / f"{name}.parquet"


def in_set(name: str, path: str | None) -> str:
    """A dataset whose images are kept out, as a plan names it: one of the catalogue, or the class folder at `path`."""
    return f"{name}={Path(path).expanduser().resolve()}" if path else name


def finished(path: str, pieces: Sequence[Piece]) -> dict[str, Shard]:
    """Records of the pieces whose shard is there with its full size. One whose record is damaged is made again."""
    shards = {}
    for piece in pieces:
        record = record_file(path, piece.name)
        if not is_whole(record):
            continue
        shard = Shard.parse(json.loads(read_checked(record)))
        file = shard_file(path, piece.name)
        if file.exists() and file.stat().st_size == shard.bytes:
            shards[piece.name] = shard
    return shards


def prepared_images(sources: Sequence[Auxiliary]) -> int | None:
    """Images of the prepared set among a space's auxiliary sources; None where it names none. Raises UserError."""
    paths = [source.path for source in sources if source.name == "prepared" and source.path]
    return Manifest.read(paths[0]).count("rows") if paths else None
