"""A detector on a folder of anyone's images."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from workloads.data.reading.account import SUFFIXES
from workloads.detector import CHUNK, Detector
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

    Images are brought to the detector's side as the folder dataset does: the centre square, then resized. Rows are
    sorted by score, the most anomalous first.
    """
    names: list[str] = []
    skipped: list[str] = []
    columns: dict[str, list[np.ndarray]] = {}
    files = image_files(folder)
    for start in range(0, len(files), CHUNK):
        images = []
        for file in files[start : start + CHUNK]:
            name = str(file.relative_to(folder))
            try:
                images.append(detector.read(file).transpose(1, 2, 0))
                names.append(name)
            except UserError as error:
                skipped.append(f"{name}: {error.headline}")
        if images:
            parts = detector.parts(np.stack(images))
            for part, values in {WHOLE: detector.method.combine(parts), **parts}.items():
                columns.setdefault(part, []).append(values)
    if not names:
        raise UserError(f"none of the {len(files)} images could be read", details=skipped[0])
    scores = {part: np.concatenate(values) for part, values in columns.items()}
    table = pa.table({"image": names, "score": scores.pop(WHOLE), **scores})
    return table.sort_by([("score", "descending")]), skipped
