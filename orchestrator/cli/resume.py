"""`resume RUN`: go on where a run was interrupted."""

from orchestrator.cli.options import DEFAULT_STORAGE, Cpus, Debug, Plain, Run, Storage, TrackingUri, all_cpus


def resume(
    run: Run,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    cpus: Cpus = None,
    plain: Plain = False,
    debug: Debug = False,  # noqa: ARG001 - read by main
) -> None:
    """Continue an interrupted run. Finished trials are not repeated, the MLflow runs go on."""
    from pathlib import Path

    from orchestrator.cli.run import run as run_request
    from orchestrator.failures import Exit, LaunchError
    from orchestrator.launch import Request
    from orchestrator.places import absolute
    from orchestrator.runs import open_run
    from tune_spaces.load import Loaded
    from tune_spaces.schema import Space

    places, state = open_run(absolute(storage), run)
    opened = state.opened
    before = opened["tracking_uri"]
    if tracking_uri is None and before and "***" in before:
        raise LaunchError(
            f"the run logs to {before}", fix="give --tracking-uri again: its password is not kept", code=Exit.BAD_USAGE
        )
    request = Request(
        loaded=Loaded(opened["name"], Space.model_validate(opened["space"]), opened["doc"], Path(opened["source"])),
        space=Space.model_validate(opened["space"]),
        preset=opened["preset"],
        storage=places.storage,
        data_dir=opened["data_dir"],
        tracking_uri=tracking_uri or before,
        name=run,
        cpus=cpus or all_cpus(),
        plain=plain,
    )
    run_request(request, dry_run=False)
