"""The code of a method from outside the tree: a run keeps a copy, `<run>/code/<digest>/`, and goes on with that."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from upath import UPath

from orchestrator.record.paths import RunPaths
from tune_spaces.schema import Space
from tune_spaces.schema.written import file_of
from workloads.errors import Kind, UserError
from workloads.files import write_atomically
from workloads.registry import WORKLOADS, look_in

LARGEST = 20 * 2**20
"""Bytes of a method's code: it travels to every node, and images or weights do not belong there."""


def files_of(code: Any) -> dict[str, bytes]:
    """Name below its parent -> content, of a module's file or a package's folder; what Python made of it apart."""
    files = [code] if code.is_file() else [file for file in code.rglob("*") if file.is_file()]
    names = {file.relative_to(code.parent).as_posix(): file for file in files}
    kept = {
        name: file
        for name, file in names.items()
        if not any(part.startswith(".") or part == "__pycache__" for part in Path(name).parts)
    }
    if (size := sum(file.stat().st_size for file in kept.values())) > LARGEST:
        fix = "keep images, weights and runs elsewhere: all of it travels to every node"
        raise UserError(f"the method's code has {size / 2**20:.0f} MiB", where=str(code), fix=fix)
    return {name: file.read_bytes() for name, file in sorted(kept.items())}


def digest_of(files: dict[str, bytes]) -> str:
    parts = [f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in sorted(files.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def keep(paths: RunPaths, code: Any) -> None:
    """Copy the code of a run's method, a file or a folder, into the run, unless it is there."""
    if stored(paths) is None:
        files = files_of(code)
        for name, content in files.items():
            copy = paths.code / digest_of(files) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(copy, content)


def keep_space(paths: RunPaths, space: Space, doc: str) -> None:
    """Write the space of a run as it was launched, to be copied and edited, unless it is there."""
    file = paths.folder / "space.py"
    if not file.exists():
        write_atomically(file, file_of(space, doc).encode())


def stored(paths: RunPaths) -> dict[str, bytes] | None:
    """The files of a run's copy; None where there is none, or it is not as its digest says."""
    for folder in paths.code.iterdir() if paths.code.exists() else ():
        files = {name.partition("/")[2]: content for name, content in files_of(folder).items()}
        if digest_of(files) == folder.name:
            return files
    return None


def use(paths: RunPaths, workload: str, source: str) -> None:
    """Look for a run's method in its copy first, then beside the space file that the run is from."""
    if is_own(workload):
        files = stored(paths)
        look_in(*([local_copy(paths, files)] if files else []), Path(source).parent)


def require_trust(place: object, workload: str) -> None:
    """Raises UserError (exit 4) for a method that is named by an import path: whoever uses its detector runs that code.

    place: where the code lies, or the detector's folder, which lets it be imported from anywhere."""
    if is_own(workload):
        raise UserError(
            f"the detector's method, {workload}, is code from outside: using the detector runs it",
            where=str(place),
            fix="read it, or know who made it; then give --trust-code (trust_code=True)",
            kind=Kind.REFUSED,
        )


def is_own(workload: str) -> bool:
    """Whether a method is named by its import path, as all are that are not of the table (see `Space.workload`)."""
    return workload not in WORKLOADS and ":" in workload


def local_copy(paths: RunPaths, files: dict[str, bytes]) -> Path:
    """A folder of this machine with the files of a run's copy: the run's own, unless its storage is far away."""
    folder: UPath | Path = paths.code / digest_of(files)
    if paths.is_local:
        return Path(str(folder))
    place = Path(tempfile.mkdtemp(prefix="method-")) / folder.name
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place
