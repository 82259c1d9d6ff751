"""What a space may say. Unknown keys are refused; every error is reported at once with its key."""

import itertools
import math
import random
from collections.abc import Iterator, Sized
from contextvars import ContextVar
from dataclasses import fields, replace
from itertools import islice
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tune_spaces.schema.data import Data
from tune_spaces.schema.part import LOADING, Part, Strict, as_written, refuse
from tune_spaces.schema.stages import keys_of_stages
from tune_spaces.schema.values import adapter_of, equal_values, problems_of
from workloads.analyses import analyses_of
from workloads.data.catalogue import CATALOGUE, default_fit
from workloads.errors import Problem, UserError, nearest
from workloads.keys import NO_AXIS, keys_of
from workloads.method import FittedMethod
from workloads.registry import WORKLOADS, method, reference
from workloads.scoring.selection import Select
from workloads.units import DataFacts, ImageShape

PresetName = Literal["paper", "reduced", "smoke"]
FOLDER_CALIBRATION = 0.2
"""Of the normal images of an own folder: 500 of them give a threshold for a false-alarm rate of 1 %, and a fifth fewer
to learn from costs a detector little."""
EARLIER_FOLDER = {"fit": "crop", "copies": "keep", "white_level": 65535}
"""How earlier versions, which had none of these keys, read an own folder."""
MOST_VALUES, MOST_TRIALS = 10_000, 100_000
"""Of an axis, and of a run. More is a slip of the hand, and would fill the memory before anybody sees it."""
STORED: ContextVar[bool] = ContextVar("STORED", default=False)
"""True while a run's space is read. It was checked when it was launched, and its method may be code of others."""


def known_workload(name: str) -> str:
    """The name of a method of the table; of all others the import path, which needs no installed metadata elsewhere."""
    if not checked(name):
        return name
    try:
        method(name)
    except UserError as error:
        raise ValueError("; ".join(filter(None, (error.headline, error.where, error.fix)))) from error
    return name if name in WORKLOADS else reference(name)


def checked(workload: str | None) -> bool:
    """Whether what a space says of its method is checked: not where the method is there by name alone, of a run's."""
    return bool(workload) and (workload in WORKLOADS or not STORED.get())


class Search(Part):
    """Which points of the axes' product are tried."""

    kind: Literal["random", "grid", "optuna"] = "random"
    points: int = Field(default=32, ge=1, description="points to try, random or chosen; a grid takes all")
    seed: int = 0
    random_start: int | None = Field(
        default=None, ge=1, description="optuna: so many points are random; by default a quarter of them"
    )
    at_once: int = Field(
        default=4, ge=1, description="optuna: so many points are chosen together, by all results before them"
    )

    def start(self, size: int) -> int:
        """Points that are known before anything has run, of `size` that there are."""
        if self.kind == "grid":
            return size
        points = min(size, self.points)
        if self.kind == "random":
            return points
        return min(points, self.random_start or max(1, points // 4))

    def read_keys(self) -> dict[str, Any]:
        """What it says, without keys that its kind does not read."""
        unread = () if self.kind == "optuna" else ("random_start", "at_once")
        return {name: value for name, value in self.model_dump(mode="json").items() if name not in unread}


class Scheduler(Part):
    """When trials are compared and stopped. Rungs lie at first_rung, first_rung * eta, ... and at the end."""

    kind: Literal["asha", "fifo"] = "asha"
    eta: int = Field(default=3, ge=2, description="one trial in eta is promoted at a rung")
    first_rung: float = Field(
        default=0.04, gt=0, le=1, description="fraction of the schedule before the first comparison"
    )

    def rungs(self) -> list[int]:
        """Points of the schedule, in thousandths, at which a trial is evaluated; the last, and `fifo`'s only one, is
        1000."""
        if self.kind == "fifo":
            return [1000]
        count = math.ceil(math.log(1 / self.first_rung) / math.log(self.eta) - 1e-9)
        early = {round(1000 * self.first_rung * self.eta**i) for i in range(count)}
        return [*sorted(r for r in early if 0 < r < 1000), 1000]


class Resources(Part):
    """What one trial gets. `units` gives whole networks to workers; `batches` shares every batch of every network."""

    workers: int = Field(default=1, ge=1)
    min_workers: int | None = Field(
        default=None, ge=1, description="elastic: while workers are lost, training goes on with as few; share 'batches'"
    )
    cpus_per_worker: float = Field(default=1, gt=0)
    gpus_per_worker: float = Field(default=0, ge=0, description="a fraction shares one GPU between workers")
    share: Literal["units", "batches"] = "units"

    @property
    def least_workers(self) -> int:
        """The fewest that a trial can run with."""
        return self.min_workers or self.workers

    @property
    def sharing_a_gpu(self) -> int:
        """Workers that share one GPU; 0 where a worker takes one or several GPUs whole, or none."""
        share = self.gpus_per_worker
        return math.floor(1 / share + 1e-9) if 0 < share < 1 else 0

    @model_validator(mode="after")
    def consistent(self) -> Self:
        if self.min_workers is not None and self.min_workers > self.workers:
            refuse([Problem("min_workers", f"must be at most workers, {self.workers}")])
        if self.min_workers is not None and self.share != "batches":
            refuse([Problem("min_workers", "needs share 'batches': only workers that share batches can be fewer")])
        return self


class Preset(Part):
    """Scales schedules, widths and counts; never the method."""

    config: dict[str, Any] = Field(default_factory=dict)
    max_train_images: int | None = Field(default=None, ge=4)
    max_out_images: int | None = Field(default=None, ge=1)
    max_auxiliary_images: int | None = Field(default=None, ge=4, description="of each source")
    classes: tuple[str, ...] | None = None
    points: int | None = Field(default=None, ge=1)
    first_rung: float | None = Field(default=None, gt=0, le=1)


class Space(Strict):
    """A question: a method, data, what is fixed, what varies, how it is searched and how the winner is chosen."""

    workload: Annotated[str, AfterValidator(known_workload)] = "mlsad"
    data: Data
    fixed: dict[str, Any] = Field(default_factory=dict, description="config keys that every point shares")
    axes: dict[str, tuple[Any, ...]] = Field(default_factory=dict, description="config key -> values to try")
    search: Search = Search()
    seeds: int = Field(default=1, ge=1, le=1000, description="trainings of each point, with seeds from `seed` on")
    scheduler: Scheduler = Scheduler()
    select_by: Select = Field(default="contrastive", description="oracle looks at test labels: a leak, labelled as one")
    resources: Resources = Resources()
    analyses: tuple[str, ...] = Field(default=(), description="of the winner, once the sweep has ended")
    presets: dict[PresetName, Preset] = Field(default_factory=dict)
    preset: PresetName = "paper"

    def __init__(self, **values: Any) -> None:
        token = LOADING.set(False)  # from here on a faulty part is an error
        try:
            super().__init__(**as_written(values))
        finally:
            LOADING.reset(token)

    @field_validator("fixed")
    @classmethod
    def known_keys(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if checked(info.data.get("workload")):
            refuse(problems_of(info.data["workload"], value))
        return value

    @field_validator("axes", mode="before")
    @classmethod
    def bounded_axes(cls, value: Any) -> Any:
        """Refuses what is too long before anything is made of it; a generator may have no end."""
        if not isinstance(value, dict):
            return value
        taken = {k: tuple(islice(v, MOST_VALUES + 1)) if isinstance(v, Iterator) else v for k, v in value.items()}
        too_long = [str(k) for k, v in taken.items() if isinstance(v, Sized) and len(v) > MOST_VALUES]
        refuse(Problem(key, f"has more than {MOST_VALUES:,} values") for key in too_long)
        return taken

    @field_validator("axes")
    @classmethod
    def known_axes(cls, value: dict[str, tuple[Any, ...]], info: ValidationInfo) -> dict[str, tuple[Any, ...]]:
        workload: str = info.data.get("workload", "")
        workload = workload if checked(workload) else ""
        problems = [Problem(key, "has no values") for key, values in value.items() if not values]
        problems += [Problem(k, "has a value twice") for k, v in value.items() if len({*map(repr, v)}) < len(v)]
        for key, values in value.items() if workload else ():
            faults = list(dict.fromkeys(p for v in values for p in problems_of(workload, {key: v})))
            problems += faults or ([] if STORED.get() else equal_values(workload, key, values))
        fixed, shared = info.data.get("fixed", {}), keys_of(method(workload).Config, *NO_AXIS) if workload else ()
        problems += [Problem(key, "is in both `fixed` and `axes`") for key in value if key in fixed]
        once = "is one value a sweep; launch once a value, with --set"
        refuse([*problems, *(Problem(key, once) for key in value if key in shared)])
        return value

    @field_validator("select_by")
    @classmethod
    def known_selection(cls, value: Select, info: ValidationInfo) -> Select:
        selections = method(info.data["workload"]).selections if checked(info.data.get("workload")) else (value,)
        if value not in selections:
            others = ", ".join(selections)
            raise ValueError(f"{info.data['workload']} cannot be selected by {value!r}, only by {others}")
        return value

    @field_validator("analyses")
    @classmethod
    def known_analyses(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        names = analyses_of(method(info.data["workload"])) if checked(info.data.get("workload")) else value
        refuse(Problem("", f"no analysis {n!r}; {nearest(n, names)}") for n in value if n not in names)
        return value

    @field_validator("presets")
    @classmethod
    def known_presets(cls, value: dict[PresetName, Preset], info: ValidationInfo) -> dict[PresetName, Preset]:
        refuse(
            Problem(f"{name}.config.{p.key}", p.message)
            for name, preset in value.items()
            for p in (problems_of(info.data["workload"], preset.config) if checked(info.data.get("workload")) else ())
        )
        return value

    @model_validator(mode="after")
    def consistent(self) -> Self:
        if not checked(self.workload):
            return self
        first = {key: values[0] for key, values in self.axes.items()}
        points = [first | {key: value} for key, values in self.axes.items() for value in values] or [{}]
        pooled, known = self.data.protocol == "in_out", CATALOGUE[self.data.name]
        facts = DataFacts(
            shape=ImageShape(known.channels, self.data.side, self.data.side),
            pooled=pooled,
            auxiliary=bool(self.data.auxiliary),
            classes=len(known.classes or ()) if pooled else 1,
            select_by=self.select_by,
        )
        shared = self.resources.share == "batches"
        together = range(self.resources.least_workers, self.resources.workers + 1) if shared else (1,)
        instances = [method(self.workload)(self.config(point)) for point in points]
        messages = [m for n in together for i in instances for m in i.check(replace(facts, workers=n))]
        problems = [Problem(key, message) for key, message in dict.fromkeys(messages)]
        halved = self.scheduler.rungs() != [1000]
        if self.select_by == "oracle" and halved and pooled:
            late = "'oracle' knows nothing before the end, when the out sets are scored; use 'fifo'"
            problems.append(Problem("scheduler.kind", late))
        problems += [*self.seed_problems(), *self.search_problems()]
        trials = self.trials
        if trials > MOST_TRIALS:
            message = f"{trials:,} trials are more than {MOST_TRIALS:,}; search a random part, with fewer points"
            problems.append(Problem("search", message))
        if self.presets and self.preset not in self.presets:
            problems.append(Problem("preset", f"{self.preset!r} is not among the presets {', '.join(self.presets)}"))
        refuse(problems)
        return self

    def size(self) -> int:
        """Points of the whole grid."""
        return math.prod(len(values) for values in self.axes.values())

    @property
    def unfolds(self) -> bool:
        """Whether trials are chosen, or wait for each other, as the run goes."""
        return self.search.kind == "optuna" or self.seeds > 1

    @property
    def trials(self) -> int:
        """How many there will be, those that a search chooses later among them."""
        points = self.size() if self.search.kind == "grid" else min(self.size(), self.search.points)
        return points * self.seeds

    @property
    def together(self) -> int:
        """How many trials may run at a time: of those that a search chooses, a round."""
        return self.trials if self.search.kind != "optuna" else min(self.trials, self.search.at_once * self.seeds)

    def seed_problems(self) -> Iterator[Problem]:
        """Why points cannot be repeated."""
        names = [field.name for field in fields(method(self.workload).Config)]
        if self.seeds > 1 and "seed" in self.axes:
            yield Problem("seeds", "the seed is an axis already; leave the one or the other out")
        if self.seeds > 1 and "seed" not in names:
            yield Problem("seeds", f"{self.workload} has no key `seed`: all repetitions would be equal; leave it out")

    def search_problems(self) -> Iterator[Problem]:
        """Why points cannot be chosen as the run goes."""
        if self.search.kind != "optuna":
            return
        if not self.axes:
            yield Problem("search.kind", "'optuna' has nothing to choose: the space has no axes")
        if self.select_by == "oracle":
            leak = "'optuna' would choose points by test labels; select by another criterion, or search 'random'"
            yield Problem("search.kind", leak)
        points = min(self.size(), self.search.points)
        if self.search.random_start and self.search.random_start >= points:
            yield Problem("search.random_start", f"leaves nothing to choose of {points} points; give it fewer")
        for key in keys_of_stages(self):
            shared = "shared stages depend on it, and these are trained before points are chosen"
            yield Problem(f"axes.{key}", f"{shared}; fix it with --set {key}=VALUE, or search 'random' or 'grid'")

    def method(self, point: dict[str, Any]) -> Any:
        """The method at a point."""
        return method(self.workload)(self.config(point))

    def along(self, key: str) -> Iterator[dict[str, Any]]:
        """The points that have each value of an axis, and of the others the first."""
        first = {name: values[0] for name, values in self.axes.items()}
        return (first | {key: value} for value in self.axes[key])

    def points(self) -> list[dict[str, Any]]:
        """The points that are known before anything has run, in order, each with all its seeds. Random points are
        distinct and the first n are the same for any number."""
        if self.search.kind == "grid":
            chosen = [dict(zip(self.axes, values, strict=True)) for values in itertools.product(*self.axes.values())]
        else:
            start = self.search.start(self.size())
            chosen = [self.point(number) for number in shuffled(self.size(), self.search.seed, start)]
        return [repeated for point in chosen for repeated in self.repeated(point)]

    def repeated(self, point: dict[str, Any]) -> list[dict[str, Any]]:
        """A point with each of its seeds."""
        if self.seeds == 1:
            return [point]
        first = self.config(point).seed
        return [point | {"seed": first + number} for number in range(self.seeds)]

    def point(self, number: int) -> dict[str, Any]:
        """The point of this number in the grid, whose last axis varies fastest; the grid itself is not made."""
        values = {}
        for key, axis in reversed(self.axes.items()):
            number, place = divmod(number, len(axis))
            values[key] = axis[place]
        return {key: values[key] for key in self.axes}

    def config(self, point: dict[str, Any]) -> Any:
        """The workload's config at one point. Raises pydantic's ValidationError."""
        return adapter_of(method(self.workload).Config).validate_python(self.fixed | point)


def shuffled(count: int, seed: int, first: int) -> list[int]:
    """The first numbers of `range(count)` in a random order: as `random.sample` of all of them draws it, without
    making the rest."""
    draws, moved, numbers = random.Random(seed), dict[int, int](), []  # noqa: S311
    for left in range(count, max(0, count - first), -1):
        drawn = draws.randrange(left)
        numbers.append(moved.get(drawn, drawn))
        moved[drawn] = moved.get(left - 1, left - 1)
    return numbers


def stored(values: dict[str, Any]) -> Space:
    """The space of a run, without running code of the run's own: what it says of a method from outside is not checked.

    Raises pydantic's ValidationError."""
    data = values["data"]
    if data["name"] == "folder" and "fit" not in data:
        values = values | {"data": EARLIER_FOLDER | data}
    token = STORED.set(True)
    try:
        return Space.model_validate(values)
    finally:
        STORED.reset(token)


def fits_in_one_go(workload: str) -> bool:
    """Whether a method's thresholds rest on all its training images, each scored by a fit without it."""
    return issubclass(method(workload), FittedMethod)


def resolve(space: Space) -> Space:
    """The space with its preset written into its keys; axes win over the preset where both name a key."""
    preset, values = space.presets.get(space.preset, Preset()), space.model_dump()
    for key in ("max_train_images", "max_out_images", "classes"):
        if (value := getattr(preset, key)) is not None:
            values["data"][key] = value
    if values["data"]["fit"] is None and space.data.name == "folder":
        values["data"]["fit"] = default_fit(space.data.name)
    if values["data"]["calibration_fraction"] is None and space.data.name == "folder":
        values["data"]["calibration_fraction"] = 0.0 if fits_in_one_go(space.workload) else FOLDER_CALIBRATION
    if preset.max_auxiliary_images is not None:
        for source in values["data"]["auxiliary"]:
            source["max_images"] = preset.max_auxiliary_images
    values["fixed"] |= {key: value for key, value in preset.config.items() if key not in space.axes}
    if preset.points is not None:
        values["search"]["points"] = preset.points
    if preset.first_rung is not None:
        values["scheduler"]["first_rung"] = preset.first_rung
    return Space.model_validate(values | {"presets": {}})
