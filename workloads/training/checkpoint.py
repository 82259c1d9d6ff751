"""States on disk: safetensors for tensors, JSON for the rest, a SHA-256 manifest written last. Nothing is unpickled.

A checkpoint is a folder. It is complete if and only if its manifest is there and every hash fits. Files are called by
their hash, so a newer checkpoint is written beside the older one and takes its place when its manifest does: a writer
that dies half-way leaves the older one, or nothing that a reader would take for a checkpoint. Folders may lie on any
file system that offers pathlib's methods (a local path or a universal_pathlib one).
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from workloads.files import remove_partials, write_atomically

MANIFEST, TENSORS, PLAIN = "manifest.json", "tensors.safetensors", "state.json"


class CorruptCheckpointError(Exception):
    """A checkpoint that is incomplete or whose bytes differ from its manifest. `args[0]` says which file."""


def flatten(state: Any, tensors: dict[str, Tensor], path: str = "") -> Any:
    """Plain copy of a state in which every tensor is replaced by its name in `tensors`."""
    if isinstance(state, Tensor):
        while path in tensors:  # the keys "a/b" and "a", "b" give one path
            path += "'"
        tensors[path] = state.detach().cpu().contiguous().clone()
        return {"__tensor__": path}
    if isinstance(state, dict):
        # keys keep their type: optimisers number their parameters
        return {"__items__": [[k, flatten(v, tensors, f"{path}/{k}")] for k, v in state.items()]}
    if isinstance(state, list | tuple):
        return [flatten(v, tensors, f"{path}/{i}") for i, v in enumerate(state)]
    if state is None or isinstance(state, bool | int | float | str):
        return state
    raise TypeError(f"a state holds tensors and plain data, found {type(state).__name__} at {path or '/'}")


def restore(plain: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(plain, list):
        return [restore(v, tensors) for v in plain]
    if not isinstance(plain, dict):
        return plain
    if "__tensor__" in plain:
        return tensors[plain["__tensor__"]]
    return {k: restore(v, tensors) for k, v in plain["__items__"]}


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write a state (nested dicts and lists of tensors and plain data). Raises TypeError for anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    plain = flatten(state, tensors)
    files = {TENSORS: save(tensors), PLAIN: json.dumps(plain).encode()}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    paths = {name: file_of(folder, name, hashes[name]) for name in files}
    for name, data in files.items():
        write_atomically(paths[name], data)
    write_atomically(folder / MANIFEST, json.dumps({"sha256": hashes}, indent=1).encode())
    for older in [f for name in files for f in folder.glob(f"*.{name}") if f not in paths.values()]:
        older.unlink()
    remove_partials(folder)


def file_of(folder: Path, name: str, sha256: str) -> Path:
    return folder / f"{sha256[:12]}.{name}"


def is_complete(folder: Path) -> bool:
    """Whether a writer finished here; the bytes are checked when they are read."""
    return (folder / MANIFEST).exists()


def is_intact(folder: Path) -> bool:
    """Whether a writer finished here, and every byte is as it was written."""
    try:
        read_files(folder)
    except CorruptCheckpointError:
        return False
    return True


def load_state(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a state. Raises CorruptCheckpointError where a file is missing, changed or cut short."""
    files = read_files(folder)
    tensors = {k: v.to(device) for k, v in load(files[TENSORS]).items()}
    state: dict[str, Any] = restore(json.loads(files[PLAIN]), tensors)
    return state


def read_files(folder: Path) -> dict[str, bytes]:
    """The contents of `TENSORS` and `PLAIN`, checked. Raises CorruptCheckpointError."""
    if not is_complete(folder):
        raise CorruptCheckpointError(f"{folder} has no {MANIFEST}: its writer did not finish")
    try:
        hashes = json.loads((folder / MANIFEST).read_bytes())["sha256"]
        expected = {name: str(hashes[name]) for name in (TENSORS, PLAIN)}
        if not all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in expected.values()):
            raise ValueError
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptCheckpointError(f"{folder / MANIFEST} does not name {TENSORS} and {PLAIN}") from error
    files = {}
    for name, sha256 in expected.items():
        path = file_of(folder, name, sha256)
        if not path.exists():
            raise CorruptCheckpointError(f"{path} is missing")
        files[name] = path.read_bytes()
        if hashlib.sha256(files[name]).hexdigest() != sha256:
            raise CorruptCheckpointError(f"{path} differs from its SHA-256 in {MANIFEST}")
    return files
