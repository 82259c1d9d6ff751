"""Every string that a seed is made of, and the seed, are as pinned: seed_strings.json.

The code that draws is run, and what it hashes is overheard, so that a new name at any place of use is seen. Whoever
renames what a seed is made of changes every number made with it. `python tests/unit/test_seed_strings.py` writes the
table anew, for seeds that are meant to change.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))  # where this file is run as a program

from PIL import Image

from orchestrator.data.auxiliary.contact_sheet import some_images
from orchestrator.data.auxiliary.manifest import Manifest, ShardLayout
from orchestrator.data.auxiliary.order import order_of
from orchestrator.data.auxiliary.prepare import with_held_out
from orchestrator.data.auxiliary.shards import write_shard
from orchestrator.data.auxiliary.sources import open_source
from tests.helpers.files import flat_file, pixels
from tests.helpers.streams import row_at
from workloads.analyses import analyse
from workloads.data.auxiliary import Source, auxiliary_images
from workloads.data.datasets import load
from workloads.data.in_out import in_out
from workloads.data.out_sets import out_sets
from workloads.data.protocols import one_class
from workloads.data.view import TargetView
from workloads.flows.config import FlowConfig
from workloads.flows.method import Flows
from workloads.klods.calibration import sets, survey
from workloads.klods.flow_config import KlodsFlowConfig
from workloads.klods.groups import form
from workloads.klods.method import Klods
from workloads.learner import Fitted
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.method import MLSAD
from workloads.training import batches, seeds
from workloads.training.batches import batch_rows, order_seed
from workloads.training.distributed import Parallel
from workloads.units import ImageShape

TABLE = Path(__file__).with_name("seed_strings.json")

FLOW = {"scales": 2, "steps": 1, "hidden": 4, "batch_size": 8, "init_batches": 1, "epochs": 1}
MLSAD_CONFIG = MLSADConfig(
    width=0.0625, levels=(1, 2, 4), batch_size=8, generator_batch_size=8, bank_size=8, quality_steps=1, fooling_steps=1
)
FLOW_CONFIG = FlowConfig(**FLOW, general_batch_size=8, general_epochs=1, outlier_loss="ratio", supervised=True)
KLODS_CONFIG = KlodsFlowConfig(**FLOW, group_sizes=(1, 5), contamination=0.4, directions=2)


def images(count: int, seed: int = 1) -> Tensor:
    """Random grey images, uint8 (count, 1, 16, 16)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 1, 16, 16), generator=generator, dtype=torch.uint8)


def steps(learner: Any, seed: int, unit: Any, train: Tensor, count: int = 2) -> None:
    """Train as a worker does."""
    for step in range(count):
        learner.step(step, train[batch_rows(order_seed(seed, unit), step, learner.batch_size, len(train))])


def trained_by(method: Any, view: TargetView) -> tuple[TargetView, Fitted]:
    """Stages and detectors of class "3" after two steps each; detectors' proxies are scored on the way."""
    artifacts, states = {}, {}
    for unit in method.stages(["3"]):
        of_unit = view if unit.target == "3" else TargetView(unit.target, *view.auxiliary)
        learner = method.learner(unit, of_unit, {}, Parallel())
        steps(learner, method.config.seed, unit, of_unit.train)
        artifacts[str(unit)] = learner.artifact()
    for unit in method.units(["3"]):
        learner = method.learner(unit, view, artifacts, Parallel())
        steps(learner, method.config.seed, unit, view.train)
        learner.contrast()
        states[str(unit)] = learner.state()
    tests = {"test": images(40, 5), "anomalous": np.arange(40) % 2 == 1, "out": {"noise": images(10, 6)}}
    return replace(view, **tests), Fitted(artifacts, states)


def mlsad(_: Path) -> None:
    method = MLSAD(MLSAD_CONFIG)
    trained = trained_by(method, TargetView("3", images(20), images(8, 2)))
    for name in method.analyses:
        analyse(method, name, *trained)


def flow(_: Path) -> None:
    method = Flows(FLOW_CONFIG)
    auxiliary = (images(16, 3), images(8, 4))
    labels = torch.arange(20) % 2
    view = TargetView("3", images(20), images(8, 2), labels=labels, classes=("a", "b"), auxiliary=auxiliary)
    trained = trained_by(method, view)
    for name in method.analyses:
        analyse(method, name, *trained)


def klods(_: Path) -> None:
    method = Klods(KLODS_CONFIG)
    view, fitted = trained_by(method, TargetView("3", images(20), images(10, 2)))
    for name in method.analyses:
        analyse(method, name, view, fitted)
    (unit,) = method.units(["3"])
    learner = method.learner(unit, view, fitted.artifacts, Parallel())
    learner.step(0, view.train)
    learner.score_groups(view.val, images(20, 7), {"test": images(20, 8), "out/noise": images(10, 9)})
    form(20, 10, 5, seed=0, name="svhn.npz", contamination=0.4)  # as `latents score` and `latents select` do
    train, held_out, anomalies = ([images(count).float()] for count in (20, 10, 11))
    survey(KLODS_CONFIG, 5, sets(KLODS_CONFIG, train, held_out, anomalies), splits=())


def data(folder: Path) -> None:
    digits = load("digits", folder, seed=0)
    one_class(digits, side=16, val_fraction=0.1, max_train_images=20, classes=["3", "8"], seed=0)
    in_out(digits, side=16, max_train_images=20, seed=0)
    out_sets(["noise", "digits"], folder, shape=ImageShape(1, 16, 16), max_images=5, seed=0)
    sources = [Source("photo_tiles", max_images=10), Source("digits", max_images=10)]
    auxiliary_images(sources, folder, shape=ImageShape(1, 16, 16))
    for name in ("lgg/a_t1_80.png", "valid/d_t1_3.png"):
        (folder / "brats" / name).parent.mkdir(parents=True)
        Image.fromarray(pixels(48, 40)).save(folder / "brats" / name)
    load("brats", folder, side=32)


def prepared(folder: Path) -> None:
    """A prepared auxiliary set: what is held out, the order of its stream, its contact sheet."""
    file, _ = flat_file(folder, 300)
    source = open_source("tiny_images", str(file), side=32, choose="all")
    pieces = with_held_out(source.pieces(128), 0.3)
    layout = ShardLayout(channels=3, side=32, group_rows=10, shard_images=128)
    shards = [write_shard(str(folder), layout, None, piece, source.read(piece, 10)) for piece in pieces]
    some_images(Manifest(str(folder), {"layout": vars(layout)}, tuple(shards)), 9, seed=3)
    order = order_of([4, 4, 4, 2], image_bytes=3072, seed=7, batch=2, pool_bytes=6 * 3072)
    for position in range(2 * order.images):
        row_at(order, position)


CASES: dict[str, Callable[[Path], None]] = {
    "mlsad": mlsad,
    "flow": flow,
    "klods": klods,
    "data": data,
    "prepared": prepared,
}


@contextmanager
def overheard() -> Iterator[set[str]]:
    """What is hashed to seeds while the block runs."""
    heard: set[str] = set()

    class Listening:
        @staticmethod
        def sha256(content: bytes) -> Any:
            heard.add(content.decode())
            return hashlib.sha256(content)

    batches.epoch_order.cache_clear()  # what another test drew is not drawn again
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seeds, "hashlib", Listening)
        yield heard


def table_of(case: str, folder: Path) -> dict[str, int]:
    """Strings, the parts of each with " | " between them -> the seed."""
    torch.set_num_threads(1)
    with overheard() as heard:
        CASES[case](folder)
    return {text.replace("\x1f", " | "): seeds.derive_seed(*text.split("\x1f")) for text in sorted(heard)}


@pytest.mark.parametrize("case", CASES)
def test_seeds_are_made_of_the_pinned_strings(case, tmp_path):
    assert table_of(case, tmp_path) == json.loads(TABLE.read_text())[case]


def write_table() -> None:
    tables = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            tables[case] = table_of(case, Path(folder))
    TABLE.write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    write_table()
