"""Points that Optuna chooses beside random ones, at the same budget: the criterion, and the test AUROC that it gives.

    python tests/benchmarks/optuna_beside_random.py STORAGE --data-dir DATA

Each search is a run of its own, by its name, so the same command goes on where it was ended. Points are small flows of
one class, trained in a second or two and chosen by bits/dim of held-out normal images, which neither saturates nor
looks at a label. Whether fewer bits/dim detect better is another question: the AUROC stands beside them. Without
`fashion_mnist` (Debian's dataset-fashion-mnist) `--dataset digits` needs no file, and scores a tenth of the images.
"""

import argparse
import math
import sys
from collections.abc import Sequence

import orchestrator
from tune_spaces.schema import Data, Scheduler, Search, Space
from workloads.scoring.paired import over_seeds

CLASSES = {"fashion_mnist": "sandal", "digits": "3"}
KINDS = ("random", "optuna")
AXES = {
    "lr": (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2),
    "batch_size": (8, 16, 32, 64),
    "hidden": (4, 8, 16, 32),
    "steps": (1, 2, 3, 4),
    "weight_decay": (0.0, 5e-5, 5e-4, 5e-3),
    "translate": (0.0, 0.05, 0.1, 0.2),
    "permutation": ("lu", "shuffle"),
}


def space(dataset: str, kind: str, points: int, seed: int) -> Space:
    return Space(
        workload="flow",
        data=Data(name=dataset, side=16, classes=(CLASSES[dataset],), max_train_images=200),
        fixed={
            "hierarchy": "none", "from_general": False, "score": "likelihood", "scales": 2, "epochs": 4.0,
            "init_batches": 2, "flip": False,
        },
        axes=AXES,
        search=Search(kind=kind, points=points, seed=seed, random_start=10),
        scheduler=Scheduler(kind="fifo"),
        select_by="likelihood",
    )  # fmt: skip


def winners(run: orchestrator.Run, budgets: Sequence[int]) -> list[tuple[float, float]]:
    """(bits/dim, test AUROC) of the best by bits/dim among the first points. A point that failed is the worst."""
    trials = run.state.trials.values()
    pairs = [(trial.metric("bits_per_dim") or math.inf, trial.metric("oracle") or math.nan) for trial in trials]
    return [min(pairs[:budget]) for budget in budgets]


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
    print("| points | random: bits/dim, AUROC | optuna: bits/dim, AUROC | p of bits/dim, paired over searches |")
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
