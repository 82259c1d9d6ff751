"""Photographs of surfaces with and without defects, made of the textures of a Debian package, with masks.

    apt-get download openarena-081-textures && dpkg -x openarena-081-textures_*.deb package
    unzip -q package/usr/share/games/openarena/baseoa/*.pk3 -d package
    python tests/benchmarks/surfaces.py package surfaces          # or: ... package surfaces --held-out

Makes surfaces/NAME/{train/good, test/good, test/DEFECT, ground_truth/DEFECT}. Every photograph is another square of 256
pixels of the texture, turned by any angle, scaled by up to 10 %, lit from another side and noisy, so that no place and
no brightness means anything. The textures (GPL-2+) and what is made of them are not committed.

Choices were made on the surfaces of `DEVELOPED`; `HELD_OUT` was left alone until docs/patch-memory.md's table.
"""

import argparse
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Floats = NDArray[np.float64]

DEVELOPED = {
    "mud": "acc_dm5/mud02.jpg",
    "sand": "acc_dm5/sand.jpg",
    "tech": "base_floor/metaltechfloor01final.jpg",
    "blue": "base_wall/bluemetal2.jpg",
    "tile": "clown/stone_tile.jpg",
    "concrete": "evil8_base/e8crete03.jpg",
    "blocks": "gothic_block/blocks9.jpg",
    "marble": "proto2/marble02b.jpg",
}
HELD_OUT = {
    "rust": "acc_dm5/rust.jpg",
    "rivets": "acc_dm3/rivets.jpg",
    "diamond": "base_floor/diamond2c.jpg",
    "weave": "base_wall/metalfloor_wall_12.jpg",
    "rock": "cosmo_block/rock01.jpg",
    "slabs": "gothic_floor/largerblock3b.jpg",
    "tin": "proto2/tin_floor02.jpg",
    "cliff": "stone/pjrock21.jpg",
}
SIDE = 256
COUNTS = {"train": 80, "good": 40, "defect": 15}
MARGIN = 24  # pixels between a defect's centre and the border


def photograph(texture: Floats, random: np.random.Generator) -> Floats:
    """A square of the texture (H, W, 3), which repeats, turned and scaled: (SIDE, SIDE, 3) in [0, 255]."""
    angle, scale = random.uniform(0, 2 * np.pi), random.uniform(0.9, 1.1)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = random.uniform(0, texture.shape[0], 2)
    channels = (
        ndimage.affine_transform(texture[..., c], turn, offset, (SIDE, SIDE), order=1, mode="grid-wrap")
        for c in range(3)
    )
    return np.stack(list(channels), -1)


def lit(image: Floats, random: np.random.Generator) -> NDArray[np.uint8]:
    """Light that falls off across the image, a camera's exposure, white balance and noise."""
    angle, fall = random.uniform(0, 2 * np.pi), random.uniform(0, 0.35)
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    light = 1 + fall * (np.cos(angle) * rows + np.sin(angle) * columns)
    exposed = image * light[..., None] * random.uniform(0.8, 1.2) * random.uniform(0.96, 1.04, 3)
    noise = random.normal(0, random.uniform(1, 4), image.shape)
    return np.clip(np.rint(exposed + noise), 0, 255).astype(np.uint8)


def centre(random: np.random.Generator) -> Floats:
    return random.uniform(MARGIN, SIDE - MARGIN, 2)


def blob(random: np.random.Generator, radius: float) -> Floats:
    """A round shape with an uneven edge, in [0, 1], (SIDE, SIDE)."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    middle, stretch = centre(random), random.uniform(0.7, 1.4)
    rough = ndimage.gaussian_filter(random.normal(size=(SIDE, SIDE)), radius / 2)
    distance = np.hypot((rows - middle[0]) * stretch, (columns - middle[1]) / stretch) / radius
    return np.clip((1 - distance + 0.25 * rough / rough.std()) * 3, 0, 1)


def scratch(image: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    """A thin bent line, lighter or darker than what it runs over."""
    angle, length, bend = random.uniform(0, 2 * np.pi), random.uniform(30, 90), random.uniform(-0.012, 0.012)
    steps = np.arange(0, length, 0.25)
    angles = angle + bend * steps
    points = centre(random)[:, None] + 0.25 * np.cumsum([np.sin(angles), np.cos(angles)], 1)
    inside = points[:, ((points >= 0) & (points < SIDE)).all(0)].astype(int)
    line = np.zeros((SIDE, SIDE))
    line[tuple(inside)] = 1
    width = random.uniform(0.6, 1.1)
    line = np.clip(ndimage.gaussian_filter(line, width) * width * 2.6, 0, 1)
    shade = random.choice([-1, 1]) * random.uniform(60, 110)
    return image + shade * line[..., None], line > 0.3


def stain(image: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    """A patch that is darker and of another tint, its structure still there."""
    shape = blob(random, random.uniform(9, 22))
    tint = 1 - random.uniform(0.3, 0.55) * random.uniform(0.4, 1, 3)
    return image * (1 + shape[..., None] * (tint - 1)), shape > 0.3


def dent(image: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    """A hollow: the structure is drawn together, and one side lies in its own shade."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(float)
    middle, radius = centre(random), random.uniform(9, 20)
    offsets = np.stack([rows - middle[0], columns - middle[1]])
    depth = np.exp(-((np.hypot(*offsets) / radius) ** 2))
    coordinates = np.stack([rows, columns]) + random.uniform(0.5, 0.8) * offsets * depth
    warped = [ndimage.map_coordinates(image[..., c], coordinates, order=1, mode="reflect") for c in range(3)]
    angle = random.uniform(0, 2 * np.pi)
    slope = (np.sin(angle) * offsets[0] + np.cos(angle) * offsets[1]) / radius * depth
    return np.stack(warped, -1) * (1 + random.uniform(0.5, 0.9) * slope[..., None]), depth > 0.3


def worn(image: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    """A spot whose fine structure is rubbed away."""
    shape = blob(random, random.uniform(10, 22))
    smooth = np.stack([ndimage.gaussian_filter(image[..., c], random.uniform(3, 5)) for c in range(3)], -1)
    return image + shape[..., None] * (smooth - image), shape > 0.3


DEFECTS = {"scratch": scratch, "stain": stain, "dent": dent, "worn": worn}


def write(folder: Path, number: int, image: NDArray[np.uint8], suffix: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / f"{number:03d}{suffix}.png")


def make_surface(file: Path, folder: Path) -> None:
    """All photographs of a surface; the same on every machine."""
    texture = np.asarray(Image.open(file).convert("RGB"), np.float64)
    random = np.random.default_rng(zlib.crc32(folder.name.encode()))
    for name, count in (("train/good", COUNTS["train"]), ("test/good", COUNTS["good"])):
        for number in range(count):
            write(folder / name, number, lit(photograph(texture, random), random))
    for name, defect in DEFECTS.items():
        for number in range(COUNTS["defect"]):
            image, mask = defect(photograph(texture, random), random)
            write(folder / "test" / name, number, lit(image, random))
            write(folder / "ground_truth" / name, number, mask.astype(np.uint8) * 255, "_mask")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("surfaces", type=Path)
    parser.add_argument("--held-out", action="store_true")
    arguments = parser.parse_args()
    for name, texture_file in (HELD_OUT if arguments.held_out else DEVELOPED).items():
        make_surface(arguments.package / "textures" / texture_file, arguments.surfaces / name)
