"""Any source of images into checked shards, by Ray's tasks; what was finished is never made again."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import ray
from upath import UPath

from orchestrator.data.auxiliary.datasource import PartsDatasource
from orchestrator.data.auxiliary.manifest import PLAN, Layout, Manifest, Shard, finished
from orchestrator.data.auxiliary.order import permutation
from orchestrator.data.auxiliary.shards import write_shard
from orchestrator.data.auxiliary.sources.base import TEST, TRAIN, Bad, Part, Rows, Source
from orchestrator.planning.identity import content_hash
from orchestrator.record.locks import alone
from workloads.data.duplicates import Known
from workloads.errors import Kind, UserError
from workloads.files import write_atomically

MAX_BAD = 0.05
"""Of all images: more say that the source is not what it was taken for."""

Seen = Callable[[int, int, int, int], None]
"""(shards done, shards in all, images done, images in all) whenever a shard is finished."""


@dataclass(frozen=True)
class Against:
    """In-sets whose images are to be kept out: name -> digest of each, the hashes of all of them."""

    digests: Mapping[str, str]
    known: Known

    @property
    def near(self) -> int | None:
        return None if self.known.near is None else self.known.threshold


def plan_of(source: Source, layout: Layout, against: Against | None, parts: Sequence[Part]) -> dict[str, Any]:
    """What determines every byte of the set, as plain data."""
    return {
        "source": dict(source.facts()),
        "layout": asdict(layout),
        "without": None if against is None else {"sets": dict(against.digests), "near": against.near},
        "parts": {"count": len(parts), "digest": content_hash([[p.name, p.split, p.what] for p in parts])},
    }


@dataclass(frozen=True)
class Task:
    """A set to be made, or to be gone on with: nothing stands against it any more."""

    source: Source
    out: str
    layout: Layout
    known: Known | None
    parts: Sequence[Part]
    plan: Mapping[str, Any]

    def done(self) -> bool:
        """Whether every shard is there, so that `make` needs no Ray."""
        return len(finished(self.out, self.parts)) == len(self.parts)


def begin(source: Source, out: str, layout: Layout, against: Against | None, hold_out: float = 0.0) -> Task:
    """Look at the source, and claim `out` for it. No Ray, no pixels.

    hold_out: share of the shards that test and never train, where the source does not say which; a small set has as
    many shards as that takes. Raises UserError where the source cannot be used; UserError (exit 4) where `out`
    holds a set of another source or other options.
    """
    parts = with_held_out(source.parts(layout.shard_images, math.ceil(1 / hold_out) if hold_out else 1), hold_out)
    if not parts:
        raise UserError("no images chosen", where=str(source.facts()))
    plan = plan_of(source, layout, against, parts)
    folder = UPath(out)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / "prepare"):
        claim(folder, plan)
    return Task(source, out, layout, against.known if against else None, parts, plan)


def make(task: Task, seen: Seen) -> Manifest:
    """Make the shards that are not there yet, then the manifest. Needs a running Ray. Raises UserError where too
    many images are bad, and whatever stands in the way of a shard; finished ones are kept."""
    with alone(UPath(task.out) / "prepare"):
        for left in (UPath(task.out) / "shards").glob(".*.tmp"):  # of a prepare that was killed
            left.unlink()
        shards = finished(task.out, task.parts)
        total = sum(part.images for part in task.parts)

        def told() -> None:
            seen(len(shards), len(task.parts), sum(s.rows + s.bad for s in shards.values()), total)

        told()
        for shard in made(task, [part for part in task.parts if part.name not in shards]):
            shards[shard.name] = shard
            told()
        check_bad(task.out, list(shards.values()))
        check_seen(task)
        manifest = Manifest(task.out, task.plan, tuple(shards[part.name] for part in task.parts))
        manifest.write()
        return manifest


def claim(folder: UPath, plan: dict[str, Any]) -> None:
    """Write the plan into an empty place, or find the same there."""
    file = folder / PLAN
    if not file.exists():
        write_atomically(file, json.dumps(plan, indent=1).encode())
        return
    before = json.loads(file.read_text())
    changed = differences(before, plan)
    if changed:
        raise UserError(
            f"{folder} holds a set made of something else",
            details="\n".join(f"  {line}" for line in changed),
            fix="give another --out, or remove that folder; a source that changed meanwhile cannot be continued",
            kind=Kind.REFUSED,
        )


def with_held_out(parts: Sequence[Part], share: float) -> list[Part]:
    """The parts, some of which test: whole parts, a seeded choice. As they are where some test already, or where there
    is one only."""
    if share == 0 or len(parts) < 2 or any(part.split == TEST for part in parts):
        return list(parts)
    count = min(len(parts) - 1, max(1, round(share * len(parts))))
    chosen = set(permutation(len(parts), "held out", len(parts))[:count].tolist())
    return [
        replace(part, split=TEST, name=part.name.replace(TRAIN, TEST, 1)) if number in chosen else part
        for number, part in enumerate(parts)
    ]


def differences(before: Any, now: Any, key: str = "") -> list[str]:
    """Where two plain values differ, a line each."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        return [d for k in keys for d in differences(before.get(k), now.get(k), f"{key}.{k}" if key else k)]
    return [] if before == now else [f"{key}: there it is {before}, now {now}"]


def made(task: Task, parts: Sequence[Part]) -> Iterator[Shard]:
    """Records of the shards of `parts`, in the order in which they are finished."""
    if not parts:
        return
    then = partial(write_and_record, task.out, task.layout, ray.put(task.known))
    source = PartsDatasource(task.source, parts, task.layout, then)
    try:
        for row in ray.data.read_datasource(source, override_num_blocks=len(parts)).iter_rows():
            yield Shard.parse(json.loads(row["record"]))
    except Exception as error:
        raise innermost(error) from error


def write_and_record(
    out: str, layout: Layout, known: Any, part: Part, stream: Iterator[Rows | Bad]
) -> Iterator[pa.Table]:
    """Inside a read task: the pixels go from the source to the shard and never through Ray's object store."""
    shard = write_shard(out, layout, ray.get(known), part, stream)
    yield pa.table({"record": [json.dumps(asdict(shard))]})


def innermost(error: BaseException) -> BaseException:
    """What the user can mend, out of the layers that Ray lays about an error in a task."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, UserError):
            return UserError(*found.args)
        found = getattr(found, "cause", None) or found.__cause__
    return error


def check_seen(task: Task) -> None:
    """Raises UserError where this machine lacks shards that others have made."""
    lacking = len(task.parts) - len(finished(task.out, task.parts))
    if lacking:
        raise UserError(
            f"{lacking} of {len(task.parts)} finished shards are not here",
            where=task.out,
            fix="give an --out that all nodes share: a folder at the same path on each, or a URI",
        )


def check_bad(out: str, shards: Sequence[Shard]) -> None:
    bad, rows = sum(s.bad for s in shards), sum(s.rows for s in shards)
    if not rows or bad > max(1, MAX_BAD * (bad + rows)):
        raise UserError(
            f"{bad:,} of {bad + rows:,} images cannot be used",
            where=f"{out}/quarantine names each with its reason",
            fix="mend or remove them and prepare again into another --out",
        )
