"""A flow that learns from a prepared auxiliary set, streamed: whole launches on real Ray."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from orchestrator.data.auxiliary.manifest import ShardLayout
from orchestrator.data.auxiliary.prepare import begin, make
from orchestrator.data.auxiliary.sources import open_source
from orchestrator.record.events import RungReached
from orchestrator.record.ledger import Ledger, fold, read_events
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import copy_baselines, request_for, run
from workloads.data.loaders.photo_tiles import photo_tiles
from workloads.training.checkpoint import load_state

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def general(cluster, tmp_path_factory):
    """400 tiles of photographs, 16x16, prepared from image files."""
    folder = tmp_path_factory.mktemp("general")
    (folder / "in").mkdir()
    for number, tile in enumerate(np.concatenate(photo_tiles(16, 400, 40, 0))):
        Image.fromarray(tile.transpose(1, 2, 0)).save(folder / f"in/{number:04d}.png")
    source = open_source("folder", str(folder / "in"), side=16)
    make(begin(source, str(folder / "set"), ShardLayout(3, 16, 16, 64), None, hold_out=0.2), lambda *_: None)
    return str(folder / "set")


SPACE = """
'''A flow of one digit, held against streamed images.'''
from tune_spaces.shared.presets import FLOW_PRESETS
from tune_spaces.schema import Data, Auxiliary, Scheduler, Space

SPACE = Space(
    workload="flow",
    data=Data(name="digits", side=16, classes=("3",), auxiliary=(Auxiliary(name="prepared", path={path!r}),)),
    fixed={{"outlier_loss": "ratio", "batch_size": 9, "general_batch_size": 9, "epochs": 0.3, "general_epochs": 0.2}},
    scheduler=Scheduler(kind="fifo"),
    presets=FLOW_PRESETS,
)
"""


def command(*words):
    return [sys.executable, "-m", "orchestrator", *map(str, words), "--cpus", "2", "--plain"]


def launched(storage, general, **options):
    (storage / "space.py").write_text(SPACE.format(path=general))
    code, text = run(request_for(storage, storage / "space.py", name="streamed", **options))
    assert code == 0, text
    return RunPaths(str(storage), "streamed")


def parameters(paths):
    """Network tensors of the general flow and of the detector."""
    stages = [m.parent for m in sorted((paths.root / "stages").rglob("manifest.json"), key=str)]
    trial = next(iter(Ledger(paths).state.trials))
    units = [m.parent for m in sorted((paths.trial(trial).folder / "units").rglob("manifest.json"), key=str)]
    actual = [load_state(folder) for folder in stages] + [load_state(folder)["learner"] for folder in units]
    assert len(actual) == 2
    return [state["net"] for state in actual]


def test_a_general_flow_and_the_outlier_loss_learn_from_the_stream(general, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    single = launched(tmp_path / "one", general, slots=1)
    assert Ledger(single).state.space.data.auxiliary[0].path == general
    shards = json.loads(next((single.root / "data").rglob("manifest.json")).read_text())
    assert shards["general_set"] == general
    copy_baselines(single, tmp_path / "two")
    again = launched(tmp_path / "two", general, workers=2, share="batches")
    for first, second in zip(parameters(single), parameters(again), strict=True):
        for name, value in first.items():
            np.testing.assert_allclose(second[name].float().numpy(), value.float().numpy(), atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_a_launch_killed_with_sigkill_goes_on_in_the_stream_where_its_last_state_was_saved(general, tmp_path):
    """Its state is saved at a rung, here a ninth of the way; the parameters in the end are those of an undisturbed
    launch."""
    text = SPACE.format(path=general).replace('kind="fifo"', 'kind="asha", eta=9, first_rung=0.11')
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}  # not this module's Ray
    paths = [RunPaths(str(tmp_path / name), "streamed") for name in ("killed", "whole")]
    for place in paths:
        place.root.mkdir(parents=True)
        (place.root / "space.py").write_text(text)
        words = ["launch", place.root / "space.py", "--preset", "smoke", "--name", "streamed", "--points", "1"]
        words += ["--set", "epochs=40", "--storage", place.storage]
        process = subprocess.Popen(command(*words), env=environment)
        if place is paths[0]:
            deadline = time.monotonic() + 240
            while not any(isinstance(event, RungReached) for event in read_events(place)):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert not any(trial.state == "finished" for trial in fold(read_events(place)).trials.values())
            time.sleep(2)  # Ray's processes end with their driver
            process = subprocess.Popen(command("resume", "streamed", "--storage", place.storage), env=environment)
        assert process.wait(timeout=300) == 0
    for first, second in zip(*map(parameters, paths), strict=True):
        for name, value in first.items():
            np.testing.assert_array_equal(second[name].float().numpy(), value.float().numpy(), err_msg=name)
