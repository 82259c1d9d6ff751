"""A user's own folder from the plan to the report: what was not used of it is said in each place."""

import json

import numpy as np
import pytest
from rich.console import Console

import orchestrator
from orchestrator.console.terminal import Terminal
from orchestrator.record.ledger import read_events
from orchestrator.record.paths import RunPaths
from tests.helpers.files import write_classes, write_image
from tune_spaces.schema import Data, Space
from tune_spaces.shared.presets import MLSAD_PRESETS
from workloads.errors import UserError


def space_on(folder, **data):
    return Space(
        data=Data(name="folder", path=str(folder), side=16, classes=("good",), **data),
        axes={"noise": (0.0,)},
        presets=MLSAD_PRESETS,
        preset="smoke",
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """40 good images to learn from, one of them broken, 10 good and 10 scratched ones to test, and other files."""
    root = tmp_path_factory.mktemp("photos")
    write_classes(root / "train", classes=("good",), count=40)
    write_classes(root / "test", classes=("good", "scratch"), count=10)
    (root / "train" / "good" / "000.png").write_bytes(b"no image")
    (root / "train" / "good" / "IMG_1.heic").write_bytes(b"x")
    write_image(root / "old" / "a.png")
    return root


def test_the_plan_counts_the_folder_and_says_what_it_leaves_out(photos, tmp_path):
    out = Console(record=True, width=200, color_system=None, file=open("/dev/null", "w"))  # noqa: SIM115
    orchestrator.plan(space_on(photos), storage=tmp_path, observer=Terminal(out))
    text = out.export_text()
    assert "about 56 training windows a class" in text  # 40 images, a tenth and a fifth held out, two windows each
    assert "about 120 of 16x16, 2.0 an image: 0 MB of pixels, twice that while they are read" in text
    assert "train/good 40 (1 other files), test/good 10, test/scratch 10" in text
    assert "1 beside the class folders: old/a.png" in text
    assert "1 image formats that are not read: convert them to PNG or JPEG: train/good/IMG_1.heic" in text


def test_the_plan_refuses_what_a_launch_would(photos, tmp_path):
    with pytest.raises(UserError, match=r"no class folder 'gut'"):
        orchestrator.plan(space_on(photos, names={"gut": "good"}), storage=tmp_path)


def test_ledger_and_report_say_what_was_left_out(photos, tmp_path):
    run = orchestrator.launch(space_on(photos), storage=tmp_path, name="own", executor="local")
    opened, *_ = read_events(RunPaths(str(tmp_path), "own"))
    assert opened.account.used == 59
    assert opened.account.folders["train/good"] == (39, 2)
    assert {item.reason.partition(":")[0]: item.count for item in opened.account.left_out} == {
        "image formats that are not read": 1,
        "beside the class folders": 1,
        "cannot be read": 1,
    }
    report = (tmp_path / run.name / "report" / "report.md").read_text()
    assert "## What was left out of the data\n\n59 images of the folder are used, 3 other files are not." in report
    assert "| beside the class folders | 1 | old/a.png |" in report
    assert "| train/good | 39 | 2 |" in report
    assert json.loads((tmp_path / run.name / "report" / "report.json").read_text())["account"]["used"] == 59
    # every image is two windows: tables and counts are of images, and the detector reads as the run did
    counts = opened.counts
    assert (sum(counts[split] for split in ("train", "val", "calibration")), counts["test"]) == (39, 20)
    assert "20 test images are 40 windows of 16 x 16 pixels" in opened.remarks
    scores = run.scores(split="test")
    assert len(scores) == len(set(scores["image_id"].to_pylist())) == 20
    detector = orchestrator.load(run)
    assert detector.fit == "tiles"
    again = detector.score([photos / name for name in scores["image_id"].to_pylist()])
    np.testing.assert_allclose(again, scores["score"].to_numpy(), rtol=1e-5)
