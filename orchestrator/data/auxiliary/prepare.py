"""Any source of images into checked shards, by Ray's tasks; what was finished is never made again."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import ray
from upath import UPath

from orchestrator.data.auxiliary.datasource import innermost, read_pieces
from orchestrator.data.auxiliary.deduplication import Deduplication
from orchestrator.data.auxiliary.manifest import PLAN, Manifest, Seen, Shard, ShardLayout, finished
from orchestrator.data.auxiliary.order import permutation
from orchestrator.data.auxiliary.shards import write_shard
from orchestrator.data.auxiliary.sources.base import TEST, TRAIN, Bad, Piece, Rows, SourceFormat
from orchestrator.planning.code_digest import content_hash
from workloads.data.duplicates import Known
from workloads.errors import Kind, UserError
from workloads.files import alone, read_checked, write_checked

MAX_BAD = 0.05
"""Of all images: more say that the source is not what it was taken for."""


def plan_of(
    source: SourceFormat, layout: ShardLayout, deduplication: Deduplication | None, pieces: Sequence[Piece]
) -> dict[str, Any]:
    """What determines every byte of the set, as plain data."""
    return {
        "source": dict(source.facts()),
        "layout": asdict(layout),
        "without": deduplication and {"sets": dict(deduplication.digests), "near": deduplication.near},
        "parts": {"count": len(pieces), "digest": content_hash([[p.name, p.split, p.what] for p in pieces])},
    }


@dataclass(frozen=True)
class Task:
    """A set to be made, or to be gone on with: nothing stands in its way any more."""

    source: SourceFormat
    out: str
    layout: ShardLayout
    known: Known | None
    pieces: Sequence[Piece]
    plan: Mapping[str, Any]

    def done(self) -> bool:
        """Whether every shard is there, so that `make` needs no Ray."""
        return len(finished(self.out, self.pieces)) == len(self.pieces)


def begin(
    source: SourceFormat, out: str, layout: ShardLayout, deduplication: Deduplication | None, hold_out: float = 0.0
) -> Task:
    """Look at the source, and claim `out` for it. No Ray, no pixels.

    hold_out: share of the shards that test and never train, where the source does not say which; a small set has as
    many shards as that takes. Raises UserError where the source cannot be used; UserError (exit 4) where `out`
    holds a set of another source or other options.
    """
    least = math.ceil(1 / hold_out) if hold_out else 1
    pieces = with_held_out(source.pieces(layout.shard_images, least), hold_out)
    if not pieces:
        raise UserError("no images chosen", where=str(source.facts()))
    plan = plan_of(source, layout, deduplication, pieces)
    folder = UPath(out)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / "prepare"):
        claim(folder / PLAN, plan, "a set made of something else", "remove it, and prepare again")
    return Task(source, out, layout, deduplication.known if deduplication else None, pieces, plan)


def make(task: Task, seen: Seen) -> Manifest:
    """Make the shards that are not there yet, then the manifest. Needs a running Ray. Raises UserError where too
    many images are bad, and whatever stands in the way of a shard; finished ones are kept."""
    with alone(UPath(task.out) / "prepare"):
        for left in (UPath(task.out) / "shards").glob(".*.tmp"):  # of a prepare that was killed
            left.unlink()
        shards = finished(task.out, task.pieces)
        total = sum(piece.images for piece in task.pieces)

        def report() -> None:
            seen(len(shards), len(task.pieces), sum(s.rows + s.bad for s in shards.values()), total)

        report()
        for shard in made(task, [piece for piece in task.pieces if piece.name not in shards]):
            shards[shard.name] = shard
            report()
        check_bad(task.out, list(shards.values()))
        check_seen(task)
        manifest = Manifest(task.out, task.plan, tuple(shards[piece.name] for piece in task.pieces))
        manifest.write()
        return manifest


def claim(file: UPath, plan: dict[str, Any], other: str, damaged: str) -> None:
    """Write the plan into an empty place, or find the same there. other: what a place of another plan holds. damaged:
    what to do with a plan that is. Raises UserError (exit 4) for another plan, with what differs."""
    if not file.exists():
        write_checked(file, json.dumps(plan, indent=1).encode())
        return
    changed = differences(json.loads(read_checked(file, damaged)), plan)
    if changed:
        headline, details = f"{file.parent} holds {other}", "\n".join(f"  {line}" for line in changed)
        fix = "give another --out, or remove that folder; a source that changed meanwhile cannot be continued"
        raise UserError(headline, details=details, fix=fix, kind=Kind.REFUSED)


def with_held_out(pieces: Sequence[Piece], share: float) -> list[Piece]:
    """The pieces, some of which test: a seeded choice. As they are where some test already, or where there is one
    only."""
    if share == 0 or len(pieces) < 2 or any(piece.split == TEST for piece in pieces):
        return list(pieces)
    count = min(len(pieces) - 1, max(1, round(share * len(pieces))))
    chosen = set(permutation(len(pieces), "held out", len(pieces))[:count].tolist())
    return [
        replace(piece, split=TEST, name=piece.name.replace(TRAIN, TEST, 1)) if number in chosen else piece
        for number, piece in enumerate(pieces)
    ]


def differences(before: Any, after: Any, key: str = "") -> list[str]:
    """Where two plain values differ, a line each."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = dict.fromkeys([*before, *after])
        return [d for k in keys for d in differences(before.get(k), after.get(k), f"{key}.{k}" if key else k)]
    return [] if before == after else [f"{key}: there it is {before}, now {after}"]


def made(task: Task, pieces: Sequence[Piece]) -> Iterator[Shard]:
    """Records of the shards of `pieces`, in the order in which they are finished."""
    if not pieces:
        return
    then = partial(write_and_record, task.out, task.layout, ray.put(task.known))
    try:
        for row in read_pieces(task.source, pieces, task.layout, then).iter_rows():
            yield Shard.parse(json.loads(row["record"]))
    except Exception as error:
        raise innermost(error) from error


def write_and_record(
    out: str, layout: ShardLayout, known: Any, piece: Piece, stream: Iterator[Rows | Bad]
) -> Iterator[pa.Table]:
    """Inside a read task: the pixels go from the source to the shard and never through Ray's object store."""
    shard = write_shard(out, layout, ray.get(known), piece, stream)
    yield pa.table({"record": [json.dumps(asdict(shard))]})


def check_seen(task: Task) -> None:
    """Raises UserError where this machine lacks shards that others have made."""
    lacking = len(task.pieces) - len(finished(task.out, task.pieces))
    if lacking:
        headline = f"{lacking} of {len(task.pieces)} finished shards are not here"
        fix = "give an --out that all nodes share: a folder at the same path on each, or a URI"
        raise UserError(headline, where=task.out, fix=fix)


def check_bad(out: str, shards: Sequence[Shard]) -> None:
    bad, rows = sum(s.bad for s in shards), sum(s.rows for s in shards)
    if not rows or bad > max(1, MAX_BAD * (bad + rows)):
        headline, where = (
            f"{bad:,} of {bad + rows:,} images cannot be used",
            f"{out}/quarantine names each with its reason",
        )
        raise UserError(headline, where=where, fix="mend or remove them and prepare again into another --out")
