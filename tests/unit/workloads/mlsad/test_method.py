"""MLSAD as a workload: which networks a class needs."""

from dataclasses import replace

from tune_spaces.shared.mlsad_spaces import PUBLISHED_GRID
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.method import MLSAD
from workloads.units import DataFacts, ImageShape, Unit


def test_a_class_needs_three_generators_and_five_detectors() -> None:
    method = MLSAD(MLSADConfig())
    assert [str(u) for u in method.stages(["a"])] == [f"generator/a/level_{k}" for k in (2, 4, 8)]
    assert [str(u) for u in method.units(["a"])] == [f"detector/a/level_{k}" for k in (1, 2, 4, 8, 16)]
    assert len(method.units(["a", "b"])) == 10
    assert method.needs(Unit("detector", "b", "level_1")) == method.stages(["b"])
    assert MLSAD(replace(method.config, levels=(1, 2))).stages(["a"]) == []


def test_images_that_are_no_squares_are_a_problem_and_no_crash() -> None:
    (problem,) = MLSAD(MLSADConfig()).check(DataFacts(ImageShape(3, 32, 64)))
    assert problem == ("data.side", "needs square images, found 32 x 64")


def test_all_points_of_the_published_grid_share_their_generators() -> None:
    base, unit = MLSAD(MLSADConfig()), Unit("generator", "3", "level_4")
    for key, values in PUBLISHED_GRID.items():
        for value in values:
            assert MLSAD(replace(base.config, **{key: value})).stage_config(unit) == base.stage_config(unit)
    assert MLSAD(replace(base.config, seed=1)).stage_config(unit) != base.stage_config(unit)
