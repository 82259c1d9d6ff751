"""Large sets: what a process has read for its last work serves the next, where that needs the same."""

from dataclasses import replace
from types import SimpleNamespace

from orchestrator.execution.on_ray.images import SharedImages
from orchestrator.execution.work.worker import UnitWork
from tests.helpers.works import made_stage
from workloads.units import Unit


def stage(kind, target):
    return replace(made_stage("s").work, stage=UnitWork(Unit(kind, target, "level_2"), {}))


def test_shards_are_read_once_for_work_on_the_same_targets():
    manifest = SimpleNamespace(shape=None, counts=None, targets=SimpleNamespace(names=("3", "4")), streamed=None)
    images = SharedImages(None, manifest)
    first = images.of(stage("generator", "3"))
    assert images.of(stage("generator", "3")) is first
    other = images.of(stage("generator", "4"))
    assert other is not first
    assert images.of(stage("generator", "3")) is not first  # it was let go: both are never held
