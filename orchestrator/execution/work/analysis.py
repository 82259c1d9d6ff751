"""A closer look at a run's winner: what its method offers as analyses, one Ray task a class, kept beside the run."""

import json
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from upath import UPath

from orchestrator.clusters.session import node_resources
from orchestrator.data.split_store import Prepared, collect, read_masks
from orchestrator.execution.on_ray.progress import pin
from orchestrator.execution.work.worker import own_device
from orchestrator.planning.capacity import slots
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import open_run
from orchestrator.record.state import RunState
from orchestrator.results.run import winner
from tune_spaces.schema import Resources, Space
from workloads.analyses import analyse as run_analysis
from workloads.data.protocols import normal_for
from workloads.method import Finding, Trained
from workloads.registry import method
from workloads.training.checkpoint import load_state, write_atomically


def missing(state: RunState, names: Iterable[str]) -> list[tuple[str, str]]:
    """(analysis, target) that the winner has not been through; none where no trial has reached the end."""
    best = winner(state)
    if best is None:
        return []
    pairs = [(name, target) for name in names for target in state.opened["targets"]]
    return [(n, t) for n, t in pairs if state.analyses.get(f"{n}/{t}", {}).get("trial") != best.id]


def run_analyses(places: RunPaths, ledger: Ledger, names: Iterable[str], resources: Resources) -> None:
    """Do what is missing, as many at once as fit; each is recorded as it ends, and so is one that fails.

    Raises UserError where the cluster has no room for even one.
    """
    import ray

    todo = missing(ledger.state, names)
    slots(resources.model_copy(update={"workers": 1}), node_resources())
    claim = {"num_cpus": resources.cpus_per_worker, "num_gpus": resources.gpus_per_worker}
    task = ray.remote(**claim)(analyse)
    threads = max(1, int(resources.cpus_per_worker))
    running = {task.remote(places.storage, places.run, name, target, threads): (name, target) for name, target in todo}
    while running:
        (ready,), _ = ray.wait(list(running), num_returns=1)
        name, target = running.pop(ready)
        try:
            ledger.append("analysis", name=name, target=target, trial=ray.get(ready))
        except ray.exceptions.RayError as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            ledger.append("analysis", name=name, target=target, trial="", error=said[-1][:500])
        pin("analyses/all", len(todo) - len(running), len(todo), f"{name} {target}")


def analyse(storage: str, run: str, name: str, target: str, threads: int) -> str:
    """Analyse the winner's detector of one target and write what was found; the trial it was."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    places, state = open_run(storage, run)
    best = winner(state)
    if best is None:
        raise ValueError(f"no trial of {run} has reached the end")
    space = Space.model_validate(state.opened["space"])
    chosen = method(space.workload)(space.config(best.point))
    device = own_device(local=True)
    finding = run_analysis(chosen, name, trained(places, state, best.id, chosen, target, device))
    write(places.analysis(name, target), best.id, finding)
    return best.id


def trained(places: RunPaths, state: RunState, trial: str, chosen: Any, target: str, device: torch.device) -> Trained:
    """Images, stages and detectors of one target, read back from the run's files."""
    prepared = Prepared.read(places.data(state.opened["identity"]["data"]))
    images = collect(shards(UPath(prepared.path)), prepared, [target], device)
    stages = {str(unit): places.stage(state.trials[trial].stages[str(unit)]) for unit in chosen.stages([target])}
    detectors = {str(unit): load_state(places.trial(trial).unit(unit, 1000)) for unit in chosen.units([target])}
    tested, masks = images.test_rows[target], read_masks(prepared)
    return Trained(
        target=target,
        train=images.train[target],
        val=images.val[target],
        test=images.test[torch.from_numpy(tested)].to(device),
        test_anomalous=~normal_for(images.test_labels[tested], prepared.classes, prepared.members, target),
        test_masks=None if masks is None else torch.from_numpy(masks[tested]).to(device),
        artifacts={unit: load_state(folder, device) for unit, folder in stages.items()},
        states={unit: saved["learner"] for unit, saved in detectors.items()},
        histories={
            **{unit: json.loads((folder / "history.json").read_text())["history"] for unit, folder in stages.items()},
            **{unit: saved["history"] for unit, saved in detectors.items()},
        },
        out={name: out.to(device) for name, out in images.out.items()},
    )


def shards(folder: UPath) -> Iterable[pa.Table]:
    for file in sorted((folder / "shards").iterdir(), key=str):
        with file.open("rb") as opened:
            yield pq.read_table(opened)


def write(path: UPath, trial: str, finding: Finding) -> None:
    """Pictures first, then the JSON that names them: its presence means that all is there."""
    from orchestrator.results.report.plots import curve_plot  # matplotlib takes a second, and only the tasks need it

    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = {stem: png(picture) for stem, picture in finding.pictures.items()}
    drawn |= {stem: curve_plot(lines, stem) for stem, lines in finding.curves.items() if any(lines.values())}
    names = {stem: f"{path.stem}-{stem}.png" for stem in drawn}
    for stem, data in drawn.items():
        (path.parent / names[stem]).write_bytes(data)
    record = {"trial": trial, "numbers": dict(finding.numbers), "pictures": names}
    write_atomically(path, json.dumps(record, indent=1).encode())


def png(picture: np.ndarray) -> bytes:
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()
