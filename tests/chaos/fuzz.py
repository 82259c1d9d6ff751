"""`python -m tests.chaos.fuzz [--cases N] [--seed S]`: input of every kind that a user may hand over, damaged or odd.

Every case ends well or in an error that was planned: a `UserError`, or what the machine around refuses. It ends within
a time, and in a memory. A case is a function of its seed, so one that does not hold is made again by its number.
"""

import argparse
import errno
import io
import json
import random
import resource
import signal
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from orchestrator.clusters.files.validate import file_problems
from orchestrator.data.auxiliary.sources import open_source
from orchestrator.record.events import Launched, RungReached, State, TrialMoved
from orchestrator.record.ledger import SUM, encode
from orchestrator.record.paths import RunPaths, check_run_name
from orchestrator.record.runs import open_run
from orchestrator.results.disk import runs_on_disk
from tests.helpers.plans import planned
from tests.helpers.records import measured, opened
from workloads.data.datasets import load
from workloads.errors import UserError, number_of, of_the_world

CASE_S, CASE_BYTES = 10.0, 3 * 2**30
"""Seconds of the CPU and bytes beyond what the process has that a case may take."""
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 10**400, 1e400, -1e400, float("nan"), "", "x" * 5000, "é\ud800", "\x1b[2J\n", "../..", [], {},
    [[]], {"": {}}, "2020-99-99", "0x10", "1e3", 0.5, 2**63, "null", b"bytes",
)  # fmt: skip
SCALARS = (
    "2020-99-99", "!!int x", "!!float .", "!!binary =", "!!python/object:os.system x", "&a [*a]", "<<: 3", "? [a]",
    "- " * 2000,
    "{" * 3000, "0o8", ".inf", ".nan", "1e400", "~", "'", "\t", "\x00", "%YAML 9.9\n---", "*nowhere", "!!set {a, b}",
    "!!timestamp 2020-13-45", "0" * 5000, "[" * 1000 + "]" * 1000, "\ufeff", "!!omap [a]", "2001-01-01T99:99:99Z",
)  # fmt: skip


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Some bytes of a file are others, are gone, or come twice; or the file ends early."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        place = rng.randrange(len(data)) if data else 0
        match rng.randrange(5):
            case 0 if data:
                data[place] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[place] = rng.choice((0, 255, 127, 128))
            case 2:
                del data[place : place + rng.randrange(1, 64)]
            case 3:
                data[place:place] = data[place : place + rng.randrange(1, 64)]
            case _ if data:
                data = data[: rng.randrange(len(data) + 1)] if rng.random() < 0.2 else data
    return bytes(data)


def changed(rng: random.Random, value: Any) -> Any:
    """Plain data with one of its values another, of any type, or without it."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        if rng.random() < 0.15:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        return [*value[:place], changed(rng, value[place]), *value[place + 1 :]]
    return rng.choice([odd for odd in ODD if not isinstance(odd, bytes)])


def yaml_file(rng: random.Random, folder: Path) -> None:
    """A cluster file with scalars and shapes that YAML has and nobody expects."""
    source = rng.choice(sorted((Path(__file__).parents[2] / "cluster").rglob("*.yaml")))
    lines = source.read_text().splitlines()
    for _ in range(rng.choice((1, 1, 3))):
        place = rng.randrange(len(lines))
        key, colon, _ = lines[place].partition(":")
        lines[place] = f"{key}{colon} {rng.choice(SCALARS)}" if rng.random() < 0.8 else rng.choice(SCALARS)
    file = folder / "cluster.yaml"
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    file.write_bytes(damaged(rng, text) if rng.random() < 0.3 else text)
    file_problems(file)


EVENTS = (
    opened(), Launched("command", "local", "host", 1), TrialMoved("t", State.RUNNING),
    RungReached("t", 1000, measured(oracle=0.5, contrastive=0.5)), TrialMoved("t", State.FINISHED),
)  # fmt: skip


def ledger(rng: random.Random, folder: Path) -> None:
    """A ledger with values of other types under checksums that fit, events in another order, and damaged bytes."""
    import hashlib

    lines = [encode(event) for event in EVENTS]
    place = rng.randrange(len(lines))
    if rng.random() < 0.8:
        values = changed(rng, json.loads(lines[place].rpartition(SUM)[0] + "}"))
        with suppress(UnicodeEncodeError):
            text = json.dumps(values)[:-1] if isinstance(values, dict) else json.dumps(values)
            lines[place] = f'{text}{SUM}{hashlib.sha256(text.encode()).hexdigest()}"}}\n'
    else:
        rng.shuffle(lines)
    content = "".join(lines).encode("utf-8", "surrogatepass")
    paths = RunPaths(str(folder), "run")
    paths.ledger.mkdir(parents=True)
    (paths.ledger / "000001.jsonl").write_bytes(damaged(rng, content) if rng.random() < 0.2 else content)
    runs_on_disk(str(folder))
    _, state = open_run(str(folder), "run")
    _ = state.space, state.winner, state.failures


def name(rng: random.Random, folder: Path) -> None:
    """Names of runs and places of storages."""
    text = rng.choice(
        [str(odd) for odd in ODD] + ["run", "con", ".", "..", "a/b", "nosuch://x", "s3://", "://", "file:"]
    )
    with suppress(UserError):
        check_run_name(text)
    runs_on_disk(rng.choice((text, f"nosuch://{text}", f"{folder}/{text}")))


def space(rng: random.Random, folder: Path) -> None:
    """A space's file with odd values, and options beside it."""
    parts = {
        "workload": "'patch_memory'", "axes": "{'memory': (4, 8)}",
        "data": "Data(name='digits', side=8, classes=('3',))",
        "search": "Search(kind='grid')", "scheduler": "Scheduler(kind='asha', eta=2, first_rung=0.5)",
        "resources": "Resources()", "fixed": "{'features': 'pixels'}",
    }  # fmt: skip
    odd = rng.choice(
        ("10**400", "1e400", "-1", "float('nan')", "None", "'x'*5000", "range(10**9)", "[[]]", "{}", "b'x'")
    )
    hooks = (
        "",
        "",
        "__doc__ = 3\n",
        "raise SystemExit(3)\n",
        "SPACE = 3\n",
        "x = 1/0\n",
        "def\n",
        "\x00",
        "import nosuch\n",
    )
    keys = {
        "data": f"Data(name='digits', {rng.choice(('side', 'seed', 'classes', 'val_fraction', 'name', 'path'))}={odd})",
        "axes": f"{{{rng.choice(('memory', 'seed', 'nosuch', 'features'))!r}: {odd}}}",
        "search": f"Search(kind='random', {rng.choice(('points', 'seed', 'kind'))}={odd})",
        "scheduler": f"Scheduler({rng.choice(('eta', 'first_rung', 'kind'))}={odd})",
        "resources": f"Resources({rng.choice(('workers', 'cpus_per_worker', 'gpus_per_worker', 'share'))}={odd})",
        "fixed": f"{{{rng.choice(('memory', 'neighbours', 'nosuch', 'seed'))!r}: {odd}}}",
        "workload": odd,
    }
    if rng.random() < 0.8:
        key = rng.choice(list(keys))
        parts[key] = keys[key].replace("Data(name='digits', name=", "Data(name=") if rng.random() < 0.8 else odd
    text = ", ".join(f"{key}={value}" for key, value in parts.items())
    file = folder / "my_space.py"
    source = f'"""A question."""\n{rng.choice(hooks)}from tune_spaces.schema import *\nSPACE = Space({text})\n'
    file.write_bytes(source.encode("utf-8", "surrogatepass"))
    options: dict[str, Any] = {}
    if rng.random() < 0.5:
        values = (float("inf"), 1e400, float("nan"), -1, 0, 10**400, 1)
        options = {
            rng.choice(("workers", "cpus_per_worker", "gpus_per_worker", "points", "seed", "seeds")): rng.choice(values)
        }
    if rng.random() < 0.3:
        options["set"] = [
            rng.choice(("memory=1e400", "=", "x", "memory=__import__('os')", "seed=[[", "memory=" + "9" * 5000))
        ]
    planned(str(file), 1, **options)


def picture(rng: random.Random) -> bytes:
    """A small image of some format."""
    stream = io.BytesIO()
    kind = rng.choice(("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"))
    Image.fromarray(np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3)).save(stream, kind)
    return stream.getvalue()


def images(rng: random.Random, folder: Path) -> None:
    """A folder of images, some with damaged headers, with names that are none."""
    for number in range(6):
        place = folder / "images" / rng.choice(("good", "bad", "train/good", "test/good"))
        place.mkdir(parents=True, exist_ok=True)
        ending = rng.choice((b".png", b".jpg", b".tif", b".gif", b".webp", b".bmp", b""))
        odd = rng.choice((b"a", b"a", b"\xff\xfe", b"x" * 200, b"\n\x1b[2J", "é".encode()))
        file = bytes(place) + b"/" + odd + str(number).encode() + ending
        content = picture(rng)
        with open(file, "wb") as opened_file:
            opened_file.write(damaged(rng, content) if rng.random() < 0.6 else content)
    load("folder", folder, path=folder / "images", side=8)


def whole_file(rng: random.Random, kind: str) -> bytes:
    """A file of a source of auxiliary images, as it should be."""
    stream = io.BytesIO()
    if kind == "npz":
        save = rng.choice((np.savez, np.savez_compressed))
        save(stream, data=np.zeros((4, 3 * 8 * 8), np.uint8), labels=np.zeros(4))
    elif kind == "parquet":
        rows = {"image": [{"bytes": picture(rng), "path": str(n)} for n in range(4)], "label": list(range(4))}
        pq.write_table(pa.table(rows), stream, compression=rng.choice(("snappy", "gzip", "none", "zstd")))
    else:
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for number in range(4):
                content = picture(rng)
                info = tarfile.TarInfo(f"{number}.png")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def archive(rng: random.Random, folder: Path) -> None:
    """A damaged file of a source of auxiliary images."""
    kind, ending = rng.choice((("npz", "npz"), ("parquet", "parquet"), ("webdataset", "tar")))
    (folder / f"images.{ending}").write_bytes(damaged(rng, whole_file(rng, kind)))
    source = open_source(kind, str(folder), side=8)
    for piece in source.pieces(3):
        for _ in source.read(piece, 2):
            pass


KINDS: dict[str, Callable[[random.Random, Path], None]] = {
    "YAML": yaml_file, "ledger": ledger, "name": name, "space": space, "images": images, "archive": archive,
}  # fmt: skip


class HangingError(BaseException):
    """A case has not ended in its time. No `except Exception` takes it for an error of the input's."""


@contextmanager
def limited(seconds: float = CASE_S) -> Iterator[None]:
    """Whatever runs inside ends in time: of the CPU, or, where it only waits, six times as long."""

    def hang(*_: object) -> None:
        raise HangingError(f"not over after {seconds:g} s")

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, 6 * seconds)}
    before = {number: signal.signal(number, hang) for number in timers}
    for timer, limit in timers.values():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def unplanned(kind: str, seed: int, folder: Path) -> str:
    """What a case ended in that nobody planned; empty where all is well."""
    folder.mkdir(parents=True)
    try:
        with limited():
            KINDS[kind](random.Random(f"{kind} {seed}"), folder)
    except UserError:
        return ""
    except BaseException as error:
        if of_the_world(error) and number_of(error) != errno.ENOENT:
            return ""
        if isinstance(error, KeyboardInterrupt):
            raise
        trace, place = error.__traceback__, ""
        while trace:
            place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
            trace = trace.tb_next
        return f"{type(error).__name__}: {str(error)[:300]!r} at {place}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS)
    options = parser.parse_args()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + CASE_BYTES, resource.RLIM_INFINITY))
    kinds, begun = [options.kind] if options.kind else list(KINDS), time.monotonic()
    bad, slowest = Counter[str](), 0.0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for number in range(options.cases):
            kind, seed, moment = kinds[number % len(kinds)], options.seed + number // len(kinds), time.monotonic()
            if text := unplanned(kind, seed, Path(folder) / str(number)):
                bad[kind] += 1
                print(f"UNPLANNED {kind} {seed}: {text}", flush=True)
            slowest = max(slowest, time.monotonic() - moment)
    seconds = time.monotonic() - begun
    print(f"{options.cases} cases in {seconds:.0f} s, the slowest {slowest:.1f} s; unplanned: {dict(bad) or 'none'}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
