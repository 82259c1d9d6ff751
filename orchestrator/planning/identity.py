"""Names that say what a thing is made of: content hashes of configs, data and code."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import workloads


def content_hash(value: Any, length: int = 12) -> str:
    """Hex digest of plain data; the order of keys does not matter. Raises TypeError for other than plain data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def code_digest(packages: Iterable[str]) -> str:
    """Digest of the sources a method's numbers depend on: its own packages, what all methods share, the worker's loop.

    Editing another method or an analysis does not change it: a picture's new colour throws away no generator.
    """
    root = Path(workloads.__file__).parent
    files = [file for name in ("data", "scoring", "training", *packages) for file in (root / name).rglob("*.py")]
    files += root.glob("*.py")
    files = [f for f in files if f.name != "registry.py" and f.parent.name != "analyses"]
    rooms = Path(__file__).parents[1]
    files += [*(rooms / "execution" / "work").glob("*.py"), *(rooms / "data").glob("*.py")]
    files.append(rooms / "results" / "evaluation.py")
    files += (rooms / "data" / "auxiliary").glob("*.py")
    parts = {str(f.relative_to(root.parent)): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(files)}
    return content_hash(parts)


def safe_name(text: str) -> str:
    """`text` as a single path piece: nothing but [a-z0-9_.-], never empty, never a dot path."""
    name = re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-.")
    return name[:64] or "unnamed"
