"""bare.py WORK.json OUT.json serial|pool|tune|tune_naive|relay: the work of a launch without the orchestrator.

The same networks are trained and the same states and score tables written; OUT.json gets every trial's AUROC by target.

serial      one process, a loop
pool        two processes, a loop over workloads
tune        stages as Ray tasks, trials as a plain sweep of Ray Tune, a process each
tune_naive  the same, but every trial trains the stages that it needs itself
relay       two warm actors do all; Tune's trials are reused and only hand rungs on
"""

import json
import logging
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


@cache
def views_of(text: str) -> dict[str, Any]:
    """Target -> a view of its images, read once a process; text: of the data."""
    import science
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    science.keep_freed_memory()
    data = json.loads(text)
    whole = science.load(data["name"], Path("nowhere"), side=data["side"], seed=data["seed"])
    keys = ("side", "val_fraction", "max_train_images", "classes", "seed")
    splits = science.one_class(whole, **{key: data[key] for key in keys})

    def tensor(images: np.ndarray) -> Any:
        return torch.from_numpy(np.ascontiguousarray(images))

    views = {}
    for target in splits.targets.names:
        images = (tensor(part.images) for part in splits.training_images(target))
        tested, _ = splits.test_images(target)
        anomalous = ~splits.targets.normal(target, tested.labels)
        test = {"test": tensor(tested.images), "ids": {"test": tested.ids}, "anomalous": anomalous}
        views[target] = science.TargetView(target, *images, **test)
    return views


def setting(work: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """(the views of the targets, the method)."""
    import science

    views = views_of(json.dumps(work["data"]))
    chosen = science.method(work["workload"])
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    return views, chosen(chosen.Config(**values))


def train(learner: Any, unit: Any, seed: int, images: Any) -> None:
    import science

    order = science.order_seed(seed, unit)
    for step in range(learner.total_steps):
        learner.step(step, images[science.batch_rows(order, step, learner.batch_size, len(images))])


def stage(work: dict[str, Any], task: dict[str, Any], folder: str) -> None:
    """Train a stage and leave its artifact under its key."""
    import science

    views, method = setting(work, task["config"])
    unit = science.Unit(*task["unit"])
    view = views[unit.target]
    learner = method.learner(unit, view, {}, science.Parallel())
    train(learner, unit, task["config"]["seed"], view.train)
    science.save_state(Path(folder) / task["key"], learner.artifact())


def trial(work: dict[str, Any], task: dict[str, Any], folder: str) -> dict[str, float]:
    """Train and score a trial's detectors; AUROC by target."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import science

    views, method = setting(work, task["config"])
    out = Path(folder) / task["id"]
    out.mkdir(parents=True, exist_ok=True)
    found = {}
    for target in work["targets"]:
        parts: dict[str, np.ndarray] = {}
        view = views[target]
        for unit in (science.Unit(*u) for u in work["units"] if u[1] == target):
            artifacts = {str(n): science.load_state(Path(folder) / task["stages"][str(n)]) for n in method.needs(unit)}
            learner = method.learner(unit, view, artifacts, science.Parallel())
            train(learner, unit, task["config"]["seed"], view.train)
            science.save_state(out / f"{unit.target}-{unit.part}", {"learner": learner.state()})
            parts |= learner.score(view.test)
            learner.score(view.val)
            learner.contrast()
        whole = method.combine(parts)
        found[target] = science.auroc(whole, view.anomalous)
        pq.write_table(pa.table({"image": view.ids["test"], "score": whole, **parts}), out / f"{target}.parquet")
    return found


def baselines(work: dict[str, Any]) -> None:
    import science

    for baseline in science.BASELINES.values():
        for view in views_of(json.dumps(work["data"])).values():
            normal = np.concatenate([view.train.numpy(), view.val.numpy()])
            science.auroc(baseline(normal, view.test.numpy()), view.anomalous)


def serial(work: dict[str, Any], folder: str) -> list[dict[str, float]]:
    baselines(work)
    for task in work["stages"]:
        stage(work, task, folder)
    return [trial(work, task, folder) for task in work["trials"]]


def pool(work: dict[str, Any], folder: str) -> list[dict[str, float]]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        beside = executor.submit(baselines, work)
        for future in [executor.submit(stage, work, task, folder) for task in work["stages"]]:
            future.result()
        trials = [executor.submit(trial, work, task, folder) for task in work["trials"]]
        beside.result()
        return [future.result() for future in trials]


def ray_started() -> Any:
    import ray

    os.environ |= {"RAY_AIR_NEW_OUTPUT": "0", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    ray.init(address="local", num_cpus=2, runtime_env={"env_vars": {"PYTHONPATH": path}}, **quiet)
    return ray


def sweep(work: dict[str, Any], folder: str, trainable: Any, **how: Any) -> list[dict[str, float]]:
    """Every trial by Ray Tune; results in the order of the work."""
    from ray import tune

    grid = tune.Tuner(
        trainable,
        param_space={"number": tune.grid_search(list(range(len(work["trials"]))))},
        tune_config=tune.TuneConfig(metric="number", mode="max", **how),
        run_config=tune.RunConfig(storage_path=str(Path(folder) / "ray"), verbose=0),
    ).fit()
    found = {row.metrics["number"]: row.metrics["areas"] for row in grid}
    return [found[number] for number in range(len(work["trials"]))]


def tuned(work: dict[str, Any], folder: str, naive: bool) -> list[dict[str, float]]:
    ray = ray_started()
    import bare  # pickled by name, as functions of a program are not
    from ray import tune

    beside = ray.remote(num_cpus=0)(bare.baselines).remote(work)
    if not naive:
        task = ray.remote(num_cpus=1)(bare.stage)
        ray.get([task.remote(work, each, folder) for each in work["stages"]])

    def once(params: dict[str, Any]) -> None:
        import bare

        own = str(Path(folder) / str(params["number"])) if naive else folder
        for each in work["stages"] if naive else ():
            bare.stage(work, each, own)
        areas = bare.trial(work, work["trials"][params["number"]], own)
        tune.report({"number": params["number"], "areas": areas})

    found = sweep(work, folder, tune.with_resources(once, {"cpu": 1}))
    ray.get(beside)
    ray.shutdown()
    return found


def relay(work: dict[str, Any], folder: str) -> list[dict[str, float]]:
    ray = ray_started()
    from ray import tune

    class Warm:
        def do(self, what: str, number: int) -> Any:
            import bare

            if what == "baselines":
                return bare.baselines(work)
            return {"stages": bare.stage, "trials": bare.trial}[what](work, work[what][number], folder)

    actors = [ray.remote(num_cpus=1)(Warm).remote() for _ in range(2)]
    ray.get([actors[n % 2].do.remote("stages", n) for n in range(len(work["stages"]))])

    class Hand(tune.Trainable):
        def step(self) -> dict[str, Any]:
            number = self.config["number"]
            areas = ray.get(actors[number % 2].do.remote("trials", number))
            return {"number": number, "areas": areas, "done": True}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.config = new_config
            return True

    light = tune.with_resources(Hand, {"cpu": 0, "memory": 200 * 2**20})
    found = sweep(work, folder, light, reuse_actors=True, max_concurrent_trials=2)
    ray.get(actors[0].do.remote("baselines", 0))
    ray.shutdown()
    return found


WAYS = {
    "serial": serial,
    "pool": pool,
    "tune": lambda work, folder: tuned(work, folder, naive=False),
    "tune_naive": lambda work, folder: tuned(work, folder, naive=True),
    "relay": relay,
}


def main() -> None:
    work = json.loads(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory() as folder:
        found = WAYS[sys.argv[3]](work, folder)
    Path(sys.argv[2]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
