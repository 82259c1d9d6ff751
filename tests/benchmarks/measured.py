"""What a command costs with everything that it starts: wall time, CPU-seconds, processes, memory. Linux.

Ray's daemons leave the process tree and are reaped by nobody who counts, so /proc is read four times a second: every
process that inherited the command's marker in its environment counts, with the last CPU time seen of it.
"""

import math
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 0.25
"""Seconds between two looks. What a process does after the last look at it is not counted."""
YOUNG = 1.0
"""Seconds after which a process whose environment lacks the marker is another's: just forked, it may come yet."""
LIGHT = 150 * 2**20
"""Bytes that no process with torch is below: its memory map is not looked at."""
HZ = os.sysconf("SC_CLK_TCK")
Process = tuple[str, str]
"""Id and start time: ids are used again."""


@dataclass(frozen=True)
class Cost:
    """wall and cpu: seconds. processes: how many were seen. torch: those among them that had loaded it.

    memory: MiB, the largest sum of resident sizes, in which pages that processes share count once for each. begun:
    seconds until the first of the command's own work, where that can be seen.
    """

    code: int
    wall: float
    cpu: float
    processes: int
    torch: int
    memory: float
    begun: float = float("nan")


@dataclass
class Watch:
    """All processes of the machine, sorted into those with the marker and others."""

    marker: bytes
    belongs: dict[Process, bool] = field(default_factory=dict)
    first: dict[Process, float] = field(default_factory=dict)
    cpu: dict[Process, float] = field(default_factory=dict)
    torch: set[Process] = field(default_factory=set)
    peak: int = 0  # bytes

    def look(self) -> None:
        resident = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                resident += self.look_at(pid)
            except (OSError, IndexError):  # it has ended, or is not ours to read
                continue
        self.peak = max(self.peak, resident)

    def look_at(self, pid: str) -> int:
        """The resident bytes of a process, 0 of one that does not belong to the command."""
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        process = (pid, fields[19])
        if process not in self.belongs:
            marked = self.marker in Path(f"/proc/{pid}/environ").read_bytes()
            now = time.monotonic()
            if not marked and now - self.first.setdefault(process, now) < YOUNG:
                return 0
            self.belongs[process] = marked
        if not self.belongs[process]:
            return 0
        self.cpu[process] = (int(fields[11]) + int(fields[12])) / HZ
        resident = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
        if resident > LIGHT and process not in self.torch and b"libtorch" in Path(f"/proc/{pid}/maps").read_bytes():
            self.torch.add(process)
        return resident


def measure(
    command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path, working: Callable[[], bool] = lambda: False
) -> Cost:
    """Run a command to its end, its output into `log`. working: whether its own work has begun."""
    name, value = "MEASURED_AS", f"{os.getpid()}-{time.monotonic_ns()}"
    watch = Watch(f"{name}={value}".encode())
    begun, first = time.perf_counter(), float("nan")
    with log.open("w") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ | env | {name: value}, cwd=cwd
        )
        while child.poll() is None:
            watch.look()
            if math.isnan(first) and working():
                first = time.perf_counter() - begun
            time.sleep(EVERY)
    wall = time.perf_counter() - begun
    cpu, count, memory = sum(watch.cpu.values()), len(watch.cpu), watch.peak / 2**20
    return Cost(child.returncode, wall, cpu, count, len(watch.torch), memory, first)
