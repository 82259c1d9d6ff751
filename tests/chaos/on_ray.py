"""`python -m tests.chaos.on_ray FOLDER [--cases N] [--seconds S]`: faults on a real Ray, one after the other.

A small sweep on two slots is launched by a process of its own; at a moment, which its ledger and what was trained tell,
one process is killed, hung or asked to end; then the run is taken up again, by Ray or in one process. Cases that FOLDER
has the results of are not run again, so that it may be done in pieces.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import psutil

from tests.chaos import method, ray_launcher
from tests.chaos.__main__ import table
from tests.chaos.cases import Verdict
from tests.chaos.invariants import Contents, contents, differences, redone
from tests.chaos.method import STEPS
from tests.chaos.world import NAME, Place, World, exit_code, warm

STEP_S = "0.2"
LONGEST_S = 240.0
"""Seconds of a launch that takes a tenth of it; longer hangs."""
AFTERWARDS_S = 75.0
"""Seconds in which everything that a launch has started ends after it: Ray's agents look around once a minute."""
ENVIRONMENT, INTERRUPTED = 3, 130


@dataclass(frozen=True)
class Victim:
    """Which process, by what its command line has in it; None for the launcher. expected: exit codes of the launch."""

    pattern: str | None
    number: int
    expected: tuple[int, ...]
    words: str = ""  # that the launch says


KILL, STOP = signal.SIGKILL, signal.SIGSTOP
POLITE = {"SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP, "SIGINT": signal.SIGINT}
VICTIMS: dict[str, Victim] = {
    "launcher killed": Victim(None, KILL, (-KILL,)),
    **{f"launcher {name}": Victim(None, number, (INTERRUPTED,), "resume") for name, number in POLITE.items()},
    "worker killed": Victim("ray::WarmWorker.advance", KILL, (0,), "its worker was lost"),
    "worker hangs": Victim("ray::WarmWorker.advance", STOP, (0,), "silent for"),
    "Tune's process killed": Victim("ray::Relay", KILL, (0,)),  # one without a trial is no loss
    "notes killed": Victim("ray::Notes", KILL, (0,)),
    "raylet killed": Victim("raylet/raylet", KILL, (ENVIRONMENT,), "resume"),
    "GCS killed": Victim("gcs/gcs_server", KILL, (ENVIRONMENT,), "resume"),
}
BESIDE_RAY = ("Tune's process killed", "worker killed", "worker hangs", "notes killed")
Moment = Callable[["Launch"], bool]
MOMENTS: dict[str, Moment] = {
    "start-up": lambda launch: launch.process_of("raylet/raylet") is not None,
    "stage": lambda launch: launch.steps("mean") >= 2,
    "trial": lambda launch: launch.steps("detector") >= 2,
    "between rungs": lambda launch: '"event": "rung"' in launch.ledger(),
    "last trials": lambda launch: launch.ledger().count('"finished"') >= 2,
    "report": lambda launch: "brightness" in launch.ledger().rpartition('"finished"')[2] or launch.ended(),
}
"""When the fault comes: as soon as this is so."""


class Forked:
    """A launcher that is forked from this process, which has all modules in memory and has started nothing."""

    def __init__(self, folder: Path, words: list[str], printed: Path) -> None:
        sys.stdout.flush()
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                os.setpgid(0, 0)
                out = os.open(printed, os.O_WRONLY | os.O_CREAT, 0o600)
                os.dup2(out, 1)
                os.dup2(out, 2)
                os.environ |= {method.WORK: str(folder / "work"), method.STEP_S: STEP_S}
                code = exit_code(partial(ray_launcher.main, folder, words))
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, seconds: float) -> int | None:
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.code


class Launch:
    """A launch in a process of its own, of whose progress its files tell."""

    def __init__(self, place: Place, words: list[str]) -> None:
        self.place, self.printed = place, place.folder / f"printed-{time.monotonic_ns()}"
        self.process = Forked(place.folder, words, self.printed)
        self.started: dict[int, psutil.Process] = {}

    def ended(self) -> bool:
        return self.process.poll() is not None

    def steps(self, kind: str) -> int:
        text = self.place.work.read_text() if self.place.work.exists() else ""
        return sum(line.startswith(f"{kind}/") for line in text.splitlines())

    def ledger(self) -> str:
        file = self.place.storage / NAME / "ledger" / "000001.jsonl"
        return file.read_text() if file.exists() else ""

    def children(self) -> Iterator[tuple[str, psutil.Process]]:
        with suppress(psutil.Error):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    self.started.setdefault(process.pid, process)
                    yield " ".join(process.cmdline()), process

    def process_of(self, pattern: str) -> psutil.Process | None:
        return next((process for name, process in self.children() if pattern in name), None)

    def strike(self, victim: Victim, reached: Moment) -> bool:
        """Wait for the moment, then for the victim; whether both came."""
        while not self.ended():
            if reached(self):
                if victim.pattern is None:
                    list(self.children())
                    os.kill(self.process.pid, victim.number)
                    return True
                if process := self.process_of(victim.pattern):
                    with suppress(psutil.Error):
                        process.send_signal(victim.number)
                        return True
            time.sleep(0.05)
        return False

    def wait(self) -> int | None:
        """The exit code; None where it hung."""
        code = self.process.wait(LONGEST_S)
        if code is None:
            list(self.children())
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(LONGEST_S)
        self.printed_text = self.printed.read_text()
        return code

    def left(self) -> list[str]:
        """What it has started that is there long afterwards; it is ended then."""
        deadline = time.monotonic() + AFTERWARDS_S
        there = [p for p in self.started.values() if alive(p)]
        while there and time.monotonic() < deadline:
            time.sleep(0.2)
            there = [p for p in there if alive(p)]
        names = []
        for process in there:
            with suppress(psutil.Error):
                names.append(process.name())
                process.kill()
        return names


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def words_for(place: Place, executor: str) -> list[str]:
    begun = (place.storage / NAME / "ledger").exists()
    words = ["resume", NAME] if begun else ["launch", str(place.world.space), "--name", NAME]
    words += ["--storage", str(place.storage), "--executor", executor, "--plain"]
    return words + (["--cpus", "2"] if executor == "ray" else [])


def run_case(world: World, expected: Contents, fault: str, moment: str, number: int) -> Verdict:
    """One fault, and what must be so afterwards."""
    victim, place = VICTIMS[fault], world.place(f"case-{number}")
    shutil.rmtree(place.folder, ignore_errors=True)  # of a harness that was ended
    place.folder.mkdir()
    verdict = Verdict(fault, moment, seed=number)
    launch = Launch(place, words_for(place, "ray"))
    came = launch.strike(victim, MOMENTS[moment])
    code = launch.wait()
    text = launch.printed_text
    (world.folder / f"printed-{number}").write_text(text)
    if not came:
        verdict.moment = f"{moment} (over before)"
    verdict.expect(code in victim.expected or (code == 0 and not came), f"exit code {code}: {text[-1500:]}")
    verdict.expect(not came or code == 0 or victim.words in text, f"does not say {victim.words!r}: {text[-1500:]}")
    if came and fault in BESIDE_RAY[:3] and code == 0:
        verdict.expect(victim.words in text, f"does not say {victim.words!r}: {text[-1500:]}")
    for ugly in ("Traceback", "(raylet)", ".cc:", "tune.py"):
        verdict.expect(ugly not in text, f"{ugly} reaches the user: {text[-2500:]}")
    left = launch.left()
    verdict.expect(not left, f"left behind: {left}")
    if code != 0:
        again = Launch(place, words_for(place, "ray" if number % 5 == 0 else "local"))
        verdict.expect(again.wait() == 0, f"resume: {again.printed_text[-1500:]}")
    verdict.wrong += differences(contents(place), expected, in_order=False)
    verdict.redone = redone(place)
    most = STEPS if fault in BESIDE_RAY else 2 * STEPS  # a stage, or a rung, of each slot that was lost
    verdict.expect(verdict.redone <= most, f"{verdict.redone} steps were taken again")
    place.remove()
    return verdict


def world_with_method(folder: Path) -> World:
    """The harness's world, whose method lies beside the space: Ray's workers have no other."""
    world = World(folder)
    if not world.space.exists():
        world = World.made(folder)
        shutil.copy(method.__file__, folder / "chaos_method.py")
        world.space.write_text(world.space.read_text().replace('"chaos"', '"chaos_method:Tiny"'))
    return world


def undisturbed(world: World) -> Contents:
    """What a launch leaves that nothing has happened to. One that has ended well is read again."""
    place, ended = world.place("undisturbed"), world.folder / "undisturbed.ended"
    if not ended.exists():
        place.folder.mkdir(exist_ok=True)
        launch = Launch(place, words_for(place, "ray"))
        assert launch.wait() == 0, launch.printed_text
        ended.touch()
    return contents(place)


def pairs() -> Iterator[tuple[str, str]]:
    """Every fault at a moment of its own, then at the next one."""
    for turn in range(len(MOMENTS)):
        for number, fault in enumerate(VICTIMS):
            moments = list(MOMENTS)
            if fault in BESIDE_RAY[1:3]:
                moments = [name for name in moments if name != "start-up"]
            if fault == BESIDE_RAY[0]:
                moments = ["trial", "between rungs", "last trials"]
            yield fault, moments[(turn + number) % len(moments)]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=10**6, help="after which no case is begun")
    options = parser.parse_args()
    begun, results = time.monotonic(), options.folder / "results.jsonl"
    options.folder.mkdir(exist_ok=True, parents=True)
    lines = results.read_text().splitlines() if results.exists() else []
    done = {values["seed"]: values for values in map(json.loads, lines)}
    warm()
    ray_launcher.warm()
    world = world_with_method(options.folder)
    for number, (fault, moment) in enumerate(islice(cycle(list(pairs())), options.cases)):
        if number not in done and time.monotonic() - begun < options.seconds:
            verdict = run_case(world, undisturbed(world), fault, moment, number)
            done[number] = asdict(verdict)
            with results.open("a") as file:
                file.write(json.dumps(done[number]) + "\n")
            print(
                number, fault, "at", moment, "held" if not verdict.wrong else f"NOT HELD: {verdict.wrong}", flush=True
            )
    verdicts = [Verdict(**values) for values in done.values()]
    print(table(verdicts))
    return any(verdict.wrong for verdict in verdicts)


if __name__ == "__main__":
    sys.exit(main())
