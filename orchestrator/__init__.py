"""Train, tune, compare and use deep image anomaly detectors, in one process or on Ray.

    import orchestrator

    run = orchestrator.launch("sweep_digits", preset="smoke", executor="local")
    run.table                                  # AUROC by method and class: a pandas DataFrame
    detector = orchestrator.load(run, "3")     # the winner's detector of one class
    detector.score(images)                     # (N,) float32 from uint8 (N, H, W[, C]); higher = more anomalous

`plan`, `launch`, `resume` and `submit` make a run; `open_run` and `runs` find it again; `load`, `predict`, `export`,
`extend` and `analyse` use it. `workloads.fit` trains a detector of an array of images without any run. What the command
line does goes through these functions too, so both write the same files. This door is provisional until it has been
used for a while.

Options of a launch; whatever is left out, or None, stays as the space has it:

* search: "random", "grid" or "optuna" (chosen as the run goes). points: to try, random or chosen.
* scheduler: "asha" (successive halving) or "fifo" (every trial to its end).
* select_by: what chooses the winner: "contrastive", "likelihood" (flows), or "oracle" (sees test labels: a leak).
* seed: of the training; the data splits stay. seeds: how often each point is trained. classes: only these normal ones.
* images: the images' folder, for spaces on the dataset "folder". method: with it and without a space, the method whose
  template for own images is launched; "patch_memory" where left out. auxiliary: sets, each "NAME" or "NAME=PATH".
* workers: of a trial. min_workers: a trial goes on with as few where workers are lost.
* share: what workers divide: "units" (whole networks) or "batches" (rows of every batch).
* cpus_per_worker, gpus_per_worker: numbers, the latter may be a fraction.
* cpus: cores of this machine to use; all where left out. slots: trials at once, on a cluster that grows.

Nothing here prints: an observer (see `orchestrator.execution.observer.Observer`) hears what a launch does. Whatever a
user can mend is raised as `UserError`, with what is wrong, the nearest valid choice and the fix.

Torch, Ray, MLflow and pandas are imported when they are first needed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Unpack

if sys.argv[:1] == ["-m"]:  # `python -m` looks first where the user stands, whose `workloads` would be taken for ours
    sys.path.append(sys.path.pop(0))

from workloads.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.clusters.submission import Job
    from orchestrator.execution.executor import Executor
    from orchestrator.execution.observer import Observer
    from orchestrator.inference.extend import Extended
    from orchestrator.inference.predict import Predicted
    from orchestrator.planning.options import Arguments, Keywords
    from orchestrator.planning.plan import Plan
    from orchestrator.planning.request import Request
    from orchestrator.results.handle import Run
    from tune_spaces.schema import Space
    from workloads.detector import Detector

__all__ = [
    "Detector", "Run", "UserError", "analyse", "export", "extend", "launch", "load", "open_run", "plan", "predict",
    "resume", "runs", "submit",
]  # fmt: skip


def plan(
    space: str | Path | Space | None = None,
    *,
    storage: str | Path = "runs",
    executor: str | Executor = "ray",
    address: str | None = None,
    observer: Observer | None = None,
    **arguments: Unpack[Arguments],
) -> Plan:
    """What `launch` would do with the same arguments: trials, networks, an estimate in seconds. Nothing is started.

    Raises UserError with everything that is wrong with the space and the options.
    """
    from orchestrator.execution.from_request import request_of
    from orchestrator.planning.plan import plan_of

    request = request_of(space, storage=storage, executor=executor, address=address, **arguments)
    planned = plan_of(request)
    if observer is not None:
        observer.planned(planned, request)
    return planned


def launch(
    space: str | Path | Space | None = None,
    *,
    preset: str | None = None,
    storage: str | Path = "runs",
    name: str | None = None,
    executor: str | Executor = "ray",
    config: Mapping[str, Any] | Sequence[str] = (),
    data_dir: str | Path = "data",
    tracking_uri: str | None = None,
    address: str | None = None,
    observer: Observer | None = None,
    **options: Unpack[Keywords],
) -> Run:
    """Run a space to its end: shared stages, trials, winner, report. A run of the same name is continued.

    space: the name of a built-in space, the path of a .py file of your own, or a `tune_spaces.schema.Space`; none where
    images are.
    preset: "paper", "reduced" or "smoke", as far as the space has them; it scales schedules and widths.
    storage: a folder or URI that holds everything of the runs.
    name: of the run; by default made from the space, so that the same question continues the same run.
    executor: "ray", or "local" for this process, one task after the other, without Ray.
    config: values of the method's keys, such as ``{"noise": 0.1}`` or ``["noise=0.1"]``; they win over the space's own.
    data_dir: where datasets lie, or are downloaded to. tracking_uri: of MLflow; SQLite in the storage by default.
    address: "auto" on a machine of a running Ray cluster, to work there; a new Ray on this machine where left out.

    options: see the top of this module.

    An interrupt (Ctrl-C) ends the launch well: the run that is returned has the outcome "interrupted" and can be
    resumed. Failed trials do not raise, their run has the outcome "some_failed"; where all fail, UserError is raised,
    as it is, before anything is started, for everything that is wrong with the space, the options and the data.
    """
    from orchestrator.execution.from_request import request_of

    request = request_of(
        space, preset=preset, config=config, storage=storage, name=name, executor=executor, data_dir=data_dir,
        tracking_uri=tracking_uri, address=address, **options,
    )  # fmt: skip
    return carried_out(request, observer, executor)


def resume(
    run: str | Run,
    *,
    storage: str | Path = "runs",
    executor: str | Executor = "ray",
    tracking_uri: str | None = None,
    address: str | None = None,
    cpus: int | None = None,
    slots: int | None = None,
    accept_code: bool = False,
    observer: Observer | None = None,
) -> Run:
    """Continue an interrupted run. Finished trials are not repeated, and the MLflow runs go on.

    run: its name, or what `open_run` returns, whose storage then counts. The other arguments are those of `launch`.
    accept_code: go on although code or packages differ; the ledger notes it, the report says so, and stages that are
    still to be made lie under new keys. Raises UserError where there is no such run, where its data have changed, and
    where its code has and that is not accepted.
    """
    from orchestrator.execution.from_request import request_to_resume

    begun = open_run(run, storage)
    request = request_to_resume(
        begun.paths, begun.state, executor=executor, tracking_uri=tracking_uri, address=address, cpus=cpus, slots=slots,
        accept_code=accept_code,
    )  # fmt: skip
    return carried_out(request, observer, executor)


def carried_out(request: Request, observer: Observer | None, executor: str | Executor) -> Run:
    """The run of a request, once it is over, of which the observer is told. For `launch` and `resume`."""
    from orchestrator.execution.launch import launch as carry_out  # torch, which what is wrong with the request spares

    finished = carry_out(request, observer, None if isinstance(executor, str) else executor)
    if observer is not None:
        observer.ended(finished)
    return open_run(finished.run, request.storage)


def submit(
    space: str | Path | None = None,
    *,
    address: str,
    storage: str,
    observer: Observer | None = None,
    **arguments: Unpack[Arguments],
) -> Job:
    """Hand a launch to a cluster, where it goes on without this process; see `Job` for its output and its end.

    address: of the cluster's job server, http://HEAD:8265. storage: a URI, or a path that all nodes share.
    The other arguments are those of `launch`; paths are as the cluster sees them. Raises UserError where the cluster
    cannot be reached, where the run goes on there already, and for folders that would be the job's own.
    """
    from orchestrator.clusters.submission import launch_words, submit_words, users_files
    from orchestrator.execution.from_request import request_of
    from orchestrator.planning.plan import plan_of

    request = request_of(space, storage=storage, executor="ray", address=address, **arguments)
    planned = plan_of(request)
    words = launch_words(request, planned.run, str(arguments.get("data_dir", "data")))
    if observer is not None:
        observer.planned(planned, request)
    return submit_words(words, planned.run, address, users_files(request))


def analyse(
    run: str | Run,
    *names: str,
    storage: str | Path = "runs",
    executor: str | Executor = "local",
    tracking_uri: str | None = None,
    cpus: int | None = None,
    observer: Observer | None = None,
) -> Run:
    """A closer look at a run's winner; numbers and pictures join the report of the run, which is returned.

    names: of analyses that the run's method offers (`Run.analyses`). What was done before is not done again.
    Raises UserError for an unknown analysis, and where no trial has reached the end of its schedule.
    """
    from orchestrator.execution.analyse import analyse as carry_out
    from orchestrator.execution.launch import executor_named
    from orchestrator.record.runs import tracking_of

    opened = open_run(run, storage)
    if isinstance(executor, str):
        executor = executor_named(executor, cpus, workload=opened.state.space.workload)
    carry_out(opened.paths, names, tracking_of(opened.state, tracking_uri), executor, observer)
    return opened


def open_run(name: str | Run, storage: str | Path = "runs") -> Run:
    """A run of a storage. Raises UserError, with the nearest name, where there is none."""
    from orchestrator.results.handle import Run

    return name if isinstance(name, Run) else Run(name, storage)


def runs(storage: str | Path = "runs") -> list[Run]:
    """All runs of a storage, the newest last; none where there is no such folder. Runs whose ledgers are damaged are
    left out with a warning."""
    import logging

    from orchestrator.planning.request import absolute
    from orchestrator.record.runs import names
    from workloads.errors import UserError

    opened = []
    for name in names(absolute(storage)):
        try:
            opened.append(open_run(name, storage))
        except UserError as error:
            logging.getLogger(__name__).warning("the run %s is left out: %s", name, error)
    return opened


def load(
    source: str | Path | Run,
    target: str | None = None,
    *,
    storage: str | Path = "runs",
    device: str | None = None,
    trust_code: bool = False,
) -> Detector:
    """The best detector of a run for one target, ready to score anyone's images.

    source: a run, its name in the storage, or a folder that `extend` wrote. target: the class that counts as normal; it
    may be left out where there is one alone. device: such as "cpu" or "cuda:0"; a GPU where there is one. trust_code:
    whether a method from outside the tree, whose code lies in the run, may be loaded: that runs it.
    Raises UserError for an unknown run or target, and where no trial has reached the end of its schedule.
    """
    from orchestrator.inference.detector import detector_at, trusted

    return detector_at(*trusted(source, storage, trust_code), target, device)


def export(
    run: str | Path | Run,
    to: str,
    folder: str | Path,
    *,
    target: str | None = None,
    register: str | None = None,
    storage: str | Path = "runs",
    tracking_uri: str | None = None,
    trust_code: bool = False,
) -> list[str]:
    """Write the best detector of a run as a model that needs the run no more; sentences that say what was done.

    to: "mlflow", a pyfunc model that carries its code, decides, and can be served; "torch", a torch.export program of
    the scores; "onnx", a graph of them. Each has a model card, README.md, with thresholds. folder: a new one. target:
    as of `load`. register: a name in MLflow's registry, of which the model becomes the next version; it belongs to the
    MLflow run of the winner's trial. Raises UserError as `load` does, for what cannot be exported, by its name, and
    where a program's scores are not the detector's.
    """
    from pathlib import Path

    from orchestrator.inference.detector import trusted
    from orchestrator.inference.export.write import export_detector

    place = trusted(run, storage, trust_code)
    return export_detector(*place, to, Path(folder), target=target, register_as=register, tracking_uri=tracking_uri)


def predict(
    run: str | Path | Run,
    *images: str | Path,
    target: str | None = None,
    false_alarms: float | None = None,
    out: str | Path | None = None,
    maps: str | Path | None = None,
    normals: Sequence[str | Path] = (),
    defects: Sequence[str | Path] = (),
    strict: bool = False,
    storage: str | Path = "runs",
    address: str | None = None,
    device: str | None = None,
    trust_code: bool = False,
    seen: Callable[[int, int], None] | None = None,
) -> Predicted:
    """Let the best detector of a run decide on image files: a row an image with decision, score and p-value.

    images: files, folders with all below them, tar archives, URIs. false_alarms: of fresh normal images the fraction
    that may be called anomalous, in (0, 1); 0.01 where left out. out: a file whose ending says how it is written: .csv,
    .jsonl or .parquet; "predictions.csv" where left out. maps: a folder for a map (.npy) and an overlay (.png) of each
    image. normals: images that the run has not seen, for decisions to rest on instead of the run's held-out ones.
    defects: images of labelled defects that set the threshold in place of a rate. strict: raise, once all is written,
    where images cannot be read. address: "auto" on a machine of a running Ray cluster, or "local" for a Ray on this
    machine: its workers decide, out is a folder or URI of one Parquet dataset in parts ("predictions" where left out),
    and the same call goes on with what was interrupted. seen: called with the images done and those in all.
    The other arguments are those of `load`, and so are the errors; UserError also where the held-out normal images are
    too few for the rate, and where nothing can be read or written.
    For arrays there is `Detector.predict`.
    """
    from orchestrator.inference.predict import predict_images

    places = [[str(place) for place in group] for group in (images, normals, defects)]
    options: Any = {"false_alarms": false_alarms, "normals": places[1], "defects": places[2], "strict": strict,
                    "seen": seen or (lambda _done, _total: None)}  # fmt: skip
    if address is not None:
        if device is not None:
            raise UserError("workers of a cluster choose their devices", where="device", fix="leave device out")
        from orchestrator.inference.at_scale import Source, predict_at_scale
        from orchestrator.inference.detector import trusted

        source = Source(*trusted(run, storage, trust_code), target)
        return predict_at_scale(
            source, places[0], str(out or "predictions"), address, maps=None if maps is None else str(maps), **options
        )
    detector = load(run, target, storage=storage, device=device, trust_code=trust_code)
    return predict_images(detector, places[0], out or "predictions.csv", maps=maps, **options)


def extend(
    run: str | Path | Run,
    *images: str | Path,
    out: str | Path,
    target: str | None = None,
    storage: str | Path = "runs",
) -> Extended:
    """Add normal images to the best detector of a run, without those that it learnt from: another detector in a folder.

    Of methods that can, such as a patch memory. images: as of `predict`, all of them normal and readable. out: a new
    folder, which stands where `load`, `predict`, `export` and `extend` take a run; it says what it comes from. The
    detector's decisions rest on the images that were added, each scored by one of five detectors without it. target: as
    of `load`. Raises UserError for other methods, and as `load` does.
    """
    from pathlib import Path

    from orchestrator.inference.detector import trusted
    from orchestrator.inference.extend import extend_detector

    place = trusted(run, storage, trust_code=True)  # such code is refused there
    return extend_detector(*place, [str(image) for image in images], Path(out), target)


def __getattr__(name: str) -> Any:
    """The two classes, whose modules import what takes seconds."""
    if name == "Run":
        from orchestrator.results.handle import Run

        return Run
    if name == "Detector":
        from workloads.detector import Detector

        return Detector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
