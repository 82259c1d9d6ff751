"""Events and ledgers of runs that were never launched."""

from dataclasses import replace

from orchestrator.planning.identity import Identity, TrialPlan
from orchestrator.planning.options import Options, load_space
from orchestrator.record.events import Opened, Provenance, RungMetrics
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from workloads.units import ImageShape


def trial_plan(name="t", point=None, **values):
    return TrialPlan(**({"id": name, "point": point or {}, "config": {}, "stages": {}} | values))


def opened(space="sweep_digits", options=None, **changes):
    """The opening event of a built-in space's run; smoke preset unless `options` say otherwise."""
    loaded, resolved, preset = load_space(space, options or Options(preset="smoke"))
    event = Opened(
        uid="uid",
        name=loaded.name,
        doc=loaded.doc,
        source=str(loaded.source),
        space=resolved.model_dump(mode="json"),
        preset=preset,
        schedule=preset,
        dataset=resolved.data.name,
        targets=resolved.data.classes or ("3",),
        counts={"train": 90, "val": 10, "test": 50},
        shape=ImageShape(1, 16, 16),
        identity=Identity("d" * 16, "c" * 12),
        costs={},
        data_dir="data",
        tracking_uri=None,
        trials=(trial_plan(),),
        provenance=Provenance(hardware="a machine"),
    )
    return replace(event, **changes)


def ledger_at(storage, run="run", *events):
    """The paths and the ledger of a new run with these events."""
    paths = RunPaths(str(storage), run)
    ledger = Ledger(paths)
    for event in events:
        ledger.append(event)
    return paths, ledger


def measured(**numbers):
    return RungMetrics(numbers=numbers)
