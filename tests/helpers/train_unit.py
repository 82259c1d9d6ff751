"""train_unit.py METHOD CONFIG FOLDER UNIT...: train and score units, each in a process of its own, and print which
modules of the project that took.

METHOD: package.module:Class. CONFIG: JSON. UNIT: kind/target/part. FOLDER: artifacts of stages, by unit; a stage
leaves its own there. A unit's line is {"before": modules once the method was there, "after": at the end}. The processes
are forks of this one, which has torch and what only numbers are computed with, and nothing of the project.
"""

import json
import os
import pkgutil
import sys
from pathlib import Path

import torch
import torch._dynamo


def ours():
    return sorted(name for name in sys.modules if name.partition(".")[0] == "workloads")


def images(count, seed):
    return torch.randint(256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def view_of(target):
    from workloads.data.view import TargetView

    many = (images(24, 3), images(8, 4))
    return TargetView(
        target,
        train=images(24, 1),
        val=images(12, 2),
        test=images(24, 5),
        labels=torch.zeros(24, dtype=torch.int64),
        classes=(target,),
        ids={"val": [f"v{n}" for n in range(12)], "test": [f"t{n}" for n in range(24)]},
        class_names={"val": ["3"] * 12, "test": ["3"] * 12 + ["8"] * 12},
        anomalous=torch.arange(24).numpy() >= 12,
        auxiliary=many,
    )


def main(method_type, config, unit, folder):
    from workloads.training.batches import unit_batches
    from workloads.training.checkpoint import load_state, save_state
    from workloads.training.distributed import Parallel
    from workloads.training.loop import Progress, train

    values = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    method = method_type(method_type.Config(**values))
    view, artifacts = view_of(unit.target), {}
    for need in method.needs(unit):
        artifacts[str(need)] = load_state(folder / str(need).replace("/", "-"))
    learner = method.learner(unit, view, artifacts, Parallel())
    batches = unit_batches(unit, config.get("seed", 0), view, learner.batch_size, Parallel())
    train(learner, Progress(), learner.total_steps, batches, lambda: None, lambda step: None)
    if unit in method.stages([unit.target]):
        save_state(folder / str(unit).replace("/", "-"), learner.artifact())
        return
    from workloads.learner import GroupDetector
    from workloads.scoring.evaluate import score, score_groups

    score(learner, learner, view, last=True)
    if isinstance(learner, GroupDetector):
        score_groups(learner, view, last=True)


def report(method, config, folder, unit):
    """In a process that has imported nothing of the project."""
    method_type = pkgutil.resolve_name(method)
    before = ours()
    from workloads.units import Unit

    main(method_type, json.loads(config), Unit(*unit.split("/")), Path(folder))
    print(json.dumps({"before": before, "after": ours()}), flush=True)


if __name__ == "__main__":
    assert not ours()
    for unit in sys.argv[4:]:
        if (child := os.fork()) == 0:
            report(*sys.argv[1:4], unit)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0, unit
