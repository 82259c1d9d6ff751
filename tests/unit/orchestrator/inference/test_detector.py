"""Decisions of a run's detector rest on normal images that neither trained nor chose it."""

import numpy as np
import pytest

import orchestrator
from orchestrator import UserError
from tests.helpers.files import write_images
from tests.helpers.launches import TINY_MLSAD
from tune_spaces.schema import Data, Space

OWN = "examples.own_method:Gaussian"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_images(folder, {"train/good": 60, "test/good": 9, "test/bad": 5}, (32, 32))
    return folder


def launched(photos, storage, **values):
    space = Space(data=Data(name="folder", path=str(photos), side=32, classes=("good",)), **values)
    return orchestrator.launch(space, storage=storage, name="run", executor="local")


def test_a_fit_in_one_go_scores_all_its_training_images_by_fits_without_them(photos, tmp_path):
    run = launched(photos, tmp_path, workload=OWN)
    assert run.state.space.data.calibration_fraction == 0
    table = run.scores(split="calibration")
    assert len(table) == 54, "60 less a tenth for validation"
    assert not any(table["anomalous"].to_pylist())
    detector = orchestrator.load(run, trust_code=True)
    assert sorted(detector.normals.scores) == sorted(table["score"].to_pylist())
    assert "fits without it" in detector.threshold(0.05).rests_on
    with pytest.raises(UserError, match="needs 99 held-out normal images, and there are 54"):
        detector.threshold(0.01)
    files = [photos / "test/good/000.png", photos / "test/bad/000.png"]
    made = detector.predict(files, 0.1)
    assert made.anomalous.tolist() == (made.p_values <= 0.1).tolist()
    assert made.scores.tolist() == detector.score(files).tolist()


def test_networks_on_an_own_folder_set_images_apart(photos, tmp_path):
    run = launched(photos, tmp_path, fixed=TINY_MLSAD)
    counts = run.state.opened.counts
    assert (counts["train"], counts["val"], counts["calibration"]) == (42, 6, 12)
    ids = {split: set(run.scores(split=split)["image_id"].to_pylist()) for split in ("val", "calibration", "test")}
    assert len(ids["calibration"]) == 12
    assert not ids["calibration"] & (ids["val"] | ids["test"])
    detector = orchestrator.load(run)
    assert detector.threshold(0.1).rests_on == "images set apart"
    by_hand = detector.score([photos / name for name in sorted(ids["calibration"])])
    assert sorted(by_hand) == pytest.approx(sorted(detector.normals.scores), rel=1e-5)


def test_a_published_dataset_sets_none_apart_and_its_normal_test_images_serve(tmp_path):
    options = {"preset": "smoke", "points": 1, "classes": ["3"], "config": {"levels": (1,)}}
    run = orchestrator.launch("sweep_digits", storage=tmp_path, executor="local", **options)
    assert "calibration" not in run.state.opened.counts
    detector = orchestrator.load(run)
    normals = run.scores(split="test").to_pandas().query("~anomalous")
    assert sorted(detector.normals.scores) == sorted(normals["score"].astype(np.float32))
    assert detector.threshold(0.1).rests_on == "normal test images"
