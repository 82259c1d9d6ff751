"""Reading a prepared set again, byte by byte, against its manifest."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from orchestrator.data.auxiliary.manifest import COUNTS, Manifest, Seen, Shard, open_set


@dataclass(frozen=True)
class Damage:
    """A shard that is not what it was, and how it differs."""

    shard: str
    what: str


@dataclass(frozen=True)
class Verified:
    """A prepared set, and everything in which its files differ from its manifest."""

    manifest: Manifest
    damages: list[Damage]


def verify_set(path: str, progress: AbstractContextManager[Seen]) -> Verified:
    """`verify` of the set at a path or URI, its progress shown. Raises UserError where no finished set lies there."""
    manifest = open_set(path)
    with progress as seen:
        return Verified(manifest, verify(manifest, seen))


def verify(manifest: Manifest, seen: Seen, threads: int = 8) -> list[Damage]:
    """Every shard whose file is missing, has another size or other bytes, and every file that no record names.

    seen: told of (shards done, shards, images in those that are done, images). A thread a shard: SHA-256 runs outside
    Python's lock, and object stores answer many requests at once.
    """
    damages, images = list[Damage](), 0
    with ThreadPoolExecutor(threads) as pool:
        checked = pool.map(lambda shard: damage_of(manifest, shard), manifest.shards)
        for done, (shard, damage) in enumerate(zip(manifest.shards, checked, strict=True), 1):
            damages += [damage] if damage else []
            images += shard.rows
            seen(done, len(manifest.shards), images, manifest.count("rows"))
    folder = manifest.file(manifest.shards[0]).parent
    named = {manifest.file(shard).name for shard in manifest.shards}
    there = folder.iterdir() if folder.exists() else ()
    strays = sorted(f.name for f in there if f.name not in named and not f.name.startswith("."))
    return damages + [Damage(name, "no record names this file") for name in strays]


def damage_of(manifest: Manifest, shard: Shard) -> Damage | None:
    file = manifest.file(shard)
    if not file.exists():
        return Damage(file.name, "missing")
    if (size := file.stat().st_size) != shard.bytes:
        return Damage(file.name, f"{size:,} bytes, its record has {shard.bytes:,}")
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != shard.sha256:
        return Damage(file.name, f"other bytes: SHA-256 {digest[:16]}, its record has {shard.sha256[:16]}")
    return None


def statistics(path: str) -> dict[str, Any]:
    """Counts of the set at a path or URI, images by split, and the mean and deviation of its pixel values in each
    channel. Raises UserError where no finished set lies there."""
    manifest = open_set(path)
    mean, deviation = manifest.moments()
    return {what: manifest.count(what) for what in COUNTS} | {
        "splits": {split: sum(shard.rows for shard in manifest.of_split(split)) for split in manifest.splits},
        "mean": [round(float(value), 3) for value in mean],
        "std": [round(float(value), 3) for value in deviation],
    }
