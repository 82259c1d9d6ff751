"""Decisions on any number of images by Ray: parts of one Parquet dataset, each of which is made once.

<out>/
  part-000000.parquet    a row an image, with the columns of `rows.COLUMNS`; there as a whole or not at all
  _plan.json             what decides, and on which images: a prediction that goes on must find the same
  _summary.json          written last: the counts, the threshold, and the account of what was not used

Readers of Parquet pass over what begins with "_", so the folder is one table.
"""

import hashlib
import io
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from orchestrator.clusters.connection import check_address
from orchestrator.clusters.jobs import option_words
from orchestrator.clusters.session import node_resources, ray_session
from orchestrator.clusters.submission import Job, submit_words
from orchestrator.inference.detector import detector_at
from orchestrator.inference.predict import (
    Predicted,
    Seen,
    Tally,
    check_maps,
    concluded,
    decision_of,
    part_names,
    refuse_nothing,
    refuse_unreadable,
    rows_of,
)
from orchestrator.inference.rows import KINDS, columns_of, schema_of
from orchestrator.inference.sources import images_at
from orchestrator.planning.code_digest import content_hash
from orchestrator.planning.request import DEFAULT_STORAGE, absolute
from workloads.data.reading.listing import ImageFile, Listing
from workloads.detector import Detector
from workloads.errors import UserError
from workloads.files import alone, remove_partials, write_atomically, write_checked
from workloads.portable import is_detector
from workloads.scoring.thresholds import HeldOut, Threshold

PART = 1000
"""Images of a part: what a worker that is lost has to score again, at most, and what a worker holds the rows of."""
PLAN, SUMMARY = "_plan.json", "_summary.json"
THIS_MACHINE = "local"


@dataclass(frozen=True)
class Source:
    """Where a detector is read from: a run's name in a storage, and the class that counts as normal."""

    run: str
    storage: str
    target: str | None


@dataclass(frozen=True, eq=False)
class Work:
    """What every worker needs to know. maps: the folder for maps, if any."""

    source: Source
    held_out: HeldOut
    threshold: Threshold
    out: str
    maps: str | None


def predict_at_scale(
    source: Source,
    places: Sequence[str],
    out: str,
    address: str,
    *,
    false_alarms: float | None = None,
    normals: Sequence[str] = (),
    defects: Sequence[str] = (),
    maps: str | None = None,
    strict: bool = False,
    seen: Seen = lambda _done, _total: None,
) -> Predicted:
    """Decide on every image, by the workers of a Ray; what was finished before is not scored again.

    out: a folder, or a URI, that all nodes share, as they do the images and the storage. address: "auto" for the
    cluster that this machine belongs to, or "local" for a Ray of this machine's own. The other arguments are those of
    `orchestrator.predict`. Raises UserError as `predict_images` does, and (exit 4) where `out` holds other decisions.
    """
    folder = UPath(checked_folder(out))
    if address != THIS_MACHINE:
        check_address(address)
    images = on_all_nodes(images_at(places))
    detector = detector_at(source.run, source.storage, source.target)
    detector, threshold = decision_of(detector, false_alarms, normals, defects)
    check_maps(detector, maps)
    folder.mkdir(parents=True, exist_ok=True)
    work = Work(source, detector.normals, threshold, str(folder), maps and absolute(maps))
    with alone(folder / "_predict"):
        speed = make_parts(work, images.images, address, seen)
        tally = tally_of(folder, len(images.images))
        refuse_nothing(tally)
        predicted = concluded(folder, detector, threshold, images, tally, speed)
        write_summary(folder, predicted)
    if strict:
        refuse_unreadable(tally, folder)
    return predicted


def checked_folder(out: str) -> str:
    """The folder or URI to write to. Raises UserError for what names a file."""
    if UPath(out).suffix.lower() in KINDS:
        fix = "give a folder or URI that all nodes share, such as --out predictions"
        raise UserError("with --address a dataset of many parts is written", where=f"--out {out}", fix=fix)
    return absolute(out)


def on_all_nodes(images: Listing) -> Listing:
    """The images by absolute paths: a worker stands in another folder."""
    files = [replace(f, path=f.path.absolute()) if isinstance(f.path, Path) else f for f in images.images]
    return replace(images, images=tuple(files))


def make_parts(work: Work, files: Sequence[ImageFile], address: str, seen: Seen) -> float:
    """Make the parts that are not there yet; images/s. Raises UserError where others have made parts that are not to
    be seen from here."""
    from orchestrator.data.auxiliary.prepare import claim  # imports Ray

    folder = UPath(work.out)
    claim(folder / PLAN, plan_of(work, files), "other decisions", "remove that folder")
    if isinstance(folder, Path):
        remove_partials(folder)
    parts = {part_file(folder, n): files[n * PART : (n + 1) * PART] for n in range(-(-len(files) // PART))}
    missing = {file: part for file, part in parts.items() if not file.exists()}
    done, begun = len(files) - sum(map(len, missing.values())), time.monotonic()
    before = done
    seen(done, len(files))
    for count in score_all(work, missing, address):
        done += count
        seen(done, len(files))
    lacking = [file.name for file in missing if not file.exists()]
    if lacking:
        fix = "give an --out that all nodes share: a folder at the same path on each, or a URI"
        raise UserError(f"{len(lacking)} of {len(parts)} finished parts are not here", where=work.out, fix=fix)
    return (done - before) / max(time.monotonic() - begun, 1e-9)


def plan_of(work: Work, files: Sequence[ImageFile]) -> dict[str, Any]:
    """What determines the rows, as plain data. Of the images their names, places and local sizes: one that is exchanged
    for another of its size, or at a URI, is not noticed."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{facts_of(file)}\n".encode())
    return {
        "detector": asdict(work.source),
        "threshold": asdict(work.threshold),
        "held_out": content_hash([float(score) for score in work.held_out.scores]),
        "images": {"count": len(files), "files": digest.hexdigest(), "part": PART},
        "maps": work.maps,
    }


def facts_of(file: ImageFile) -> list[str | int | None]:
    """Name, place, an archive member's offset, and size in bytes. Of an image at a URI there is no size: a store would
    have to be asked for each of them."""
    size = file.size
    if size is None and isinstance(file.path, Path) and file.path.exists():
        size = file.path.stat().st_size
    return [file.name, ascii(str(file.path)), file.offset, size]


def part_file(folder: UPath, number: int) -> UPath:
    return folder / f"part-{number:06d}.parquet"


def score_all(work: Work, missing: dict[UPath, Sequence[ImageFile]], address: str) -> Iterator[int]:
    """Make the parts; the images of each whenever one is finished. Where the cluster has GPUs, they score."""
    if not missing:
        return
    from orchestrator.data.auxiliary.datasource import results_of  # imports Ray

    tasks = [partial(score_part, work, str(file), part) for file, part in missing.items()]
    with ray_session(address=None if address == THIS_MACHINE else address, dashboard=False):
        gpus = any(node.get("GPU") for node in node_resources())
        for row in results_of(tasks, gpus=int(gpus)):
            yield row["images"]


def score_part(work: Work, file: str, images: Sequence[ImageFile]) -> Iterator[pa.Table]:
    """On a worker: the rows go from the images to the part, never through Ray's object store."""
    detector, parts = loaded(work.source)
    maps = None if work.maps is None else Path(work.maps)
    rows = list(rows_of(replace(detector, held_out=work.held_out), work.threshold, images, maps))
    table, written = pa.Table.from_pylist(rows, schema_of(columns_of(parts))), io.BytesIO()
    pq.write_table(table, written)
    write_atomically(UPath(file), written.getvalue())
    yield pa.table({"images": [len(rows)]})


@lru_cache(maxsize=1)
def loaded(source: Source) -> tuple[Detector, list[str]]:
    """The detector and its parts, read once a worker."""
    detector = detector_at(source.run, source.storage, source.target)
    return detector, part_names(detector)


def tally_of(folder: UPath, images: int) -> Tally:
    """Of all parts, one in memory at a time."""
    tally = Tally()
    for number in range(-(-images // PART)):
        with part_file(folder, number).open("rb") as opened:
            for row in pq.read_table(opened).to_pylist():
                tally.add(row)
    return tally


def write_summary(folder: UPath, predicted: Predicted) -> None:
    """What the terminal shows, for programs."""
    facts = {
        "counts": predicted.counts,
        "threshold": asdict(predicted.threshold),
        "account": asdict(predicted.account),
        "shift": predicted.shift and asdict(predicted.shift),
        "images_per_second": predicted.images_per_second,
    }
    write_checked(folder / SUMMARY, json.dumps(facts, indent=1).encode())


def submit_prediction(run: str, images: Sequence[str], address: str, options: dict[str, Any]) -> Job:
    """Let a job on a cluster decide, where paths must be what they are here.

    options: of the verb `predict`, by name. Raises UserError as `submit_words` does, and for folders of this machine's
    that the cluster does not have: the default storage, unless RUN is a detector's folder, and the default --out.
    """
    stored = is_detector(run) or options["storage"] != DEFAULT_STORAGE
    lacking = [f"--{name}" for name, value in (("storage", stored), ("out", options["out"])) if not value]
    if lacking:
        fix = "give folders that all nodes share, or URIs"
        raise UserError(f"where on the cluster are runs and decisions? {' and '.join(lacking)} say", fix=fix)
    whole: dict[str, Any] = {name: absolute(options[name]) for name in ("storage", "out", "maps") if options[name]}
    whole |= {name: [absolute(path) for path in options[name] or ()] for name in ("normals", "defects")}
    words = [
        "predict",
        absolute(run) if is_detector(run) else run,
        *map(absolute, images),
        *option_words(options | whole),
        "--address",
        "auto",
        "--plain",
    ]
    return submit_words(words, f"predict-{content_hash(absolute(options['out']), 8)}", address)
