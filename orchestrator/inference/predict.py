"""A detector's decisions on anyone's images: a row an image, in their order, with bounded memory."""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from upath import UPath

from orchestrator.inference.overlays import write_map
from orchestrator.inference.rows import COLUMNS, Row, checked_out, rows_to
from orchestrator.inference.shift import Shift, shift_of
from orchestrator.inference.sources import images_at
from workloads.data.reading.account import Account
from workloads.data.reading.decode import UnreadableError, decode_windows
from workloads.data.reading.listing import ImageFile, Listing
from workloads.data.windows import Windowed
from workloads.detector import Detector, Inspected
from workloads.errors import Kind, UserError, of_the_machine
from workloads.scoring.thresholds import Floats, Threshold, decided

SHOWN = 10  # of the most anomalous images
ROWS = 1000  # of the file written at a time
NORMAL, ANOMALOUS, UNREADABLE = "normal", "anomalous", "unreadable"

TIMED, TIMING = 100, 5.0
"""Images, and seconds, that a latency is measured with."""
Seen = Callable[[int, int], None]
"""Hears how many images are done, and of how many."""


@dataclass(frozen=True)
class Predicted:
    """What a prediction came to. out: the file, or the folder of parts, with a row an image. counts: images by
    decision. highest: the rows of the most anomalous images. latency: seconds that the first images take one by one,
    each from its reading to its score: the median and the 99th percentile. account: of files that are no images or
    broken.
    """

    out: Path | UPath
    threshold: Threshold
    counts: dict[str, int]
    highest: list[Row]
    account: Account
    shift: Shift | None
    latency: tuple[float, float]
    images_per_second: float
    remarks: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """What is kept of all rows: a few numbers an image."""

    begun: float = 0.0
    counts: dict[str, int] = field(default_factory=lambda: {NORMAL: 0, ANOMALOUS: 0, UNREADABLE: 0})
    scores: list[float] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    highest: list[tuple[float, int, Row]] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def add(self, row: Row) -> None:
        self.counts[row["decision"]] += 1
        if row["decision"] == UNREADABLE:
            self.unreadable.append(f"{row['image']} ({row['problem']})")
            return
        self.scores.append(row["score"])
        keep = heapq.heappush if len(self.highest) < SHOWN else heapq.heappushpop
        keep(self.highest, (row["score"], -len(self.scores), row))  # of equal scores the earlier image


def predict_images(
    detector: Detector,
    places: Sequence[str],
    out: str | Path,
    *,
    false_alarms: float | None = None,
    normals: Sequence[str] = (),
    defects: Sequence[str] = (),
    maps: str | Path | None = None,
    strict: bool = False,
    seen: Seen = lambda _done, _total: None,
) -> Predicted:
    """Decide on every image, in this process, and write a row for it; see `orchestrator.predict` for the arguments.

    Raises UserError before any image is scored for what cannot be used, and afterwards, once all is written, with
    `strict` for images that cannot be read.
    """
    path, images = checked_out(out), images_at(places)
    detector, threshold = decision_of(detector, false_alarms, normals, defects)
    check_maps(detector, maps)
    tally = Tally()
    write_all(path, detector, threshold, images, tally, None if maps is None else Path(maps), seen)
    speed = len(tally.scores) / max(time.monotonic() - tally.begun, 1e-9)
    predicted = concluded(path, detector, threshold, images, tally, speed)
    if strict:
        refuse_unreadable(tally, path)
    return predicted


def concluded(
    out: Path | UPath, detector: Detector, threshold: Threshold, images: Listing, tally: Tally, speed: float
) -> Predicted:
    """What all rows came to. speed: images/s."""
    return Predicted(
        out,
        threshold,
        tally.counts,
        [row for _, _, row in sorted(tally.highest, key=lambda item: item[:2], reverse=True)],
        images.account(tally.unreadable),
        shift_of(tally.scores, detector.normals),
        latency_of(detector, images.images),
        speed,
        detector.remarks,
    )


def refuse_unreadable(tally: Tally, out: Path | UPath) -> None:
    """Raises UserError, with their names, where images could not be read."""
    if tally.unreadable:
        headline = f"{len(tally.unreadable)} of {tally.total} images cannot be read; the others are in {out}"
        raise UserError(headline, details="\n".join(tally.unreadable), fix="mend them", kind=Kind.FAILED)


def refuse_nothing(tally: Tally) -> None:
    """Raises UserError where no image could be read."""
    if not tally.scores:
        details = "\n".join(tally.unreadable[:SHOWN])
        raise UserError(f"none of the {tally.total} images can be read", details=details)


def decision_of(
    detector: Detector, false_alarms: float | None, normals: Sequence[str], defects: Sequence[str]
) -> tuple[Detector, Threshold]:
    """The detector with the held-out scores that decisions rest on, and its threshold."""
    if defects and false_alarms is not None:
        raise UserError("either labelled defects set the threshold or a false-alarm rate does", where="--defects")
    if normals:
        detector = detector.calibrated(windows_of(detector, images_at(normals)))
    if defects:
        scores: Floats = detector.score(windows_of(detector, images_at(defects)))
        return detector, detector.normals.chosen_by(scores)
    return detector, detector.threshold(0.01 if false_alarms is None else false_alarms)


def check_maps(detector: Detector, maps: str | Path | None) -> None:
    """Raises UserError where maps are wanted of a detector that gives none, or at no local path."""
    if maps is not None and "://" in str(maps):
        raise UserError("maps are written to a local folder", where=f"--maps {maps}", fix="give a local folder")
    if maps is not None and not detector.method.localizing(detector.scorers):
        raise UserError(f"{detector.method.name} scores whole images and gives no maps", where="--maps")


def windows_of(detector: Detector, images: Listing) -> Iterator[Windowed]:
    """Of images that all must be readable. Raises UserError."""
    for file in images.images:
        with file.open() as opened:
            yield detector.read(opened, file.name)


def write_all(
    path: Path,
    detector: Detector,
    threshold: Threshold,
    images: Listing,
    tally: Tally,
    maps: Path | None,
    seen: Seen,
) -> None:
    """A row an image, written a thousand at a time, and the maps. Raises UserError where no image can be read."""
    parts, waiting = part_names(detector), list[Row]()  # which also warms the detector up
    tally.begun = time.monotonic()
    with rows_to(path, parts) as writer:
        for row in rows_of(detector, threshold, images.images, maps):
            tally.add(row)
            waiting.append(row)
            if len(waiting) >= ROWS:
                writer.write(waiting)
                waiting.clear()
            seen(tally.total, len(images.images))
        refuse_nothing(tally)
        writer.write(waiting)


def part_names(detector: Detector) -> list[str]:
    """The parts whose scores rows have, from a blank image's."""
    return list(detector.parts(np.zeros((1, *detector.usual_size), np.uint8)))


def rows_of(detector: Detector, threshold: Threshold, files: Sequence[ImageFile], maps: Path | None) -> Iterator[Row]:
    """A row of every file, in their order, once its map and its overlay are written. maps: their folder, if any."""
    for file, result in inspected(detector, files, maps=maps is not None):
        if maps is not None and isinstance(result, Inspected) and result.map is not None:
            share = detector.normals.share_above(result.score)
            write_map(maps, file, result.map, share, detector.white_level)
        yield row_of(file, result, threshold, detector)


def inspected(
    detector: Detector, files: Sequence[ImageFile], *, maps: bool
) -> Iterator[tuple[ImageFile, Inspected | str]]:
    """(file, what is said of it or why it cannot be read), in their order."""
    waiting: deque[tuple[ImageFile, str]] = deque()

    def readable() -> Iterator[Windowed]:
        for file in files:
            try:
                with file.open() as opened:
                    windows = decode_windows(opened, detector.form)
            except UnreadableError as error:
                waiting.append((file, str(error)))
            except OSError as error:
                if of_the_machine(error):
                    raise
                waiting.append((file, f"{type(error).__name__}: {error.strerror or error}"))
            else:
                waiting.append((file, ""))
                yield windows

    def broken() -> Iterator[tuple[ImageFile, str]]:
        while waiting and waiting[0][1]:
            yield waiting.popleft()

    for result in detector.inspect(readable(), maps=maps):
        yield from broken()
        yield waiting.popleft()[0], result
    yield from broken()


def latency_of(detector: Detector, files: Sequence[ImageFile]) -> tuple[float, float]:
    """Seconds an image, each alone from its reading to its score: the median and the 99th percentile of the first
    `TIMED` that can be read, or of as many as take `TIMING` seconds."""
    seconds: list[float] = []
    begun = time.monotonic()
    for file in files:
        if len(seconds) == TIMED or (seconds and time.monotonic() - begun > TIMING):
            break
        started = time.monotonic()
        if all(isinstance(result, Inspected) for _, result in inspected(detector, [file], maps=False)):
            seconds.append(time.monotonic() - started)
    median, slowest = np.quantile(seconds, [0.5, 0.99]).tolist()
    return median, slowest


def row_of(file: ImageFile, result: Inspected | str, threshold: Threshold, detector: Detector) -> Row:
    """A row of the file: see `rows.COLUMNS`."""
    if isinstance(result, str):
        return {"image": file.name, "decision": UNREADABLE, "problem": result}
    made = decided(np.array([result.score], np.float32), threshold, detector.normals)
    return {
        "image": file.name,
        "decision": ANOMALOUS if made.anomalous[0] else NORMAL,
        "score": float(made.scores[0]),
        "p_value": float(made.p_values[0]),
        **{part: value for part, value in result.parts.items() if part not in COLUMNS},
    }
