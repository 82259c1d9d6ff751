"""Reading a prepared set again, byte by byte, against its manifest."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.data.auxiliary.manifest import Manifest, Shard


@dataclass(frozen=True)
class Damage:
    """A shard that is not what it was, and how it differs."""

    shard: str
    what: str


def verify(manifest: Manifest, seen: Callable[[Shard], None], threads: int = 8) -> list[Damage]:
    """Every shard whose file is missing, has another size or other bytes, and every file that no record names.

    A thread a shard: SHA-256 runs outside Python's lock, and object stores answer many requests at once.
    """

    def check(shard: Shard) -> Damage | None:
        damage = damage_of(manifest, shard)
        seen(shard)
        return damage

    with ThreadPoolExecutor(threads) as pool:
        damages = [damage for damage in pool.map(check, manifest.shards) if damage]
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
