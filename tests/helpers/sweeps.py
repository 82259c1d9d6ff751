"""Sweeps that were never launched: many trials of many classes, with made scores."""

import json
from dataclasses import replace
from itertools import islice, product

import numpy as np

from orchestrator.record.events import RungMetrics, RungReached, State, TrialMoved
from orchestrator.results.evaluation import combined, metrics_of, write_table
from tests.helpers.records import ledger_at, opened, trial_plan
from workloads.registry import method
from workloads.scoring.table import join, rows

KEYS = {
    "noise": (0.0, 0.05, 0.1),
    "batch_size": (8, 16, 32, 64),
    "weight_decay": (1e-4, 3e-4, 1e-3),
    "blocks": (1, 2, 3, 4),
    "pooling": ("mean", "max", "softmax"),
    "seed": (0, 1),
}
"""864 points. The criterion depends on the noise the most, then on the batch size, and on nothing else."""
RUNGS = (250, 500, 1000)


def made_sweep(storage, trials, classes, images=200, ids=None):
    """(paths, state) of a run on digits. Every third trial is stopped half way. ids: of the test images."""
    targets = tuple(classes)
    event = opened("sweep_digits", targets=targets)
    state = ledger_at(storage, "empty", event)[1].state
    points = [dict(zip(KEYS, values, strict=True)) for values in islice(product(*KEYS.values()), trials)]
    instance = method("mlsad")(state.space.config(points[0]))
    random = np.random.default_rng(0)
    names = list(ids or (f"test/{number}" for number in range(images)))
    blocks = []
    for target, part in product(targets, ("level_1", "level_2", "level_4")):
        anomalous = np.arange(len(names)) >= len(names) // 10
        scores = random.normal(size=len(names)) + 1.2 * anomalous
        blocks.append(rows(target, "test", part, names, ["any"] * len(names), anomalous, scores))
    table = join(blocks)
    table = join([table, combined(table, instance)]).unify_dictionaries()
    metrics = json.loads(json.dumps(metrics_of(table, instance)))
    plans = tuple(trial_plan(f"t{number:04d}", point, config=point) for number, point in enumerate(points))
    events = [replace(event, trials=plans)]
    for number, plan in enumerate(plans):
        events += course(number, plan, metrics, random)
    paths, ledger = ledger_at(storage, "run", *events)
    write_table(paths.trial(ledger.state.winner.id).scores(1000), table)
    return paths, ledger.state


def course(number, plan, metrics, random):
    """The events of a trial."""
    stopped, point = number % 3 == 2, plan.point
    base = 0.6 + 0.1 * (point["noise"] == 0.05) + 0.03 * np.log2(point["batch_size"] / 8) + 0.02 * random.normal()
    events = [TrialMoved(plan.id, State.RUNNING)]
    for rung in RUNGS[: 2 if stopped else 3]:
        value = float(np.clip(base - 0.1 * (1000 - rung) / 1000 + 0.005 * random.normal(), 0.01, 0.99))
        numbers = {"contrastive": value, "oracle": value - 0.05, "auroc/mean": value - 0.05}
        seconds = {"train_seconds": rung / 100 * point["blocks"], "budget": rung}
        events.append(RungReached(plan.id, rung, RungMetrics.parse(metrics | numbers | seconds)))
    return [*events, TrialMoved(plan.id, State.STOPPED if stopped else State.FINISHED)]
