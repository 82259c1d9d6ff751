"""Which points a search chooses as the run goes: Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS
2011), asked anew for every point.

Nothing is kept between two questions. A point follows from the space, its number and the results of the rounds before
its own, whoever ran them and in whatever order they ended. So a run has the same points under every executor and on any
number of slots, and one that was killed goes on with those that it would have had.
"""

import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.planning.code_digest import plain
from tune_spaces.schema import Space
from tune_spaces.schema.models import shuffled
from workloads.scoring.selection import CRITERIA

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

ATTEMPTS = 32
"""Questions after which a point that was not tried yet is drawn: on a small grid Optuna may repeat itself."""


@dataclass(frozen=True)
class Tried:
    """A point and its result, the mean over its seeds. value: None where it failed or is undefined. rung: the last it
    has reached, in thousandths of the schedule."""

    point: dict[str, Any]
    value: float | None = None
    rung: int = 0


def chosen_points(space: Space, tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """The rest of the round that is due, without seeds; none where all points have been tried, or were known.

    tried: in the order in which they were chosen, all of the rounds before with their results.
    """
    total, start = space.trials // space.seeds, space.search.start(space.size())
    if len(tried) >= total:
        return []
    tried = [replace(result, point=of_axes(space, result.point)) for result in tried]
    known = start + (len(tried) - start) // space.search.at_once * space.search.at_once
    points = [result.point for result in tried]
    for number in range(len(tried), min(total, known + space.search.at_once)):
        points.append(chosen_point(space, tried[:known], points[known:number], number))
    return points[len(tried) :]


def of_axes(space: Space, point: dict[str, Any]) -> dict[str, Any]:
    """A point of a ledger, which has lists where an axis of a Python file has tuples, in the axes' own values."""
    return {
        key: next(value for value in values if plain(value) == plain(point[key])) for key, values in space.axes.items()
    }


def chosen_point(
    space: Space, tried: Sequence[Tried], running: Sequence[dict[str, Any]], number: int
) -> dict[str, Any]:
    """The point of a number by the results before its round, and by the points of its round that have none yet."""
    import optuna  # a moment, which other launches do without

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(
                n_startup_trials=0,  # the random start are points that are known beforehand
                multivariate=True,
                constant_liar=True,
                seed=random.Random(f"{space.search.seed} {number}").getrandbits(32),  # noqa: S311
            ),
            direction="maximize" if CRITERIA[space.select_by].mode == "max" else "minimize",
        )
        study.add_trials([result_of(space, result) for result in tried])
        study.add_trials([result_of(space, Tried(point), running=True) for point in running])
        return untried(space, study, [*(result.point for result in tried), *running])


def untried(space: Space, study: "Study", points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the study says, or a random point where it only names those that there are."""
    axes = {key: distribution(values) for key, values in space.axes.items()}
    for _ in range(ATTEMPTS):
        trial: Trial = study.ask(axes)
        point = {key: space.axes[key][place] for key, place in trial.params.items()}
        if point not in points:
            return point
    drawn = (space.point(place) for place in shuffled(space.size(), space.search.seed, len(points) + 1))
    return next(point for point in drawn if point not in points)


def result_of(space: Space, tried: Tried, *, running: bool = False) -> "FrozenTrial":
    """A point as Optuna knows it. One that was stopped early counts by its last rung, below all that went further."""
    from optuna.trial import TrialState, create_trial

    params = {key: space.axes[key].index(tried.point[key]) for key in space.axes}
    axes = {key: distribution(values) for key, values in space.axes.items()}
    if tried.value is None:
        state = TrialState.RUNNING if running else TrialState.FAIL
        return create_trial(state=state, params=params, distributions=axes)
    state = TrialState.COMPLETE if tried.rung == 1000 else TrialState.PRUNED
    rungs = {tried.rung: tried.value}
    return create_trial(state=state, value=tried.value, params=params, distributions=axes, intermediate_values=rungs)


def distribution(values: Sequence[Any]) -> "BaseDistribution":
    """Places of an axis: neighbours are alike where the values are numbers in their order."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    numbers = all(isinstance(value, int | float) for value in values)
    if numbers and list(values) == sorted(values):
        return IntDistribution(0, len(values) - 1)
    return CategoricalDistribution(range(len(values)))
