"""Starting or joining Ray, and what fits on it."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.failures import LaunchError
from tune_spaces.schema import Resources

SPARE_CPUS = 1
"""Logical CPUs kept for Ray Data's readers: a cluster filled by training alone would never feed it."""

LOOPBACK = "127.0.0.1"

QUIET = {
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_maximum_startup_concurrency": "8",  # its default, one a core, makes raylet warn at every launch
}


def heed_signals() -> None:
    """Ctrl-C and a batch system's polite stop both end a launch cleanly, also where a shell's `&` has them ignored."""
    if threading.current_thread() is threading.main_thread():
        for polite in (signal.SIGINT, signal.SIGTERM):
            signal.signal(polite, signal.default_int_handler)


@contextmanager
def ray_session(cpus: int | None = None) -> Iterator[Any]:
    """Ray on this machine, dashboard on the loopback address; ended on the way out. Inside a session: that one.

    The dashboard is not for show: without it Ray leaks the resources of trials that a scheduler stops.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # nothing here listens beyond the loopback address
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    import ray

    if ray.is_initialized():
        yield ray
        return
    address = own_address()
    for name in ("ray", "ray.data", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ray.init(
        address="local",  # not another Ray that happens to run here
        num_cpus=(cpus or os.cpu_count() or 1) + SPARE_CPUS,
        include_dashboard=True,
        dashboard_host=LOOPBACK,
        _node_ip_address=LOOPBACK,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": QUIET | {"RAY_AUTH_MODE": os.environ["RAY_AUTH_MODE"], "RAY_ADDRESS": address}},
    )
    heed_signals()  # again: Ray has put its own in their place
    try:
        yield ray
    finally:
        ray.shutdown()


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


def slots(resources: Resources, total: dict[str, float]) -> int:
    """How many trials fit at once. Raises LaunchError where not even one does."""

    def fitting(workers: int) -> int:
        fits = int((total.get("CPU", 0) - SPARE_CPUS) / (workers * resources.cpus_per_worker))
        gpus = workers * resources.gpus_per_worker
        return min(fits, int(total.get("GPU", 0) / gpus + 1e-9)) if gpus else fits

    fits = fitting(resources.workers) or min(1, fitting(resources.least_workers))
    if fits < 1:
        cpus = resources.least_workers * resources.cpus_per_worker
        gpus = resources.least_workers * resources.gpus_per_worker
        have = f"{total.get('CPU', 0) - SPARE_CPUS:g} CPUs and {total.get('GPU', 0):g} GPUs"
        raise LaunchError(
            "not even one trial fits on this cluster",
            details=f"a trial needs {cpus:g} CPUs and {gpus:g} GPUs; the cluster has {have}",
            fix="lower --workers or --gpus-per-worker",
        )
    return fits
