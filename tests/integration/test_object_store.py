"""Leases on a real S3 server on this machine, which has no locks but creates an object only where there is none."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from upath import UPath

from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.work.stage import StageWork
from orchestrator.record.events import Launched
from orchestrator.record.heartbeat import launcher_lock
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import request_for, run
from tests.helpers.s3 import bucket_of
from workloads import files
from workloads.errors import Kind, UserError


@pytest.fixture(scope="module")
def bucket():
    with bucket_of("leases"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "PERIOD_S", 0.5)
        yield "s3://leases"


def test_one_of_several_makes_what_they_share(bucket):
    inside, most, folder = [0], [0], UPath(f"{bucket}/stages/key")

    def make(number):
        with files.alone(folder):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            folder.joinpath(str(number)).write_bytes(b"made")
            inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))
    assert most == [1]
    assert len(list(folder.iterdir())) == 4


def test_a_second_launcher_of_a_run_is_refused_while_the_first_lives(bucket):
    paths = RunPaths(f"{bucket}/runs", "held")
    refusal = pytest.raises(UserError, match="already has a live launcher")
    with launcher_lock(paths), refusal as refused, launcher_lock(paths):
        raise AssertionError("two hold it")
    assert refused.value.kind == Kind.REFUSED
    with launcher_lock(paths):
        assert UPath(f"{bucket}/runs/held/.launcher.lease").exists()


def test_two_writers_of_a_ledger_never_write_one_segment(bucket):
    paths = RunPaths(f"{bucket}/runs", "torn")
    first, second = Ledger(paths), Ledger(paths)
    first.append(Launched("first"))
    with pytest.raises(FileExistsError, match="another launcher writes this ledger"):
        second.append(Launched("second"))
    assert [event.command for event in Ledger(paths).events] == ["first"]


def test_two_runs_at_once_train_their_shared_stage_once(bucket, monkeypatch, tmp_path):
    trained, lock, train = [], threading.Lock(), StageWork._train

    def counted(work, worker, folder, writes):
        with lock:
            trained.append(work.folder)
        train(work, worker, folder, writes)

    monkeypatch.setattr(StageWork, "_train", counted)
    small = {"classes": ["3"], "points": 1, "executor": "local", "tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}
    small |= {"set": ["width=0.0625", "levels=(4,)", "generator_epochs=0.1", "detector_epochs=0.1", "bank_size=16"]}
    storage = UPath(f"{bucket}/shared")
    requests = [request_for(storage, name=name, **small) for name in ("first", "second")]
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda request: run(request, LocalExecutor()), requests))
    assert [code for code, _ in ended] == [0, 0], ended
    assert len(trained) == len(set(trained)) > 0
