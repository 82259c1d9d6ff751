"""executor_alone.py SPACE.py FOLDER: the tasks of a launch in this process: without MLflow, report and command line."""

import sys
from pathlib import Path

from orchestrator.data.loading import load_splits
from orchestrator.data.split_store import SplitStore
from orchestrator.execution.continuation import open_run
from orchestrator.execution.from_request import request_of
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.observer import Observer
from orchestrator.execution.recorder import recorder_of
from orchestrator.execution.tasks import Launch, run_all
from orchestrator.planning.plan import plan_of
from orchestrator.record.paths import RunPaths


def main(space: str, folder: Path) -> None:
    request = request_of(space, storage=folder / "runs", data_dir=folder, name="launch", executor="local")
    splits = load_splits(request.space.data, folder)
    plan = plan_of(request).with_images(splits)
    paths = RunPaths(request.storage, plan.run)
    run = open_run(request, plan, paths, splits, "local")
    work = Launch(request, plan, paths, splits, SplitStore(paths), run, Observer())
    run_all(work, LocalExecutor(), recorder_of(plan.space, plan.rungs, run.ledger, print))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
