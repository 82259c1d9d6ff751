"""Spaces say what will run: sizes, order, presets; and everything that is wrong with one, at once."""

import itertools
import random
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tune_spaces.schema.data import Data
from tune_spaces.schema.load import load
from tune_spaces.schema.models import Resources, Scheduler, Search, Space, resolve, stored
from tune_spaces.schema.validation import from_validation
from tune_spaces.shared.mlsad_spaces import PUBLISHED_GRID
from workloads.errors import UserError

ROOT = Path(__file__).parents[4]


FLOW: dict[str, Any] = {
    "workload": "flow",
    "data": {"name": "cifar10", "protocol": "in_out", "out": ["svhn"], "auxiliary": [{"name": "photo_tiles"}]},
}


def space(**changes: Any) -> Space:
    values: dict[str, Any] = {"data": {"name": "cifar10"}, "axes": PUBLISHED_GRID, "search": {"kind": "grid"}}
    return Space.model_validate(values | changes)


def problems(**values: Any) -> dict[str, str]:
    """Key -> message of everything wrong with a space of these values."""
    with pytest.raises(ValidationError) as caught:
        Space.model_validate(values)
    return {problem.key: problem.message for problem in from_validation(caught.value, Space)}


# --- points and rungs


def test_the_published_grid_has_864_points_in_8_buckets_of_108() -> None:
    grid = space()
    points = grid.points()
    assert len(points) == grid.size() == 864
    assert len({tuple(sorted(p.items())) for p in points}) == 864
    buckets = Counter((p["batch_size"], p["blocks"]) for p in points)
    assert len(buckets) == 8
    assert set(buckets.values()) == {108}
    assert all(grid.config(p).batch_size == p["batch_size"] for p in points)


def test_the_first_random_points_stay_the_first_when_more_are_asked_for() -> None:
    many = space(search={"points": 864}).points()
    assert space(search={"points": 32}).points() == many[:32]
    assert sorted(map(repr, many)) == sorted(map(repr, space().points()))
    assert space(search={"points": 32, "seed": 1}).points() != many[:32]


def test_a_random_search_draws_from_a_large_product_without_making_it() -> None:
    """Of any product it draws what `random.sample` of all of it does."""
    axes = {"blocks": (1, 2), "batch_size": (8, 16, 32), "detector_lr": (0.1, 0.2, 0.3, 0.4, 0.5)}
    grid = list(itertools.product(*axes.values()))
    for seed in range(5):
        expected = random.Random(seed).sample(grid, len(grid))
        points = space(axes=axes, search={"points": 7, "seed": seed}).points()
        assert [tuple(point.values()) for point in points] == expected[:7]
        assert all(list(point) == list(axes) for point in points)
    keys = ("noise", "detector_lr", "generator_lr", "discriminator_lr", "statistics_lr", "lambda_entropy")
    many = space(axes={key: tuple(0.001 * n for n in range(1, 51)) for key in keys}, search={"points": 32})
    assert many.size() == 50**6
    tracemalloc.start()
    points = many.points()
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert len({tuple(point.values()) for point in points}) == 32


def endless() -> Iterator[int]:
    yield from itertools.count(1)


@pytest.mark.parametrize("values", [range(10**9), endless(), list(range(1, 10_002))], ids=["range", "endless", "list"])
def test_an_axis_that_is_too_long_is_refused_before_it_is_made(values: Any) -> None:
    with pytest.raises(ValueError, match="has more than 10,000 values"):
        space(axes={"batch_size": values})


def test_a_grid_of_too_many_trials_is_refused_and_a_random_part_of_it_is_not() -> None:
    axes = {key: tuple(0.001 * n for n in range(1, 51)) for key in ("noise", "detector_lr", "generator_lr")}
    with pytest.raises(ValueError, match="125,000 trials are more than 100,000"):
        space(axes=axes, search={"kind": "grid"})
    assert len(space(axes=axes, search={"kind": "random", "points": 3}).points()) == 3


@pytest.mark.parametrize(
    ("key", "values", "read"),
    [("noise", (0, 0.1, 0.0), "0 and 0.0"), ("batch_size", (16, "16"), "16 and '16'"), ("noise", (1e-1, "0.1"), "0.1")],
)
def test_equal_values_written_differently_are_refused(key: str, values: tuple[Any, ...], read: str) -> None:
    with pytest.raises(ValueError, match="are one value") as refused:
        space(axes={key: values})
    assert key in str(refused.value)
    assert read in str(refused.value)


def test_no_more_random_points_than_there_are() -> None:
    assert len(space(axes={"blocks": (1, 2)}, search={"points": 32}).points()) == 2


def test_a_space_without_axes_is_one_point() -> None:
    assert space(axes={}).points() == [{}]
    assert space(axes={}, search={"points": 5}).points() == [{}]


@pytest.mark.parametrize(
    ("first", "eta", "rungs"),
    [
        (0.04, 3, [40, 120, 360, 1000]),
        (0.34, 3, [340, 1000]),
        (0.5, 3, [500, 1000]),
        (1.0, 3, [1000]),
        (1 / 9, 3, [111, 333, 1000]),
        (0.25, 2, [250, 500, 1000]),
    ],
)
def test_rungs_rise_by_eta_from_the_first_to_the_end(first, eta, rungs) -> None:
    assert Scheduler(first_rung=first, eta=eta).rungs() == rungs


@pytest.mark.parametrize("first", [1e-6, 1e-4, 0.001, 0.0123, 0.3, 0.999, 0.99999])
def test_rungs_are_distinct_and_end_at_the_whole_schedule(first) -> None:
    rungs = Scheduler(first_rung=first).rungs()
    assert rungs[-1] == 1000
    assert all(0 < a < b for a, b in itertools.pairwise(rungs))


# --- presets


def test_a_preset_is_written_into_the_keys_but_axes_win() -> None:
    chosen = space(
        axes={"detector_epochs": (0.5, 1.0)},
        fixed={"seed": 3},
        presets={
            "smoke": {
                "config": {"detector_epochs": 0.25, "bank_size": 64},
                "points": 1,
                "first_rung": 0.5,
                "max_train_images": 64,
                "max_out_images": 32,
                "classes": ("cat",),
            }
        },
        preset="smoke",
    )
    actual = resolve(chosen)
    assert actual.data.max_out_images == 32
    assert (actual.search.points, actual.scheduler.first_rung, actual.data.max_train_images) == (1, 0.5, 64)
    assert actual.data.classes == ("cat",)
    assert [actual.config(p).detector_epochs for p in actual.points()] == [0.5, 1.0]
    assert (actual.config({}).bank_size, actual.config({}).seed) == (64, 3)
    assert resolve(actual) == actual
    assert resolve(space()).model_copy(update={"presets": {}}) == space()


# --- errors


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"workers": 2, "min_workers": 3, "share": "batches"}, "must be at most workers, 2"),
        ({"workers": 4, "min_workers": 2}, "needs share 'batches'"),
    ],
)
def test_elastic_workers_are_fewer_and_share_batches(resources, message) -> None:
    assert message in problems(data={"name": "digits", "side": 16}, resources=resources)["resources.min_workers"]


def test_every_count_of_elastic_workers_must_be_able_to_share_a_batch() -> None:
    elastic = {"workers": 4, "min_workers": 1, "share": "batches"}
    actual = problems(data={"name": "digits", "side": 16}, fixed={"batch_size": 8}, resources=elastic)
    assert "by 3 workers" in actual["batch_size"]


def test_everything_wrong_is_said_at_once_with_its_key_and_the_nearest_name() -> None:
    actual = problems(
        workload="mlsad",
        data={"name": "cifar", "side": 4, "clases": ["cat"]},
        fixed={"widht": 0.5, "dropout": 1.5},
        axes={"noise": (0.0, "loud"), "bloks": (1, 2), "weight_decay": (), "batch_size": (8, 8)},
        scheduler={"kind": "hyperband"},
        presets={"smoke": {"config": {"detector_epoch": 1}}},
        selectby="oracle",
    )
    expected = {
        "data.name": "did you mean 'cifar10'?",
        "data.side": "greater than or equal to 8, found 4",
        "data.clases": "no such key; did you mean 'classes'?",
        "fixed.widht": "did you mean 'width'?",
        "fixed.dropout": "must be in [0, 1), found 1.5",
        "axes.noise": "found 'loud'",
        "axes.bloks": "did you mean 'blocks'?",
        "axes.weight_decay": "has no values",
        "axes.batch_size": "has a value twice",
        "scheduler.kind": "found 'hyperband', expected 'asha' or 'fifo'",
        "presets.smoke.config.detector_epoch": "did you mean 'detector_epochs'?",
        "selectby": "did you mean 'select_by'?",
    }
    assert actual.keys() == expected.keys()
    for key, message in expected.items():
        assert message in actual[key], key


@pytest.mark.parametrize(
    ("values", "key", "message"),
    [
        ({"workload": "mlsda"}, "workload", "did you mean 'mlsad'?"),
        ({"data": {"name": "cifar10", "classes": ["cats"]}}, "data.classes", "did you mean 'cat'?"),
        ({"data": {"name": "folder"}}, "data.path", "needs the path"),
        ({"data": {"name": "mnist", "path": "x"}}, "data.path", "takes a path, not 'mnist'"),
        ({"data": {"name": "digits", "out": ["nois"]}}, "data.out", "did you mean 'noise'?"),
        ({"data": {"name": "cifar10", "out": ["cifar10"]}}, "data.out", "cannot be an out set of cifar10"),
        ({"data": {"name": "cifar10", "out": ["folder"]}}, "data.out", "'folder' cannot be an out set"),
        ({"data": {"name": "cifar10", "out": ["noise", "noise"]}}, "data.out", "names a set twice"),
        ({"data": {"name": "cifar10", "max_out_images": 0}}, "data.max_out_images", "found 0"),
        ({"data": {"name": "mnist", "side": 24}}, "data.side", "power of two from 8 on, found 24"),
        ({"data": {"name": "mnist", "side": 8}}, "data.side", "level 16 needs images of at least"),
        ({"fixed": {"weight_decay": float("nan")}}, "fixed.weight_decay", "finite number, found nan"),
        ({"fixed": {"detector_lr": float("inf")}}, "fixed.detector_lr", "finite number, found inf"),
        ({"data": {"name": "digits", "classes": ["3", "3"]}}, "data.classes", "names a class twice"),
        ({"analyses": ["map"]}, "analyses", "did you mean 'maps'?"),
        ({"fixed": {"crop": -1}}, "fixed.crop", "0 or above, found -1"),
        ({"fixed": {"crop": 16}}, "crop", "above the largest level, 16, found 16"),
        ({"fixed": {"crop": 33}}, "crop", "at most the images' side, 32, found 33"),
        ({"fixed": {"map_levels": (4, 2)}}, "fixed.map_levels", "distinct levels among"),
        ({"fixed": {"levels": (1, 2), "map_levels": (2, 4)}}, "map_levels", "[4] are not among `levels`, [1, 2]"),
        ({"fixed": {"pooling": "median"}}, "fixed.pooling", "'mean', 'max'"),
        ({"fixed": {"blocks": 1}, "axes": {"blocks": (1, 2)}}, "axes.blocks", "in both `fixed` and `axes`"),
        ({"presets": {"paper": {}}, "preset": "smoke"}, "preset", "not among the presets paper"),
        ({"fixed": {"__pydantic_config__": {}}}, "fixed.__pydantic_config__", "no such key"),
        ({"presets": {"tiny": {}}}, "presets.tiny", "found 'tiny'"),
        ({"fixed": {"levels": (2, 1)}}, "fixed.levels", "distinct levels"),
        ({"resources": {"workers": 0}}, "resources.workers", "found 0"),
        (FLOW | {"fixed": {"hierarchy": "none", "from_general": False, "score": "likelihood"}}, "select_by", "general"),
        (FLOW | {"data": FLOW["data"] | {"name": "brats"}, "fixed": {"supervised": True}}, "supervised", "have one"),
        (FLOW | {"select_by": "oracle"}, "scheduler.kind", "use 'fifo'"),
        (
            FLOW | {"select_by": "oracle", "data": FLOW["data"] | {"name": "folder", "path": "photographs"}},
            "scheduler.kind",
            "use 'fifo'",
        ),
    ],
)
def test_what_does_not_fit_names_its_key(values, key, message) -> None:
    actual = problems(**({"data": {"name": "mnist"}} | values))
    assert any(k.startswith(key) and message in m for k, m in actual.items()), actual


def test_a_folder_is_read_whole_and_one_of_an_earlier_version_as_it_was() -> None:
    folder = space(data={"name": "folder", "path": "photos"})
    assert resolve(folder).data.fit == "tiles"
    assert resolve(space(data={"name": "folder", "path": "photos", "fit": "pad"})).data.fit == "pad"
    assert resolve(space(data={"name": "cifar10"})).data.fit is None
    values = resolve(folder).model_dump(mode="json")
    assert stored(values).data.fit == "tiles"
    assert (stored(values).data.copies, stored(values).data.white_level) == ("leave_out", None)
    for key in ("fit", "copies", "white_level"):
        del values["data"][key]
    earlier = stored(values).data
    assert (earlier.fit, earlier.copies, earlier.white_level) == ("crop", "keep", 65535)


def test_no_space_is_changed_after_it_was_checked() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        space().preset = "smoke"  # type: ignore[misc]


# --- a user's own file

GOOD = '''"""Mine."""
from tune_spaces.schema import Data, Space
SPACE = Space(data=Data(name="digits", side=16), axes={"blocks": (1, 2)})
'''


def written(folder: Path, text: str) -> str:
    (folder / "mine.py").write_text(text)
    return str(folder / "mine.py")


def test_a_users_space_file_loads(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, GOOD))
    assert (loaded.name, loaded.doc, loaded.space.size()) == ("mine", "Mine.", 2)
    assert loaded.source == tmp_path / "mine.py"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SPACE = (", "SyntaxError"),
        ("x = 1", "must define SPACE = Space"),
        ("SPACE = {'data': 1}", "must define SPACE = Space"),
        ("import no_such_module", "no_such_module"),
        ("1 / 0", "ZeroDivisionError"),
        (GOOD.replace("blocks", "bloks"), "axes.bloks: no such key of mlsad; did you mean 'blocks'?"),
        (GOOD.replace("digits", "digit"), "data.name: no such dataset; did you mean 'digits'?"),
        (GOOD.replace("side=16", "size=16"), "data.size: no such key; did you mean 'side'?"),
    ],
)
def test_a_broken_space_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load(path)
    assert path in caught.value.headline
    assert message in str(caught.value)


def test_an_unknown_space_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'sweep_cifar10'"):
        load("sweep_cifar")
    with pytest.raises(UserError, match="no file"):
        load(str(tmp_path / "none.py"))


def test_loading_a_space_imports_neither_torch_nor_ray() -> None:
    code = """
import sys
from tune_spaces.schema.load import SPACES, load
from tune_spaces.schema.models import resolve
for name in SPACES:
    resolve(load(name).space)
print(*{"torch", "torchvision", "ray", "mlflow"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_defaults_are_one_worker_on_one_cpu() -> None:
    assert Space(data=Data(name="digits")).resources == Resources(workers=1, cpus_per_worker=1, gpus_per_worker=0)
    assert Space(data=Data(name="digits")).search == Search(kind="random", points=32, seed=0)


def test_a_space_file_reports_the_errors_of_all_its_parts_at_once(tmp_path: Path) -> None:
    text = (
        "from tune_spaces.schema import *\n"
        "SPACE = Space(data=Data(nam='digits', side=7), axes={'nois': (1,)}, search=Search(kind='grd'),\n"
        "              presets={'paper': Preset(pints=3)}, resources=Resources(workers=0))\n"
    )
    with pytest.raises(UserError) as caught:
        load(written(tmp_path, text))
    keys = {p.key for p in caught.value.problems}
    assert {"data.nam", "data.side", "axes.nois", "search.kind", "presets.paper.pints", "resources.workers"} <= keys
