"""`resume RUN`: go on where a run was interrupted."""

from orchestrator.cli.options import (
    DEFAULT_STORAGE,
    AcceptCode,
    Address,
    Cpus,
    Debug,
    Executor,
    Json,
    Plain,
    Quiet,
    Run,
    Slots,
    Storage,
    TrackingUri,
)
from orchestrator.cli.run import end_as, goes_to_a_cluster, watch


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
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,  # noqa: ARG001 - read by main
) -> None:
    """Continue an interrupted run. Finished trials are not repeated, the MLflow runs go on."""
    import orchestrator
    from orchestrator.console.output import console
    from orchestrator.console.terminal import Terminal

    if goes_to_a_cluster(address):
        from orchestrator.clusters.submission import submit_resume

        watch(submit_resume(run, str(address), storage, tracking_uri, slots, accept_code))
    observer = Terminal(console(plain, quiet or as_json), as_json)
    end_as(lambda: orchestrator.resume(
        run, storage=storage, executor=executor, tracking_uri=tracking_uri, address=address, cpus=cpus, slots=slots,
        accept_code=accept_code, observer=observer,
    ))  # fmt: skip
