"""A launch handed to a cluster: the command line that its launcher gets there, and the job that it is from here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tune_spaces
from orchestrator.clusters.code_package import SPACE_FOLDER
from orchestrator.clusters.connection import connect
from orchestrator.clusters.jobs import ENDED, follow, halt, job_of, option_words, submit
from orchestrator.planning.request import DEFAULT_DATA, DEFAULT_STORAGE, Request, absolute
from tune_spaces.schema import Data
from workloads.errors import UserError
from workloads.registry import code_of


@dataclass(frozen=True)
class Job:
    """A launcher that works on a cluster, and goes on there without this process. address: the cluster's."""

    id: str
    run: str
    address: str
    client: Any = field(repr=False, compare=False)

    @property
    def status(self) -> str:
        """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
        return str(self.client.get_job_status(self.id))

    def logs(self) -> str:
        """All that its launcher has printed so far."""
        return str(self.client.get_job_logs(self.id))

    def follow(self, write: Callable[[str], None]) -> int:
        """Write its output from the beginning until it ends; the launcher's exit code, 0 where all went well."""
        return follow(self.client, self.id, write)

    def stop(self) -> bool:
        """End it politely: the launcher closes its books, and a resumed run goes on later. False where it has ended
        already. Raises UserError where it does not end within two minutes."""
        if self.status in ENDED:
            return False
        halt(self.client, self.id)
        return True


def find_job(run: str, address: str) -> Job:
    """The newest job of a run, by the run's name or the job's. Raises UserError where the cluster knows none."""
    client = connect(address)
    return Job(job_of(client, run), run, address, client)


def submit_words(words: Sequence[str], run: str, address: str, users: Sequence[Path] = ()) -> Job:
    """Start `python -m orchestrator WORDS` on the cluster, known there as `run`. users: files of the user's to take
    along. Raises UserError where the cluster cannot be reached, and where a job of the run is still going on."""
    client = connect(address)
    return Job(submit(client, words, run, users), run, address, client)


def launch_words(request: Request, run: str, data_dir: str) -> list[str]:
    """The command line of a launch of the run. data_dir: as it was asked for, since the default is the job's own.

    Raises UserError where the results would go with the job, and for a space that no file holds.
    """
    source = users_space(request)
    space = f"{SPACE_FOLDER}/{source.name}" if source else request.loaded.name
    words = ["launch", space, *option_words(request.options), "--name", run]
    words += launcher_words(request.storage, request.tracking_uri, request.slots)
    return words + (["--data-dir", data_dir] if data_dir != DEFAULT_DATA else [])


def submit_resume(
    run: str, address: str, storage: str, tracking_uri: str | None, slots: int | None, accept_code: bool
) -> Job:
    """Go on with an interrupted run on a cluster. Raises UserError as `launcher_words` and `submit_words` do."""
    words = ["resume", run, *launcher_words(absolute(storage), tracking_uri, slots)]
    return submit_words([*words, *(["--accept-code"] if accept_code else [])], run, address)


def users_space(request: Request) -> Path | None:
    """The user's own space file, which must travel; None for one of ours. Raises UserError where no file holds it."""
    source = request.loaded.source
    if source == Path():
        raise UserError("a space in memory cannot travel to a cluster", fix="write it into a .py file, as SPACE = ...")
    return None if source.absolute().is_relative_to(Path(tune_spaces.__file__).parent) else source


def users_files(request: Request) -> list[Path]:
    """What of the user's own must travel: the space's file, and the method beside it where it is none of the tree."""
    files = (users_space(request), code_of(request.space.workload))
    return [file for file in files if file is not None]


def launcher_words(storage: str, tracking_uri: str | None, slots: int | None) -> list[str]:
    """Options of every launcher on a cluster. Raises UserError where the results would go with the job."""
    if storage == absolute(DEFAULT_STORAGE):
        details = "this machine's folder `runs` is not there, and a job's own folder goes with the job"
        fix = "give --storage a URI, or a path that all nodes share"
        raise UserError("where on the cluster do the results go?", details=details, fix=fix)
    words = ["--address", "auto", "--plain", "--storage", storage]
    words += ["--tracking-uri", tracking_uri] if tracking_uri else []
    return words + (["--slots", str(slots)] if slots else [])


def refuse_own_folders(data: Data, data_dir: str) -> None:
    """Raises UserError (exit 2) for images in a relative folder: on the cluster that is one of the job's own.

    The default folder is let through: a dataset that comes with a package needs none, and a downloaded one lies as
    shards in the storage before the job's folder goes.
    """
    paths = {} if data_dir == DEFAULT_DATA else {"--data-dir": data_dir}
    paths |= {"--images": data.path} if data.path else {}
    paths |= {f"--auxiliary {source.name}": source.path for source in data.auxiliary if source.path}
    relative = {name: path for name, path in paths.items() if not path.startswith(("/", "~")) and "://" not in path}
    if relative:
        details = "\n".join(f"  {name}: {path!r} would be in the job's own folder" for name, path in relative.items())
        fix = "give the whole path (/...), as all nodes see it"
        raise UserError("where on the cluster are the images?", details=details, fix=fix)
