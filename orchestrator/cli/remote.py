"""What `launch`, `resume`, `logs` and `stop` share when the work is on a cluster: submit, watch, let go, come back."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from orchestrator.cli.exit_codes import Exit
from orchestrator.cli.options import DEFAULT_DATA, DEFAULT_STORAGE
from orchestrator.console.output import console, say
from orchestrator.console.plan_view import plan_table
from orchestrator.execution.from_request import plan_of
from orchestrator.planning.request import Request, absolute
from tune_spaces.schema import Data
from workloads.errors import UserError


def launch_words(request: Request, options: Any) -> list[str]:
    """The command line of the same launch, run on a machine of the cluster."""
    from orchestrator.clusters.code_package import SPACE_FOLDER
    from orchestrator.clusters.jobs import option_words

    source = users_space(request)
    space = f"{SPACE_FOLDER}/{source.name}" if source else request.loaded.name
    words = ["launch", space, *option_words(options), "--name", plan_of(request).run]
    return words + common_words(request.storage, request.tracking_uri, request.slots)


def users_space(request: Request) -> Path | None:
    """The user's own space file, which must travel; None for one of ours."""
    import tune_spaces

    source = request.loaded.source
    return None if source.absolute().is_relative_to(Path(tune_spaces.__file__).parent) else source


def common_words(storage: str, tracking_uri: str | None, slots: int | None) -> list[str]:
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


def hand_over(request: Request, words: Sequence[str], data_dir: str, *, plain: bool) -> NoReturn:
    """Submit a launch, then watch it; ends the process with its exit code."""
    from orchestrator.clusters.connection import connect
    from orchestrator.clusters.jobs import submit

    address, plan = str(request.address), plan_of(request)
    client = connect(address)
    console(plain).print(plan_table(plan, request))
    folder = ["--data-dir", data_dir] if data_dir != DEFAULT_DATA else []
    job = submit(client, [*words, *folder], plan.run, users_space(request))
    watch(client, job, plan.run, address)


def hand_over_words(run: str, address: str, words: Sequence[str]) -> NoReturn:
    """Submit a command that takes nothing along but the code, then watch it as `run`; ends the process."""
    from orchestrator.clusters.connection import connect
    from orchestrator.clusters.jobs import submit

    client = connect(address)
    watch(client, submit(client, words, run), run, address)


def watch(client: Any, job: str, run: str, address: str) -> NoReturn:
    """Write a job's output until it ends; Ctrl-C lets it go on alone. Ends the process."""
    from orchestrator.clusters.jobs import follow, words_about
    from orchestrator.clusters.session import heed_signals

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def about() -> None:
        for line in words_about(job, run, address):
            say(out, line)

    out = console(plain=True)
    about()
    heed_signals()
    try:
        sys.exit(follow(client, job, write))
    except KeyboardInterrupt:
        say(out, "\ndetached; the job goes on")
        about()
        sys.exit(Exit.INTERRUPTED)
