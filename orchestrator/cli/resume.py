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
    all_cpus,
)


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
    from pathlib import Path

    from orchestrator.cli.remote import common_words, hand_over_words
    from orchestrator.cli.run import run as run_request
    from orchestrator.clusters.connection import check_address, is_remote
    from orchestrator.planning.request import Request, absolute
    from orchestrator.record.provenance import gpu_count
    from orchestrator.record.runs import open_run, tracking_of
    from tune_spaces.schema.load import Loaded

    check_address(address)
    if is_remote(address):
        words = [*common_words(absolute(storage), tracking_uri, slots), *(["--accept-code"] if accept_code else [])]
        hand_over_words(run, str(address), ["resume", run, *words])
    paths, state = open_run(absolute(storage), run)
    opened = state.opened
    request = Request(
        loaded=Loaded(opened.name, state.space, opened.doc, Path(opened.source)),
        space=state.space,
        preset=opened.preset,
        storage=paths.storage,
        data_dir=opened.data_dir,
        tracking_uri=tracking_of(state, tracking_uri),
        name=run,
        cpus=cpus or all_cpus(),
        gpus=gpu_count(),
        executor=executor,
        address=address,
        slots=slots,
        accept_code=accept_code,
    )
    run_request(request, plain=plain, dry_run=False)
