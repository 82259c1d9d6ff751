"""Starting or joining Ray."""

import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.clusters.connection import unreachable
from orchestrator.clusters.jobs import pack
from orchestrator.planning.capacity import SPARE_CPUS, Node

LOOPBACK = "127.0.0.1"

QUIET = {
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_maximum_startup_concurrency": "8",  # its default, one a core, makes raylet warn at every launch
}

PROMPT = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300"}
PATIENT = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "3600"}  # a cluster's nodes may have to be started first


def heed_signals() -> None:
    """Ctrl-C and a batch system's polite stop both end a launch cleanly, also where a shell's `&` has them ignored."""
    if threading.current_thread() is threading.main_thread():
        for polite in (signal.SIGINT, signal.SIGTERM):
            signal.signal(polite, signal.default_int_handler)


@contextmanager
def ray_session(cpus: int | None = None, address: str | None = None) -> Iterator[Any]:
    """Ray on this machine, or the running one that this machine belongs to; left on the way out. Inside: that one."""
    # here, too: what Train finds in the launcher's own environment it gives to its controllers and workers
    for key, value in (QUIET | (PROMPT if address is None else PATIENT)).items():
        os.environ.setdefault(key, value)
    if address is None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # nothing here listens beyond the loopback address
    import ray

    if ray.is_initialized():
        yield ray
        return
    for name in ("ray", "ray.data", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    start_local(ray, cpus) if address is None else join(ray, address)
    heed_signals()  # again: Ray has put its own in their place
    try:
        yield ray
    finally:
        ray.shutdown()


def start_local(ray: Any, cpus: int | None) -> None:
    """A Ray of our own, dashboard on the loopback address, which is not for show.

    Without the dashboard Ray leaks the resources of trials that a scheduler stops.
    """
    address = own_address()
    ray.init(
        address="local",  # not another Ray that happens to run here
        num_cpus=(cpus or os.cpu_count() or 1) + SPARE_CPUS,
        include_dashboard=True,
        dashboard_host=LOOPBACK,
        _node_ip_address=LOOPBACK,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={
            "env_vars": QUIET | PROMPT | {"RAY_AUTH_MODE": os.environ["RAY_AUTH_MODE"], "RAY_ADDRESS": address}
        },
    )


def join(ray: Any, address: str) -> None:
    """The running cluster of this machine. Raises UserError where there is none, or it is not for us.

    A job's workers have its code already, and its address; from outside a job both go along.
    """
    environment: dict[str, Any] = {"env_vars": QUIET | PATIENT}
    folder = None
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        folder = tempfile.TemporaryDirectory()
        pack(Path(folder.name), None)
        environment["working_dir"] = folder.name
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment)
    except (RuntimeError, ConnectionError, ray.exceptions.RayError) as error:
        raise unreachable(address, error) from None
    finally:
        if folder is not None:
            folder.cleanup()  # it has been uploaded


def node_resources() -> list[Node]:
    """What every living node offers."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def own_address() -> str:
    """Choose the port of the Ray that is about to start, so that its workers can be told its address.

    Ray's cleaner of stopped trials looks for "the" Ray of the machine. Where there are two it gives up, and what the
    trials held is never free again.
    """
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    os.environ["RAY_GCS_SERVER_PORT"] = str(port)
    return f"{LOOPBACK}:{port}"


def off_main_thread(call: Callable[[], Any]) -> None:
    """Wait for `call` in a thread of its own. In the main thread Ray Train would take Ctrl-C over, and keep it."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            call()
        except BaseException as error:  # raised again below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.2)
    if errors:
        raise errors[0]
