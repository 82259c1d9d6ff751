"""A launch on images with masks says how well the winner's maps agree with them: in ledger, MLflow and report alike."""

import mlflow
import numpy as np
import pytest
from PIL import Image

import orchestrator
from orchestrator.data.loading import load_splits
from orchestrator.results.tables import OTHER_METRICS
from tests.helpers.files import write_mask
from tune_spaces.schema import Data, Scheduler, Space
from tune_spaces.shared.presets import MLSAD_PRESETS
from workloads.scoring.metrics import pixel_auroc
from workloads.scoring.pixel_metrics import PixelMetrics

SIDE = 16
METHODS = {
    "mlsad": MLSAD_PRESETS["smoke"].config | {"levels": (1, 4)},
    "patch_memory": {"features": "random", "smoothing": 1.0},
}
NAMES = [f"pixel_{name}" for name in PixelMetrics._fields]


@pytest.fixture(scope="module", params=METHODS)
def run(request, tmp_path_factory):
    """Textures, half of the tested ones with a bright square and its mask."""
    root, rng = tmp_path_factory.mktemp("parts"), np.random.default_rng(0)
    folders = [("train/good", 16), ("test/good", 8), ("test/spot", 8)]
    for folder, count in folders:
        (root / "photos" / folder).mkdir(parents=True)
        for number in range(count):
            image = rng.integers(60, 120, (SIDE, SIDE, 3)).astype(np.uint8)
            mask = np.zeros((SIDE, SIDE), np.bool_)
            if folder == "test/spot":
                top, left = rng.integers(0, SIDE - 5, 2)
                mask[top : top + 5, left : left + 5] = True
                image[mask] = 250
                write_mask(root / "photos/ground_truth/spot" / f"{number:03d}_mask.png", mask)
            Image.fromarray(image).save(root / "photos" / folder / f"{number:03d}.png")
    data = Data(name="folder", path=str(root / "photos"), side=SIDE, classes=("good",))
    space = Space(workload=request.param, data=data, fixed=METHODS[request.param], scheduler=Scheduler(kind="fifo"))
    return orchestrator.launch(space, storage=root / "runs", executor="local")


def test_numbers_of_pixels_are_those_of_the_winners_maps(run):
    splits = load_splits(run.state.space.data, run.state.opened.data_dir)
    images, masks = splits.test_images("good")
    maps = orchestrator.load(run, "good").maps(list(images.images.transpose(0, 2, 3, 1)))
    numbers = run.best.last.numbers
    assert numbers["pixel_auroc/good"] == pytest.approx(pixel_auroc(np.stack(maps), masks), abs=1e-4)
    assert {numbers[f"{name}/mean"] for name in NAMES} == {numbers[f"{name}/good"] for name in NAMES}
    assert all(0 < numbers[f"{name}/good"] <= 1 for name in NAMES)


def test_mlflow_and_the_report_show_them(run):
    numbers, text = run.best.last.numbers, (run.paths.report / "report.md").read_text()
    client = mlflow.MlflowClient(f"sqlite:///{run.paths.root / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string=f"name = '{run.state.opened.name}'")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 2, "the sweep and its trial"
    for name in NAMES:
        assert {item.data.metrics[f"{name}/good"] for item in runs} == {numbers[f"{name}/good"]}
        assert f"| {OTHER_METRICS[name]} |" in text
