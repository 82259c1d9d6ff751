"""Maps of made defects in a real photograph's texture: the leaves of scikit-learn's picture of a pagoda.

One level keeps it to minutes. With coordinates drawn from all of [-1, 1] the map is bright along the borders.
"""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from orchestrator.record.paths import RunPaths
from tests.helpers.launches import request_for, run

pytestmark = pytest.mark.slow

SIDE = 32
# rows and columns of the photograph that hold nothing but leaves; trained on the left, tested on the right
LEAVES = (slice(320, 427), slice(390, 570))
ROOF = (slice(258, 276), slice(190, 280))  # where defects are cut from

SPACE = """
from tune_spaces.shared.presets import MLSAD_PRESETS
from tune_spaces.schema import Data, Scheduler, Space

SPACE = Space(
    data=Data(name="folder", path="{path}", side=32, classes=("good",)),
    fixed=MLSAD_PRESETS["reduced"].config
    | {{"generator_epochs": 8.0, "detector_epochs": 8.0, "crop": 24, "levels": (8,)}},
    scheduler=Scheduler(kind="fifo"),
    analyses=("maps",),
)
"""


def squares(area, count, side, rng):
    """Random squares of an area (H, W, 3)."""
    for _ in range(count):
        top, left = (rng.integers(0, size - side + 1) for size in area.shape[:2])
        yield area[top : top + side, left : left + side].copy()


def save(folder, name, image):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / f"{name}.png")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """MVTec's layout: train/good, test/good, test/patch and ground_truth/patch."""
    root, rng = tmp_path_factory.mktemp("leaves"), np.random.default_rng(0)
    photograph = load_sample_image("china.jpg")
    leaves, roof = photograph[LEAVES], photograph[ROOF]
    half = leaves.shape[1] // 2
    for i, image in enumerate(squares(leaves[:, :half], 300, SIDE, rng)):
        save(root / "train" / "good", f"{i:03d}", image)
    for i, image in enumerate(squares(leaves[:, half:], 40, SIDE, rng)):
        save(root / "test" / "good", f"{i:03d}", image)
    for i, image in enumerate(squares(leaves[:, half:], 40, SIDE, rng)):
        size = int(rng.integers(6, 13))
        top, left = rng.integers(0, SIDE - size, 2)
        (patch,) = squares(roof, 1, size, rng)
        image[top : top + size, left : left + size] = patch
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[top : top + size, left : left + size] = 255
        save(root / "test" / "patch", f"{i:03d}", image)
        save(root / "ground_truth" / "patch", f"{i:03d}_mask", mask)
    return root


def test_maps_point_at_the_defects(storage, photographs, tmp_path):
    (tmp_path / "leaves.py").write_text(SPACE.format(path=photographs))
    code, text = run(request_for(storage, tmp_path / "leaves.py", name="leaves", executor="local", preset=None))
    assert code == 0, text
    found = json.loads(RunPaths(str(storage), "leaves").analysis("maps", "good").read_text())
    print(found["numbers"], text[-1500:])
    assert found["numbers"]["pixel_auroc"] > 0.85
