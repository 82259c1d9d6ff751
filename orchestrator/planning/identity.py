"""What makes a trial, a stage or a run another one: hashes of its config, its data and its code."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.planning.code_digest import (
    Code,
    Codes,
    Roots,
    all_distributions,
    code_of,
    content_hash,
    followed,
    joined,
    packages_of,
    plain,
)
from tune_spaces.schema import Space
from workloads.errors import UserError
from workloads.keys import ROLES_OF_TRIALS, keys_of
from workloads.method import FittedMethod
from workloads.registry import code_of as method_file
from workloads.registry import is_installed, method, reference, top_module
from workloads.units import Unit

if TYPE_CHECKING:
    from orchestrator.planning.plan import Plan

TRAINING = ("workloads.training.loop", "workloads.training.batches")
FITTING = ("workloads.training.fitted",)
SCORING = ("workloads.scoring.evaluate",)
BASELINES = ("workloads.scoring.baselines",)
"""Modules that all training, methods that fit in one go, scoring of trials and the baselines begin from."""
BASE = "workloads.method"
METRICS = ("orchestrator.results.evaluation", "workloads.scoring.metrics")
"""Modules that make numbers of score files: no id depends on them, but a run's numbers are all of the same."""


@dataclass(frozen=True)
class Identity:
    """What a run's numbers depend on: digests of its images and of its code, the latter in detail as well.

    modules: name -> digest of what it does. packages: name -> major.minor. baselines: digest of the baselines' code. A
    run of an earlier version has `data` and `code` alone.
    """

    data: str
    code: str
    modules: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    baselines: str = ""

    @property
    def baselines_code(self) -> str:
        return self.baselines or self.code

    @cached_property
    def baseline_keys(self) -> dict[str, str]:
        """Under which keys the scores of scikit-learn's baselines lie in a storage, by their names."""
        from workloads.scoring import baselines  # pyarrow, which a plan does without

        made_of = {"data": self.data, "code": self.baselines_code}
        return {name: content_hash(made_of | {"baseline": name}, 16) for name in baselines.BASELINES}

    def same_code(self, other: "Identity") -> bool:
        return (self.code, self.baselines_code) == (other.code, other.baselines_code)


@dataclass(frozen=True)
class StagePlan:
    """A shared stage with its identity. `config`: of the first point that needs it; others make the same stage."""

    unit: Unit
    key: str
    config: dict[str, Any]
    needs: dict[str, str]  # str(unit) of the stages it reads -> their keys


@dataclass(frozen=True)
class TrialPlan:
    """One trial with its identity: everything that determines its numbers."""

    id: str
    point: dict[str, Any]
    config: dict[str, Any]
    stages: dict[str, str]  # str(unit) of its stages -> their keys


class Identified(NamedTuple):
    """What a plan is made of. stages: the distinct ones of all trials, those that others need first. baselines: as
    `Identity.baseline_keys`."""

    identity: Identity
    trials: tuple[TrialPlan, ...]
    stages: list[StagePlan]
    baselines: Mapping[str, str]


def question(space: Space) -> dict[str, Any]:
    """What a space asks, without what changes no number of a trial: the workers it runs on, what is looked at
    afterwards, keys that only analyses read or that only say how numbers are computed, presets not in use."""
    values = space.model_dump(mode="json", exclude={"resources", "analyses", "presets", "seeds"})
    values |= {"search": space.search.read_keys()} | ({"seeds": space.seeds} if space.seeds > 1 else {})
    counting = keys_of(method(space.workload).Config, *ROLES_OF_TRIALS)
    return values | {"fixed": {name: value for name, value in values["fixed"].items() if name in counting}}


def run_name(name: str, space: Space, preset: str, code: Code) -> str:
    """A run's name when the user gives none: same question and code, same name, so launching again continues it."""
    made_of = {"space": question(space), "code": code.digest}
    return f"{safe_name(name)}-{preset}-{content_hash(made_of, 8)}"


def identify(
    plan: "Plan", data_digest: str, target_digests: Mapping[str, str], codes: Codes | None = None
) -> Identified:
    """What the numbers of a plan depend on, with its trials and their stages. Machine, workers and storage do not
    enter, nor keys that change no number. codes: by default of the modules as they lie here."""
    codes, distinct, trials = Codes() if codes is None else codes, dict[str, StagePlan](), []
    for point, instance in zip(plan.points, plan.methods, strict=True):
        config, roots = trial_config(instance.config), roots_of(instance, instance.units(plan.targets), *SCORING)
        needed = stages_of(instance, plan.targets, target_digests, codes)
        stages = {str(stage.unit): stage.key for stage in needed}
        for stage in needed:
            distinct.setdefault(stage.key, stage)
        made_of = {
            "method": plan.space.workload,
            "config": plain(config),
            "data": data_digest,
            "rungs": plan.rungs,
            "targets": plan.targets,
            "stages": stages,
            "code": asdict(codes[roots]),
        }
        trials.append(TrialPlan(content_hash(made_of), point, plain(asdict(instance.config)), stages))
    sources = followed(METRICS)
    code = joined([*codes.values(), Code({name: sources[name].meaning for name in METRICS}, {})])
    baselines = code_of(BASELINES, adds=["sklearn"])  # no method's edit scores them again
    identity = Identity(data_digest, code.digest, code.modules, code.packages, baselines.digest)
    return Identified(identity, tuple(trials), list(distinct.values()), identity.baseline_keys)


def stages_of(
    instance: Any,
    targets: Sequence[str],
    target_digests: Mapping[str, str],
    codes: Codes,
    there: Mapping[str, str] | None = None,
) -> list[StagePlan]:
    """The stages of a method with their keys, those that others need first.

    there: str(unit) -> key of stages that stay what they are, whatever they were made of.
    """
    stages: dict[str, StagePlan] = {}
    for unit in in_order(instance, targets):
        roots, needs = roots_of(instance, [unit]), {str(need): stages[str(need)].key for need in instance.needs(unit)}
        made_of = {
            "unit": str(unit),
            "config": plain(instance.stage_config(unit)),
            "data": target_digests[unit.target],
            "code": asdict(codes[roots]),
            "needs": needs,
        }
        key = (there or {}).get(str(unit)) or content_hash(made_of, 16)
        stages[str(unit)] = StagePlan(unit, key, plain(asdict(instance.config)), needs)
    return list(stages.values())


def stages_of_trials(
    trials: Iterable[TrialPlan], methods: Mapping[str, Any], targets: Sequence[str]
) -> list[StagePlan]:
    """All distinct stages of trials, under the keys that these have, those that others need first. methods: by id."""
    stages: dict[str, StagePlan] = {}
    for trial in trials:
        instance = methods[trial.id]
        for unit in in_order(instance, targets):
            needs = {str(need): trial.stages[str(need)] for need in instance.needs(unit)}
            key = trial.stages[str(unit)]
            stages.setdefault(key, StagePlan(unit, key, trial.config, needs))
    return list(stages.values())


def in_order(instance: Any, targets: Sequence[str]) -> Iterator[Unit]:
    """The stages of a method, those that others need first."""
    yield from TopologicalSorter({unit: instance.needs(unit) for unit in instance.stages(targets)}).static_order()


def roots_of(instance: Any, units: Iterable[Unit], *others: str) -> Roots:
    """What `code_of` takes, of training units of a method; others: more roots.

    What a method's own module imports inside its functions counts where `code(unit)` names that module alone: beside
    others, they are what the unit needs of it.
    """
    home = type(instance).__module__
    others = (*others, *(FITTING if isinstance(instance, FittedMethod) else ()))
    named = sorted({instance.code(unit) for unit in units})
    roots = dict.fromkeys((*TRAINING, *others, *(name for names in named for name in names)))
    return tuple(roots), (BASE,) if (home,) in named else (BASE, home), instance.packages()


def code_of_methods(methods: Iterable[Any], targets: Sequence[str]) -> Code:
    """All code that trials and stages of methods depend on."""
    roots = dict.fromkeys(
        roots
        for instance in methods
        for roots in (
            *(roots_of(instance, [unit]) for unit in instance.stages(targets)),
            roots_of(instance, instance.units(targets), *SCORING),
        )
    )
    return joined(code_of(*item) for item in roots)


OURS = ("orchestrator", "tune_spaces", "workloads")
"""Packages that are on every node, also where they lie beside a method, as beside our examples."""


def check_travels(workload: str) -> None:
    """Raises UserError for a method from outside the tree that imports what lies beside it: its own top module alone
    is kept with the run and goes to workers."""
    code = method_file(workload)
    if code is None or is_installed(code):
        return
    module, place = reference(workload).partition(":")[0], [str(code.parent)]
    imported = packages_of(followed([module]).values()) - {top_module(workload), *OURS}
    beside = sorted(name for name in imported if PathFinder.find_spec(name, place))
    if beside := [name for name in beside if name not in all_distributions()]:  # a folder `wandb`, an editable package
        raise UserError(
            f"{module} imports {', '.join(beside)}, which lies beside it and would not travel with it",
            where=str(code),
            fix="make one package of them, a folder with an __init__.py, and name it 'package.module:Class'",
        )


def trial_config(config: Any) -> dict[str, Any]:
    """The part of a config that a trial's numbers depend on."""
    return {name: getattr(config, name) for name in keys_of(config, *ROLES_OF_TRIALS)}


def analysis_digest(config_type: type, config: Mapping[str, Any]) -> str:
    """Digest of the keys that only analyses read, of a config as plain data."""
    return content_hash({name: config[name] for name in keys_of(config_type, "analysis")})


def safe_name(text: str) -> str:
    """`text` as a single path piece: nothing but [a-z0-9_.-], never empty, never a dot path."""
    name = re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-.")
    return name[:64] or "unnamed"
