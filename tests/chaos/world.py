"""A storage of its own for every case, and launches of the real command line in forked processes, a fault in each.

A fork has all modules in memory, dies as a process dies, and takes its threads and locks with it.
"""

import gc
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np
import typer.main

from tests.chaos import method, regressions
from tests.chaos.disk import Disk, Fault
from tests.chaos.tracking import Away, connect, stand_in
from tests.helpers.files import write_images, write_mask

NAME = "run"
LONGEST_S = 60.0
"""Seconds of a launch that takes half of one; longer hangs."""
MLFLOW_S, HANGING_S = 20.0, 0.3
"""Seconds that the end of a launch waits for MLflow here, and for one that hangs."""
WARM = (
    "orchestrator.cli", "orchestrator.clusters.session", "orchestrator.clusters.submission",
    "orchestrator.console.terminal", "orchestrator.execution.launch", "orchestrator.execution.local",
    "orchestrator.results.handle", "orchestrator.results.report.curves", "orchestrator.results.report.page",
    "orchestrator.results.report.plots", "PIL.Image", "PIL.JpegImagePlugin", "pandas", "pyarrow.dataset",
    "pyarrow.parquet", "rich.live", "rich.status", "upath.implementations.local",
)  # fmt: skip
SPACE = '''"""Two stages, four trials, two rungs, an analysis."""

from tune_spaces.schema import Data, Scheduler, Search, Space

SPACE = Space(
    workload="chaos",
    data=Data(name="folder", path={path!r}, side=8, classes=("good",), val_fraction=0.2, calibration_fraction=0.2),
    axes={{"noise": (0.0, 1e5), "blur": (0.0, 90.0)}},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="asha", eta=2, first_rung=0.5),
    analyses=("brightness",),
)
'''


@dataclass(frozen=True)
class Ended:
    """How a launch ended. code: its exit code; None where it hung. seen: its calls to the disk. modules: that it had
    imported. happened: where its fault did."""

    code: int | None
    printed: str
    seen: Sequence[tuple[str, str]] = ()
    modules: Sequence[str] = ()
    happened: str = ""


@dataclass(frozen=True)
class Circumstances:
    """What else is the matter while a launch runs. clock: seconds that it is off. files: that may be opened beside
    those that are open, 0 for as many as the system allows. fails: number of the training step that raises, from 1 on;
    0 for none."""

    fault: Fault | None = None
    away: Away | None = None
    clock: float = 0.0
    files: int = 0
    fails: int = 0


@dataclass
class World:
    """Images and a space, and beside them a storage, what MLflow holds and what was trained."""

    folder: Path
    images: Path = field(init=False)

    def __post_init__(self) -> None:
        self.images = self.folder / "images"
        self.space = self.folder / "chaos_space.py"

    @classmethod
    def made(cls, folder: Path) -> "World":
        world = cls(folder)
        write_images(world.images / "train", {"good": 10})
        write_images(world.images / "test", {"good": 4, "dent": 4})
        mask = np.zeros((10, 12), bool)
        mask[2:5, 3:7] = True
        for number in range(4):
            write_mask(world.images / "ground_truth" / "dent" / f"{number:03d}_mask.png", mask)
        world.space.write_text(SPACE.format(path=str(world.images)))
        return world

    def place(self, name: str) -> "Place":
        return Place(self, self.folder / name)


@dataclass(frozen=True)
class Place:
    """Where one case takes place."""

    world: World
    folder: Path

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    @property
    def server(self) -> Path:
        return self.folder / "mlflow.json"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def launch(self, run: str = NAME, what: Circumstances | None = None) -> Ended:
        """Launch the run, or go on with it, until it ends."""
        return self.begin(run, what or Circumstances()).wait()

    def begin(self, run: str, what: Circumstances, *, anew: bool = False) -> "Child":
        """Start such a launch. anew: by the verb `launch`, whatever is there."""
        begun = any((self.storage / run / "ledger").glob("*.jsonl")) and not anew
        words = ["resume", run] if begun else ["launch", str(self.world.space), "--name", run]
        words += ["--storage", str(self.storage), "--executor", "local", "--plain", "--debug"]
        return self.verb([word for word in words if word != "--debug"], what)

    def verb(self, words: Sequence[str], what: Circumstances | None = None) -> "Child":
        """Start any verb."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Child(self, words, what or Circumstances())

    def copied(self, other: "Place") -> None:
        """Begin with what another place holds."""
        shutil.copytree(other.folder, self.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("printed-*"))

    def remove(self) -> None:
        shutil.rmtree(self.folder)


class Child:
    """A process that is forked for a verb."""

    def __init__(self, place: Place, words: Sequence[str], what: Circumstances) -> None:
        self.printed = place.folder / f"printed-{time.monotonic_ns()}"
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                code = verb_in_child(place, words, what, self.printed)
            finally:
                os._exit(code)

    def wait(self) -> Ended:
        deadline = time.monotonic() + LONGEST_S
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                self.kill()
                return Ended(None, self.text())
            time.sleep(0.003)
        seen = self.printed.with_suffix(".seen")
        left = json.loads(seen.read_text()) if seen.exists() else {"calls": (), "modules": ()}
        calls = [tuple(call) for call in left["calls"]]
        told = self.printed.with_suffix(".fault")
        happened = told.read_text() if told.exists() else ""
        return Ended(os.waitstatus_to_exitcode(status), self.text(), calls, left["modules"], happened)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def text(self) -> str:
        return self.printed.read_text() if self.printed.exists() else ""


def verb_in_child(place: Place, words: Sequence[str], what: Circumstances, printed: Path) -> int:
    """The exit code of a verb in this process, which is a fork."""
    import torch

    from orchestrator.cli import main

    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    method.register()
    os.environ[method.WORK] = str(place.work)
    stand_in(place.server, what.away)
    cheapen(HANGING_S if what.away and what.away.how == "hangs" else MLFLOW_S)
    for name in regressions.ACTIVE:
        regressions.REGRESSIONS[name].apply()
    if what.clock:
        real = time.time
        time.time = lambda: real() + what.clock
    if what.files:
        import resource

        most = what.files + len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    method.FAILS = what.fails
    disk = Disk(str(place.storage), str(place.world.images), what.fault, str(printed.with_suffix(".fault")))
    sys.argv = ["orchestrator", *words]
    with disk.open(printed, "w", buffering=1) as out, redirect_stdout(out), redirect_stderr(out):
        disk.watch()
        code = exit_code(main)
    with disk.open(printed.with_suffix(".seen"), "w") as file:
        json.dump({"calls": disk.seen, "modules": [name for name in sys.modules if "mlflow" not in name]}, file)
    return code


def exit_code(function: Callable[[], object]) -> int:
    try:
        function()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 99
    return 0


def cheapen(mlflow_s: float) -> None:
    """What a launch does to look good, what it says of its code, and what it waits for, is left out or short."""
    from orchestrator.execution import continuation
    from orchestrator.execution.work import worker
    from orchestrator.planning import code_digest, identity
    from orchestrator.record.events import Provenance
    from orchestrator.record.tracking import machine, tracker
    from orchestrator.results import run
    from orchestrator.results.report import plots
    from workloads.scoring import baselines

    code = code_digest.Code({"chaos": "c" * 12}, {})
    code_digest.code_of = identity.code_of = lambda *_, **__: code
    identity.followed = lambda roots: {root: code_digest.Source("m", (), ()) for root in roots}
    continuation.capture = lambda: Provenance("chaos", "", "", "")
    worker.threadpool_limits = nullcontext
    for name in baselines.BASELINES:
        baselines.BASELINES[name] = lambda train, test: np.square(test / 255.0 - train.mean(0) / 255).mean((1, 2, 3))
    run.effects_of = lambda *_: ([], None)
    plots.drawn = lambda *_: {"roc.png": (b"roc", b"roc")}
    plots.drawn_sweep = lambda *_: {"cost.svg": (b"cost", b"cost")}
    tracker.Tracker.connect = connect
    tracker.log_winner = lambda *_: "model"  # which MLflow's own code makes
    machine.Machine.sample = lambda *_, **__: {}
    tracker.mirrored.__wrapped__.__defaults__ = (mlflow_s,)


def warm(modules: Sequence[str] = WARM) -> None:
    """Import here, once, what every launch needs, and build the command line. modules: that a launch had imported."""
    from orchestrator.cli import app

    for name in modules:
        if name not in sys.modules:
            with suppress(ImportError):  # some are made by others when these are imported
                import_module(name)
    command = typer.main.get_command(app)
    typer.main.get_command = lambda _: command
    gc.collect()
    gc.freeze()  # a fork that collects would copy all of it
    from orchestrator.results.report.templates import TEMPLATES

    for name in TEMPLATES.list_templates(["jinja"]):
        TEMPLATES.get_template(name)
