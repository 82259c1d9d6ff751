"""What of a machine and its surroundings could break a launch, and the fix of each finding. Nothing is started unless
Ray itself is asked for."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from time import monotonic
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from orchestrator.clusters.session import ray_session
from orchestrator.clusters.surroundings import (
    LARGER,
    LOCAL,
    check_folder,
    check_memory,
    check_temporary_folder,
    object_store,
    state_api,
)
from orchestrator.data.loading import load_splits
from orchestrator.planning.options import Options, load_space
from orchestrator.planning.request import absolute
from orchestrator.record.paths import RunPaths, check_tracking
from orchestrator.record.provenance import all_cpus, gpu_count, without_secrets
from orchestrator.record.tracking.store import check_store, reach
from workloads.errors import UserError
from workloads.files import write_atomically

PROJECT = "anomaly-orchestrator"
Outcome = Literal["ok", "warn", "fail"]
LOW_DISK, NO_DISK = 5e9, 5e8
"""Bytes below which a sweep may fill the disk, and below which it will."""
LOW_INODES = 20_000
"""A trial leaves some tens of files; so do Ray's logs."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
SERVERS = ("raylet", "gcs_server", "ray::", "dashboard", "mlflow")
"""In the command line of a process whose open port lets others run code, or read what is logged."""


@dataclass(frozen=True)
class Check:
    """What was looked at, how it stands, in words, and what to do where that is not well."""

    name: str
    outcome: Outcome
    text: str
    fix: str = ""


def examine(
    storage: str, data_dir: str, tracking_uri: str | None, spaces: Sequence[str] = (), *, with_ray: bool = False
) -> Iterator[Check]:
    """Every check in turn. spaces: whose images are read, without any download. with_ray: start Ray, and ask its State
    API, as a launch does."""
    yield python_version()
    yield from package_versions()
    yield probed("folder", "no package here hides one of ours", lambda: check_folder(Path.cwd()))
    yield probed("memory", "enough is free for Ray's workers", check_memory)
    yield probed("temporary folder", "short enough for Ray's sockets", check_temporary_folder)
    yield shared_memory()
    yield writable(storage)
    if "://" not in storage:
        yield disk(existing(Path(storage)))
        yield inodes(existing(Path(storage)))
    yield tracking(storage, tracking_uri)
    yield data_folder(Path(data_dir))
    yield from (images_of(space, Path(data_dir)) for space in spaces)
    yield threads()
    yield proxy()
    yield open_ports()
    yield gpus()
    if with_ray:
        yield ray_answers()


def probed(name: str, text: str, probe: Callable[[], object]) -> Check:
    """A check that raises what is wrong as an error for users."""
    try:
        probe()
    except UserError as error:
        return Check(
            name,
            "fail",
            ": ".join(filter(None, (error.headline, error.where))),
            error.fix or error.details or str(error),
        )
    return Check(name, "ok", text)


def python_version() -> Check:
    needed = str(metadata(PROJECT)["Requires-Python"])
    good = platform.python_version() in SpecifierSet(needed)
    fix = "" if good else f"make an environment with a Python {needed}"
    return Check("Python", "ok" if good else "fail", f"{platform.python_version()}, needed {needed}", fix)


def package_versions() -> Iterator[Check]:
    """Those that the project needs: one check for all that are as they should be, and one for every other."""
    good = []
    for line in requires(PROJECT) or ():
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            there = version(needed.name)
        except PackageNotFoundError:
            there = "none"
        if there != "none" and needed.specifier.contains(there, prereleases=True):
            good.append(f"{needed.name} {there}")
            continue
        fix = f"pip install --upgrade '{needed.name}{needed.specifier}'"
        yield Check(needed.name, "fail", f"{there} is installed, needed {needed.specifier}", fix)
    yield Check("packages", "ok", ", ".join(good))


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())


def writable(storage: str) -> Check:
    """Whether a file can be written where runs will lie; it is removed again. A folder that is not there stays away."""
    place = RunPaths(storage, "doctor").root if "://" in storage else existing(Path(storage))
    probe = place / f".doctor-{os.getpid()}"
    try:
        write_atomically(probe, b"")
        probe.unlink()
    except Exception as error:  # whatever a storage raises
        fix = "name a folder of yours by --storage, or mend its permissions or credentials"
        return Check("storage", "fail", f"{storage} cannot be written: {error}", fix)
    return Check("storage", "ok", f"{storage} can be written")


def disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    outcome: Outcome = "ok" if free >= LOW_DISK else "warn" if free >= NO_DISK else "fail"
    fix = "" if outcome == "ok" else "`runs gc` lists what of earlier runs can go, or name another --storage"
    return Check("disk", outcome, f"{free / 1e9:.1f} GB are free below {folder}", fix)


def inodes(folder: Path) -> Check:
    facts = os.statvfs(folder)
    if not facts.f_files:  # a file system without a fixed number of them
        return Check("inodes", "ok", f"{folder} has as many files as fit")
    low = facts.f_favail < LOW_INODES
    fix = "remove folders of many small files there, or name another --storage" if low else ""
    return Check("inodes", "warn" if low else "ok", f"room for {facts.f_favail:,} more files", fix)


def tracking(storage: str, uri: str | None) -> Check:
    """Whether MLflow's store is of this version, and answers."""

    def read() -> None:
        check_tracking(RunPaths(storage, "doctor"), uri)
        check_store(storage, uri)

    shown = without_secrets(uri) if uri else "the database in the storage"
    check = probed("MLflow", f"{shown} can hold runs", read)
    if check.outcome != "ok" or uri is None:
        return check
    try:
        reach(uri)
    except OSError as error:  # those of requests are, too
        fix = "start it, or mend the address; a launch goes on without it, and a later one logs what it missed"
        return Check("MLflow", "warn", f"{shown} does not answer: {type(error).__name__}", fix)
    return check


def shared_memory() -> Check:
    """Whether Ray's object store fits where it belongs."""
    _, remark = object_store()
    text = remark or "enough is free for Ray's object store"
    return Check("shared memory", "warn" if remark else "ok", text, LARGER if remark else "")


def data_folder(folder: Path) -> Check:
    if not folder.is_dir():
        fix = "name another by --data-dir; `doctor SPACE` says how the images of a space come"
        return Check("data", "warn", f"there is no folder {folder}: only datasets without files there work", fix)
    names = sorted(place.name for place in folder.iterdir())
    return Check("data", "ok", f"{folder} holds {', '.join(names) or 'nothing'}")


def images_of(space: str, data_dir: Path) -> Check:
    """Whether the images of a space are there; they are read, and none is fetched."""

    def read() -> object:
        _, resolved, _ = load_space(space, Options())
        return load_splits(resolved.data, data_dir, download=False)

    return probed(f"images of {space}", "all there", read)


def threads() -> Check:
    """The shell's say is nothing that workers hear: they compute on what they claim. The launcher and BLAS before that
    do."""
    limits = {name: os.environ[name] for name in THREADS if os.environ.get(name)}
    text = ", ".join(f"{name}={value}" for name, value in limits.items()) or "the shell sets none"
    if any(not value.isdigit() or int(value) > all_cpus() for value in limits.values()):
        return Check("threads", "warn", f"{text}, on {all_cpus()} cores", f"unset {' '.join(limits)}")
    return Check("threads", "ok", text)


def proxy() -> Check:
    """A launch keeps what Ray's processes ask each other on this machine from a proxy; what a user types, it cannot."""
    named = [name for name in PROXIES if os.environ.get(name)]
    spared = {item.strip() for name in ("no_proxy", "NO_PROXY") for item in os.environ.get(name, "").split(",")}
    if not named or "*" in spared or spared >= {*LOCAL}:
        return Check("proxy", "ok", "none stands between this machine and itself")
    text = f"{named[0]} is set: a launch spares this machine by itself, `--address http://127.0.0.1:8265` does not"
    return Check("proxy", "warn", text, f"export no_proxy={','.join(LOCAL)}")


def open_ports() -> Check:
    """Ports of Ray's and MLflow's processes that other machines reach, as far as this user may see them."""
    import psutil

    reached = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if any(name in words for name in SERVERS):
            try:
                sockets = process.net_connections("tcp")
            except psutil.Error:  # gone, or another user's
                continue
            reached += [s.laddr.port for s in sockets if s.status == psutil.CONN_LISTEN and is_open(s.laddr.ip)]
    if not reached:
        return Check("ports", "ok", "no Ray and no MLflow of this user listens to other machines")
    listed = ", ".join(map(str, sorted(set(reached))[:6]))
    fix = "let MLflow listen on 127.0.0.1; start Ray with RAY_AUTH_MODE=token, or behind a firewall"
    return Check("ports", "warn", f"Ray or MLflow listens to other machines on {listed}", fix)


def is_open(address: str) -> bool:
    """Whether a socket at the address hears other machines."""
    return not (address.startswith(("127.", "::ffff:127.")) or address == "::1")


def gpus() -> Check:
    """GPUs that the machine shows, whether torch can use them, and whether workers could talk over NCCL."""
    count = gpu_count()
    if not count:
        return Check("GPU", "ok", "none here: CPUs train")
    import torch

    if not torch.cuda.is_available():
        return Check("GPU", "fail", f"{count} here, and torch sees none", "install torch for this CUDA, or its driver")
    if count > 1 and not torch.distributed.is_nccl_available():
        return Check("GPU", "fail", "workers that share batches need NCCL", "install a torch that was built with it")
    names = ", ".join(sorted({torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())}))
    nccl = ".".join(map(str, torch.cuda.nccl.version())) if torch.distributed.is_nccl_available() else "none"
    return Check("GPU", "ok", f"{torch.cuda.device_count()} x {names}, CUDA {torch.version.cuda}, NCCL {nccl}")


def ray_answers() -> Check:
    """Start Ray as a launch does, and ask its State API, which a proxy may keep from answering."""
    begun = monotonic()
    try:
        with ray_session(1, dashboard=True):
            state_api()
    except Exception as error:  # whatever Ray raises
        last = (str(error).strip().splitlines() or ["no message"])[-1]
        fix = getattr(error, "fix", "") or "take --executor local until it starts"
        return Check("Ray", "fail", f"{type(error).__name__}: {last}", fix)
    return Check("Ray", "ok", f"started, its State API answered, and ended in {monotonic() - begun:.0f} s")


def examined(
    storage: str, data_dir: str, tracking_uri: str | None, spaces: Sequence[str], with_ray: bool
) -> list[Check]:
    """All checks; see `examine`."""
    return list(examine(absolute(storage), absolute(data_dir), tracking_uri, spaces, with_ray=with_ray))
