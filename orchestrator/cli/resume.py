"""`resume RUN`: go on where a run was interrupted."""

from orchestrator.cli.options import (
    DEFAULT_STORAGE,
    AcceptCode,
    Address,
    Cpus,
    Debug,
    Executor,
    Plain,
    Run,
    Slots,
    Storage,
    TrackingUri,
)
from orchestrator.cli.run import end_as, watch


def resume(
    run: Run,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    address: Address = None,
    slots: Slots = None,
    executor: Executor = "ray",
    cpus: Cpus = None,
    accept_code: AcceptCode = False,
    plain: Plain = False,
    debug: Debug = False,  # noqa: ARG001 - read by main
) -> None:
    """Continue an interrupted run. Finished trials are not repeated, the MLflow runs go on."""
    import orchestrator
    from orchestrator.clusters.connection import is_remote
    from orchestrator.console.output import console
    from orchestrator.console.terminal import Terminal

    if is_remote(address):
        from orchestrator.clusters.submission import launcher_words, submit_words

        words = [*launcher_words(storage, tracking_uri, slots), *(["--accept-code"] if accept_code else [])]
        watch(submit_words(["resume", run, *words], run, str(address)))
    observer = Terminal(console(plain))
    end_as(lambda: orchestrator.resume(
        run, storage=storage, executor=executor, tracking_uri=tracking_uri, address=address, cpus=cpus, slots=slots,
        accept_code=accept_code, observer=observer,
    ))  # fmt: skip
