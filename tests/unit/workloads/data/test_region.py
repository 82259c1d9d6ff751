"""A region that is ignored of every image: whatever it shows, scores stay, and neither maps nor metrics look at it."""

import numpy as np
import pytest
from PIL import Image

import orchestrator
from tune_spaces.schema import Data, Space
from workloads.data.loaders.user_folder import read_folder
from workloads.data.reading.decode import UnreadableError, decode_windows
from workloads.data.reading.region import IGNORED, Region
from workloads.data.windows import Form
from workloads.errors import UserError
from workloads.portable import load_detector

SIDE = 24
SPACE = {"workload": "patch_memory", "fixed": {"features": "random", "model": "gaussian"}}


def noise(seed, height=SIDE, width=SIDE):
    return np.random.default_rng(seed).normal(120, 20, (height, width, 3)).clip(0, 255).astype(np.uint8)


def save(file, pixels):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def scribbled(pixels):
    """With something bright in the region."""
    pixels = pixels.copy()
    pixels[:6, :9] = 255
    return pixels


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Normal images whose region, the upper left, shows anything; spots in the middle of bad ones, and masks of them,
    which mark the region, too."""
    root = tmp_path_factory.mktemp("region") / "photos"
    for number in range(40):
        pixels = noise(number)
        pixels[:6, :9] = np.random.default_rng(number).integers(0, 256, (6, 9, 3))
        save(root / "train" / "good" / f"{number:02d}.png", pixels)
    for number in range(6):
        save(root / "test" / "good" / f"{number}.png", scribbled(noise(100 + number)))
        pixels, mask = noise(200 + number), np.zeros((SIDE, SIDE), np.uint8)
        pixels[12:16, 12:16] = 255
        mask[12:16, 12:16] = mask[:6, :9] = 255
        save(root / "test" / "bad" / f"{number}.png", pixels)
        save(root / "ground_truth" / "bad" / f"{number}_mask.png", mask)
    region = np.zeros((SIDE, SIDE), np.uint8)
    region[:6, :9] = 255
    save(root / "ignore.png", region)
    return root


@pytest.fixture(scope="module")
def run(photos):
    data = Data(name="folder", path=str(photos), side=16, classes=("good",))
    return orchestrator.launch(Space(data=data, **SPACE), storage=photos.parent / "runs", name="run", executor="local")


def test_a_region_is_read_back_from_its_text_and_black_in_images_of_its_size():
    ignored = np.random.default_rng(0).random((7, 13)) > 0.5
    region = Region.of(ignored)
    assert region.size == (7, 13)
    assert (Region(region.text).ignored == ignored).all()
    pixels = np.full((3, 7, 13), 9, np.uint8)
    assert (region.blackened(pixels) == np.where(ignored, 0, 9)).all()
    with pytest.raises(ValueError, match="7x13 pixels, and the region to ignore is of images of 13x7"):
        region.blackened(pixels.transpose(0, 2, 1))


def test_windows_are_black_where_the_region_lies_and_masks_say_so(photos):
    dataset = read_folder(photos, side=16, fit="tiles")
    assert dataset.region.ignored.sum() == 54
    first = [row for row, place in enumerate(dataset.test.windows.tolist()) if place[:2] == [0, 0]]
    assert (dataset.test.images[first][:, :, :6, :9] == 0).all()
    assert (dataset.masks[first][:, :6, :9] == IGNORED).all()
    assert (dataset.masks == 1).any()
    assert "9.4% of every image's pixels are ignored: ignore.png marks them" in dataset.remarks
    assert dataset.account.left_out == (), "the region's file is known"


def test_what_the_region_shows_moves_no_score_and_is_nan_in_maps(run, tmp_path):
    detector = orchestrator.load(run, device="cpu")
    pixels = noise(300)
    assert detector.score([pixels]).tolist() == detector.score([scribbled(pixels)]).tolist()
    (seen,) = detector.maps([scribbled(pixels)])
    assert np.isnan(seen).sum() == np.isnan(seen[:6, :9]).sum() == 54
    save(tmp_path / "new" / "a.png", scribbled(pixels))
    save(tmp_path / "new" / "b.png", noise(301, SIDE + 1))
    made = orchestrator.predict(
        run, tmp_path / "new", false_alarms=0.1, out=tmp_path / "a.csv", maps=tmp_path / "maps", device="cpu"
    )
    assert made.counts == {"normal": 1, "anomalous": 0, "unreadable": 1}
    assert "24x25 pixels, and the region to ignore is of images of 24x24" in made.account.left_out[0].names[0]
    shown = np.asarray(Image.open(tmp_path / "maps" / "a.png.overlay.png"))[:6, :9]
    assert (shown == shown[..., :1]).all(), "nothing is laid on the region"
    with pytest.raises(UserError, match="the region to ignore is of"):
        detector.score([noise(301, SIDE + 1)])


def test_pixel_metrics_do_not_look_at_it(run):
    """Masks mark the region, too: were it looked at, a third of what is anomalous would be found nowhere."""
    assert run.best.metric("pixel_auroc/good") > 0.95


def test_a_detector_takes_its_region_along(run, tmp_path):
    orchestrator.export(run, "mlflow", tmp_path / "model")
    (folder,) = (tmp_path / "model" / "artifacts").iterdir()
    assert load_detector(folder, "cpu").form == orchestrator.load(run, device="cpu").form
    assert "the region that the detector ignores made black before" in (tmp_path / "model" / "README.md").read_text()


def test_a_region_that_marks_nothing_or_cannot_be_read_is_refused(photos, tmp_path):
    save(tmp_path / "a" / "0.png", noise(0))
    save(tmp_path / "a" / "1.png", noise(1))
    save(tmp_path / "ignore.png", np.zeros((SIDE, SIDE), np.uint8))
    with pytest.raises(UserError, match="a region to ignore that cannot be used: it marks nothing"):
        read_folder(tmp_path, side=16)
    (tmp_path / "ignore.png").write_bytes(b"x")
    with pytest.raises(UserError, match="a region to ignore that cannot be used: UnidentifiedImageError"):
        read_folder(tmp_path, side=16)
    form = Form(16, 16, region=Region.of(np.ones((3, 3), np.bool_)))
    with pytest.raises(UnreadableError, match="of images of 3x3"):
        decode_windows(photos / "test" / "good" / "0.png", form)
