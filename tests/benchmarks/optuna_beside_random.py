"""Points that Optuna chooses beside random ones, at the same budget: the criterion, and the test AUROC that it gives.

    python tests/benchmarks/optuna_beside_random.py STORAGE --data-dir DATA

Each search is a run of its own, by its name, so the same command goes on where it was ended. The method fits in one go
(patch memory on pixels), so that a point costs seconds; what is compared are searches. Without `fashion_mnist`
(Debian's dataset-fashion-mnist) `--dataset digits` needs no file.
"""

import argparse
import sys
from collections.abc import Sequence

import orchestrator
from tune_spaces.schema import Data, Scheduler, Search, Space
from workloads.scoring.paired import over_seeds

CLASSES = {"fashion_mnist": ("sandal",), "digits": ("3", "8")}
KINDS = ("random", "optuna")
AXES = {
    "model": ("neighbours", "gaussian", "gaussian_per_place"),
    "pooling": (1, 3, 5, 7),
    "smoothing": (0.0, 0.5, 1.0, 2.0, 4.0),
    "neighbours": (1, 2, 3, 5, 9),
    "whitened": (False, True),
    "standardised": (False, True),
    "shrinkage": (0.001, 0.01, 0.1, 1.0),
    "memory": (50, 100, 200),
}
"""14,400 points, many of them alike: keys that the model does not read change nothing."""


def space(dataset: str, kind: str, points: int, seed: int) -> Space:
    return Space(
        workload="patch_memory",
        data=Data(name=dataset, side=16, classes=CLASSES[dataset], max_train_images=200),
        fixed={"features": "pixels"},
        axes=AXES,
        search=Search(kind=kind, points=points, seed=seed, random_start=10),
        scheduler=Scheduler(kind="fifo"),
    )


def winners(run: orchestrator.Run, budgets: Sequence[int]) -> list[tuple[float, float]]:
    """(criterion, test AUROC) of the best by the criterion among the first points."""
    trials = list(run.state.trials.values())
    pairs = [(trial.metric("contrastive") or 0.0, trial.metric("oracle") or 0.0) for trial in trials]
    return [max(pairs[:budget]) for budget in budgets]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("storage")
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--dataset", default="fashion_mnist", choices=[*CLASSES])
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    words = parser.parse_args()
    budgets = [count for count in (10, 20, 30, 40, 80) if count < words.points] + [words.points]
    best: dict[str, dict[int, list[tuple[float, float]]]] = {kind: {} for kind in KINDS}
    for seed in words.seeds:
        for kind in KINDS:
            run = orchestrator.launch(
                space(words.dataset, kind, words.points, seed),
                storage=words.storage,
                data_dir=words.data_dir,
                name=f"{words.dataset}-{kind}-{words.points}-{seed}",
                executor="local",
            )
            best[kind][seed] = winners(run, budgets)
            print(f"{kind} {seed}: {best[kind][seed][-1]}", file=sys.stderr, flush=True)
    print("| points | random: criterion, AUROC | optuna: criterion, AUROC | p of the criterion, paired |")
    print("|---:|---:|---:|---:|")
    for place, budget in enumerate(budgets):
        means = {
            kind: [sum(run[place][part] for run in runs.values()) / len(runs) for part in (0, 1)]
            for kind, runs in best.items()
        }
        criteria = {kind: {seed: run[place][0] for seed, run in runs.items()} for kind, runs in best.items()}
        less = over_seeds(criteria["optuna"], criteria["random"])
        cells = [f"{means[kind][0]:.4f}, {means[kind][1]:.4f}" for kind in KINDS]
        print(f"| {budget} | {' | '.join(cells)} | {'' if less is None else f'{less.p:.2f}'} |")


if __name__ == "__main__":
    main()
