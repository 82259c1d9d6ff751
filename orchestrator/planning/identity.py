"""Names that say what a thing is made of: content hashes of configs, data, code and packages."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from orchestrator.planning.code_digest import followed, packages_of
from workloads.keys import ROLES_OF_TRIALS, keys_of
from workloads.method import FittedMethod
from workloads.units import Unit

TRAINING = ("workloads.training.loop", "workloads.training.batches")
FITTING = ("workloads.training.fitted",)
SCORING = ("workloads.scoring.evaluate",)
BASELINES = ("workloads.scoring.baselines",)
"""Modules that all training, methods that fit in one go, scoring of trials and the baselines begin from."""
BASE = "workloads.method"
METRICS = ("orchestrator.results.evaluation", "workloads.scoring.metrics")
"""Modules that make numbers of score files: no id depends on them, but a run's numbers are all of the same."""
NO_NUMBER = ("workloads", "workloads.errors", "workloads.files", "workloads.keys")
"""The door, messages, files and marks of keys: modules that units import and that change no number."""
SHARED = ("workloads.data.", "workloads.scoring.", "workloads.training.")
"""What these rooms import beside torch and numpy holds tables and files, and changes no number either."""
ALWAYS = ("torch", "numpy")
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}
"""Imported name -> package, where they differ; for others all installed packages are searched, which takes a while."""


@dataclass(frozen=True)
class Code:
    """What numbers are computed with. modules: name -> digest of what it does. packages: name -> major.minor."""

    modules: dict[str, str]
    packages: dict[str, str]

    @property
    def digest(self) -> str:
        return content_hash(asdict(self))


def content_hash(value: Any, length: int = 12) -> str:
    """Hex digest of plain data; the order of keys does not matter. Raises TypeError for other than plain data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def code_of(roots: Iterable[str], shallow: Collection[str] = (), adds: Iterable[str] = ()) -> Code:
    """The code that begins from `roots`; shallow: as `code_digest.followed` has it. adds: further imported names.

    Raises ModuleNotFoundError for a root that is nowhere.
    """
    roots = list(roots)
    sources = {name: source for name, source in followed(roots, shallow).items() if name not in NO_NUMBER}
    of_methods = [source for name, source in sources.items() if not name.startswith(SHARED)]
    names = {*ALWAYS, *adds, *packages_of(of_methods)} - {root.partition(".")[0] for root in roots}
    installed = (installed_version(name) for name in sorted(names))
    return Code({name: source.meaning for name, source in sources.items()}, dict(filter(None, installed)))


def installed_version(name: str) -> tuple[str, str] | None:
    """(package, its major.minor) of an imported name; None where no installed package has it."""
    for package in distributions(name):
        try:
            numbers = re.findall(r"\d+", version(package))
        except PackageNotFoundError:
            continue
        return package, ".".join(numbers[:2])
    return None


def distributions(name: str) -> Iterator[str]:
    """Packages that an imported name may come from, the likeliest first."""
    yield DISTRIBUTIONS.get(name, name)
    yield from packages_distributions().get(name, ())


def roots_of(instance: Any, units: Iterable[Unit], *others: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The roots and the shallow modules, as `code_of` takes them, of training units of a method; others: more roots.

    What a method's own module imports inside its functions counts where `code(unit)` names that module alone: beside
    others, they are what the unit needs of it.
    """
    home = type(instance).__module__
    others = (*others, *(FITTING if isinstance(instance, FittedMethod) else ()))
    named = sorted({instance.code(unit) for unit in units})
    roots = dict.fromkeys((*TRAINING, *others, *(name for names in named for name in names)))
    return tuple(roots), (BASE,) if (home,) in named else (BASE, home)


def joined(codes: Iterable[Code]) -> Code:
    """All of several codes together."""
    codes = list(codes)
    return Code(
        {name: digest for code in codes for name, digest in sorted(code.modules.items())},
        {name: numbers for code in codes for name, numbers in sorted(code.packages.items())},
    )


def code_of_baselines() -> Code:
    """The code of scikit-learn's baselines: no method's edit scores them again."""
    return code_of(BASELINES, adds=["sklearn"])


def code_of_metrics() -> Code:
    sources = followed(METRICS)
    return Code({name: sources[name].meaning for name in METRICS}, {})


def trial_config(config: Any) -> dict[str, Any]:
    """The part of a config that a trial's numbers depend on, as files have it: tuples are lists."""
    return plain({name: getattr(config, name) for name in keys_of(config, *ROLES_OF_TRIALS)})


def analysis_digest(config_type: type, config: Mapping[str, Any]) -> str:
    """Digest of the keys that only analyses read, of a config as plain data."""
    return content_hash({name: config[name] for name in keys_of(config_type, "analysis")})


def plain(values: Any) -> Any:
    """The same data in JSON's own types."""
    return json.loads(json.dumps(values))


def safe_name(text: str) -> str:
    """`text` as a single path piece: nothing but [a-z0-9_.-], never empty, never a dot path."""
    name = re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-.")
    return name[:64] or "unnamed"
