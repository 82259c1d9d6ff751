"""What goes wrong in a sweep is told, costs no other trial anything, and can be gone on from."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from orchestrator.record.events import TrialMoved
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import request_for, run

# The second rate makes the loss infinite at once. Levels 1 and 2 need no generators.
SPACE = """
from tune_spaces.schema import Data, Scheduler, Search, Space

SPACE = Space(
    data=Data(name="digits", side=16, classes=("0",)),
    fixed={"levels": (1, 2), "width": 0.125, "detector_epochs": 2},
    axes={"detector_lr": (1e-2, 1e30)},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="fifo"),
)
"""


@pytest.fixture(scope="module")
def failed(storage, tmp_path_factory):
    """A sweep of which one trial diverges, with a tracking server that is not there."""
    file = tmp_path_factory.mktemp("spaces") / "diverges.py"
    file.write_text(SPACE)
    away = "http://127.0.0.1:9"
    request = request_for(storage, file, "diverges", tracking_uri=away, executor="local", preset=None)
    return (request, *run(request))


def test_a_diverging_trial_fails_alone_and_the_report_is_written(failed, storage):
    _, code, text = failed
    paths = RunPaths(str(storage), "diverges")
    good, bad = Ledger(paths).state.trials.values()
    assert code == 1, text
    assert (good.state, bad.state) == ("finished", "failed")
    assert "diverged at step" in bad.error
    assert f"failed: trial #2 {bad.id}" in text
    assert (paths.report / "report.md").exists()


def test_a_tracking_server_that_is_away_stops_nothing_and_hears_it_all_later(failed, storage):
    import mlflow

    from orchestrator.record.tracking.tracker import Tracker

    _, _, text = failed
    assert "MLflow was not reached" in text
    paths, uri = RunPaths(str(storage), "diverges"), f"sqlite:///{storage}/later.db"
    Tracker(paths, uri, "diverges").sync(Ledger(paths).state)
    client = mlflow.MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name("diverges").experiment_id])
    assert sorted(r.info.status for r in found) == ["FAILED", "FINISHED", "FINISHED"]


def test_a_failed_trial_is_tried_again_by_the_next_launch(failed, storage):
    request, _, _ = failed
    before = Ledger(RunPaths(str(storage), "diverges")).state
    code, _ = run(request)
    after = Ledger(RunPaths(str(storage), "diverges"))
    assert code == 1
    assert after.state.launches == before.launches + 1
    tried = [e for e in after.events if isinstance(e, TrialMoved) and e.state == "running"]
    assert len(tried) > len(before.trials)


def kill_the_first_trial(ledger, deadline_s=200):
    """Kill the process in which a trial of this process's Ray is trained, as soon as the ledger says that one is;
    whether it came."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        running = ledger.exists() and '"running"' in ledger.read_text()
        for process in psutil.Process().children(recursive=True) if running else ():
            try:
                if re.match(r"ray::WarmWorker\.advance\b", " ".join(process.cmdline())):
                    process.kill()
                    return True
            except psutil.Error:  # it has ended
                continue
        time.sleep(0.05)
    return False


@pytest.mark.ray
def test_a_trial_whose_worker_is_lost_is_tried_again(cluster, storage, tmp_path):
    (tmp_path / "lost.py").write_text(SPACE.replace("(1e-2, 1e30)", "(1e-2,)"))
    with ThreadPoolExecutor(1) as beside:
        killed = beside.submit(kill_the_first_trial, storage / "lost" / "ledger" / "000001.jsonl")
        code, text = run(request_for(storage, tmp_path / "lost.py", "lost", preset=None, slots=1))
    assert killed.result()
    assert code == 0, text
    ledger = Ledger(RunPaths(str(storage), "lost"))
    (trial,) = ledger.state.trials.values()
    assert trial.state == "finished"
    assert len([e for e in ledger.events if isinstance(e, TrialMoved) and e.state == "running"]) == 2
