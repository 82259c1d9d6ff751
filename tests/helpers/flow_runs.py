"""Runs of one point of `flow_digits`, a general flow and one of each class: in one process, and on several."""

import torch

from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import copy_baselines, request_for, run
from workloads.training.checkpoint import load_state

# Float additions in another order, passed through Adamax, which divides by the gradient's own size; the weights move by
# 5e-4 a step.
TOLERANCE = 2e-5
POINT = ["score=final_scale", "outlier_loss=ratio", "batch_size=15", "epochs=1.0", "lr=5e-4"]  # 15: unequal rows
BARE = """
'''The flows of digits, and no analysis of the winner.'''
from tune_spaces.no_download.flow_digits import SPACE as WHOLE

SPACE = WHOLE.model_copy(update={"analyses": ()})
"""


def launched(own, name, executor, space="flow_digits", **options):
    """The one point in a storage of its own, so that everything is trained."""
    options = {"points": 1, "classes": ["3", "8"], "set": POINT} | options
    code, text = run(request_for(own, space, name=f"flows-{name}", executor=executor, **options))
    assert code == 0, text
    return RunPaths(str(own), f"flows-{name}")


def bare(folder, name, one, **options):
    """The same point on Ray without what is not compared: baselines and analyses have workers of their own."""
    copy_baselines(one, folder)
    (folder / "bare.py").write_text(BARE)
    return launched(folder, name, "ray", folder / "bare.py", share="batches", **options)


def trial_of(paths):
    return next(iter(Ledger(paths).state.trials.values()))


def flows_of(paths):
    """Unit -> weights of every flow of a run."""
    trial = trial_of(paths)
    folders = {unit: paths.stage(key) for unit, key in trial.stages.items()}
    states = {unit: load_state(folder) for unit, folder in folders.items()}
    units = paths.trial(trial.id).folder / "units"
    for manifest in units.rglob("manifest.json"):
        states[str(manifest.parent.relative_to(units))] = load_state(manifest.parent)["learner"]
    return {unit: state["net"] for unit, state in states.items()}


def assert_same_flows(one, other):
    one, other = flows_of(one), flows_of(other)
    assert one.keys() == other.keys()
    for unit, weights in one.items():
        for name, value in weights.items():
            torch.testing.assert_close(
                other[unit][name].float(), value.float(), atol=TOLERANCE, rtol=0, msg=f"{unit} {name}"
            )
