"""A detector on a folder of anyone's images."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from workloads.data.reading.account import SUFFIXES
from workloads.data.windows import Windowed
from workloads.detector import Detector
from workloads.errors import UserError
from workloads.scoring.table import WHOLE


def image_files(folder: Path) -> list[Path]:
    """Image files under a folder, sorted. Raises UserError (exit 2) where there is none."""
    files = (
        sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()) if folder.is_dir() else []
    )
    if not files:
        raise UserError(f"no images in {folder}", fix=f"one of {', '.join(sorted(SUFFIXES))}")
    return files


def score_folder(detector: Detector, folder: Path) -> tuple[pa.Table, list[str]]:
    """Scores of every readable image: columns image, score (of the whole) and one a part; and what was skipped.

    Images are brought to the detector's windows as those that it learnt from. Rows are sorted by score, the most
    anomalous first.
    """
    names: list[str] = []
    skipped: list[str] = []
    files = image_files(folder)

    def readable() -> Iterator[Windowed]:
        for file in files:
            name = str(file.relative_to(folder))
            try:
                yield detector.read(file)
                names.append(name)
            except UserError as error:
                skipped.append(f"{name}: {error.headline}")

    columns: dict[str, list[float]] = {}
    for item in detector.inspect(readable()):
        for part, value in {WHOLE: item.score, **item.parts}.items():
            columns.setdefault(part, []).append(value)
    if not names:
        raise UserError(f"none of the {len(files)} images could be read", details=skipped[0])
    scores = {part: pa.array(values, pa.float32()) for part, values in columns.items()}
    table = pa.table({"image": names, "score": scores.pop(WHOLE), **scores})
    return table.sort_by([("score", "descending")]), skipped
