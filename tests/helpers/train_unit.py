"""train_unit.py METHOD CONFIG UNIT FOLDER: train and score a unit in this process, and print which modules that took.

METHOD: package.module:Class. CONFIG: JSON. UNIT: kind/target/part. FOLDER: artifacts of stages, by unit; a stage
leaves its own there. Prints {"before": modules once the method was there, "after": at the end}.
"""

import json
import pkgutil
import sys
from pathlib import Path

method_type = pkgutil.resolve_name(sys.argv[1])
before = sorted(sys.modules)

import torch  # noqa: E402

from workloads.data.view import TargetView  # noqa: E402
from workloads.training.batches import unit_batches  # noqa: E402
from workloads.training.checkpoint import load_state, save_state  # noqa: E402
from workloads.training.distributed import Parallel  # noqa: E402
from workloads.training.loop import Progress, train  # noqa: E402
from workloads.units import Unit  # noqa: E402


def images(count, seed):
    return torch.randint(256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def view_of(target):
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


def main(config, unit, folder):
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


if __name__ == "__main__":
    main(json.loads(sys.argv[2]), Unit(*sys.argv[3].split("/")), Path(sys.argv[4]))
    print(json.dumps({"before": before, "after": sorted(sys.modules)}))
