"""How much a folder's images will be as windows, from their headers, and whether that fits into memory."""

from collections.abc import Sequence
from pathlib import Path

from workloads.data.reading.decode import UnreadableError, size_of
from workloads.data.windows import Form, window_count
from workloads.errors import Kind, UserError

SAMPLE = 200
"""Files whose headers are looked at: of a large folder an even choice, so that a plan is printed in a moment."""
COPIES = 2
"""Of the pixels in memory while splits are made: of the whole, and of its parts."""


def mean_windows(files: Sequence[Path], form: Form) -> float:
    """Windows of a typical image, 1 or more, from the headers of at most `SAMPLE` files."""
    if form.fit != "tiles":
        return 1.0
    counts = []
    for file in files[:: -(-len(files) // SAMPLE) or 1]:
        try:
            counts.append(window_count(*size_of(file), form))
        except UnreadableError:
            continue  # named when it is read
    return sum(counts) / len(counts) if counts else 1.0


def pixel_bytes(images: int, windows: float, form: Form) -> float:
    """Of RGB images as windows."""
    return images * windows * 3 * form.height * form.width


def check_memory(files: Sequence[Path], form: Form, root: Path) -> None:
    """Raises UserError where the windows of all files would not fit into the memory that is free."""
    windows, free = mean_windows(files, form), free_memory()
    needed = COPIES * pixel_bytes(len(files), windows, form)
    if free is None or needed < free:
        return
    raise UserError(
        f"{len(files)} images of about {windows:,.0f} windows each need {needed / 1e9:,.1f} GB of memory while they "
        f"are read, and {free / 1e9:,.1f} GB are free",
        where=str(root),
        fix="fit 'squeeze' or 'pad' makes one window of an image; or shrink the images first, or give fewer",
        kind=Kind.ENVIRONMENT,
    )


def free_memory() -> int | None:
    """Bytes that this process may still take: of the machine's, and of its control group's, whose cached files can be
    let go; None where unknown."""
    machine, group = _amounts(Path("/proc/meminfo")), Path("/sys/fs/cgroup")
    limits = [1024 * machine["MemAvailable"]] if "MemAvailable" in machine else []
    limit, used = (" ".join(_lines(group / name)) for name in ("memory.max", "memory.current"))
    if limit.isdecimal() and used.isdecimal():
        limits.append(int(limit) - int(used) + _amounts(group / "memory.stat").get("file", 0))
    return min(limits, default=None)


def _amounts(file: Path) -> dict[str, int]:
    """Of lines such as ``MemAvailable:  123 kB`` or ``file 123``."""
    words = [line.replace(":", " ").split() for line in _lines(file)]
    return {name: int(amount) for name, amount, *_ in words if amount.isdecimal()}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
