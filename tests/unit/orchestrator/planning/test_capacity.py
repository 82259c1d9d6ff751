"""How many trials a cluster holds: node by node, fractions within a GPU, one CPU left over for reading."""

import pytest

from orchestrator.planning.capacity import slots, workers_on
from tune_spaces.schema import Resources
from workloads.errors import Kind, UserError


@pytest.mark.parametrize(
    ("resources", "nodes", "fits"),
    [
        ({}, [{"CPU": 3}], 2),
        ({"cpus_per_worker": 2}, [{"CPU": 3}, {"CPU": 3}], 2),  # by the sum it would be 2.5, on one node 1 each
        ({"cpus_per_worker": 2}, [{"CPU": 4}, {"CPU": 4}], 3),  # a full cluster would leave no CPU for reading
        ({"cpus_per_worker": 0.5}, [{"CPU": 3}], 4),
        ({"workers": 3}, [{"CPU": 3}, {"CPU": 3}, {"CPU": 3}], 2),
        ({"gpus_per_worker": 1}, [{"CPU": 0}, {"CPU": 8, "GPU": 4}], 4),
        ({"gpus_per_worker": 0.4}, [{"CPU": 8, "GPU": 1}, {"CPU": 8, "GPU": 1}], 4),  # two a GPU, and never 2.5
        ({"gpus_per_worker": 1 / 3}, [{"CPU": 8, "GPU": 1}], 3),
        ({"gpus_per_worker": 2}, [{"CPU": 8, "GPU": 3}, {"CPU": 8, "GPU": 3}], 2),
        ({"gpus_per_worker": 1, "cpus_per_worker": 4}, [{"CPU": 8, "GPU": 4}], 1),
    ],
)
def test_trials_that_fit_at_once(resources, nodes, fits):
    assert slots(Resources(**resources), nodes) == fits


def test_an_elastic_trial_needs_room_for_its_fewest_workers():
    elastic = {"workers": 4, "cpus_per_worker": 2, "share": "batches"}
    assert slots(Resources(**elastic, min_workers=1), [{"CPU": 3}]) == 1
    assert slots(Resources(**elastic, min_workers=1), [{"CPU": 17}]) == 2
    with pytest.raises(UserError, match="not even one trial"):
        slots(Resources(**elastic, min_workers=2), [{"CPU": 3}])


def test_nothing_that_is_counted_exceeds_a_node():
    for share in (0.1, 0.25, 0.3, 0.5, 0.7, 1):
        for gpus in (1, 2, 8):
            workers = workers_on({"CPU": 64, "GPU": gpus}, Resources(gpus_per_worker=share))
            assert workers <= gpus * int(1 / share + 1e-9)


def test_a_cluster_without_workers_yet_says_how_to_wait_for_them():
    with pytest.raises(UserError) as refused:
        slots(Resources(gpus_per_worker=1), [{"CPU": 0, "memory": 1e9}])
    assert "--slots" in refused.value.fix


def test_more_than_one_gpu_a_worker_must_be_whole():
    with pytest.raises(UserError, match=r"cannot have 1\.5 GPUs") as refused:
        slots(Resources(gpus_per_worker=1.5), [{"CPU": 8, "GPU": 8}])
    assert refused.value.kind == Kind.USAGE
