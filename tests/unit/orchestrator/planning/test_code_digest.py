"""What code means: digests that only an edit of what it does changes, and the modules that they are of."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.planning import code_digest
from orchestrator.planning.code_digest import NO_NUMBER, code_of, followed, packages_of, read
from orchestrator.planning.identity import roots_of
from tests.helpers import edits
from workloads.flows.method import Flows
from workloads.klods.method import Klods
from workloads.mlsad.method import MLSAD
from workloads.patch_memory.method import PatchMemory

SAMPLE = Path(__file__).parents[3] / "data" / "code_sample.txt"
MEANING = "0daa4a7f6e8f"
ROOT = Path(__file__).parents[4]
LEARNER = '''"""A learner."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

RATE: float = 0.5
"""Of learning."""


@dataclass
class Learner:
    """Learns."""

    size: int = 3
    names: ClassVar[list[str]] = []

    def step(self, values: Sequence[float]) -> float:
        """One step."""
        total: float = 0.0
        for value in values:
            total += RATE * math.sqrt(value)  # slow
        return total
'''


def interpreters(version):
    """Where a Python of that version may be: on the path, or among pyenv's."""
    named = [shutil.which(f"python{version}")] if version != sys.version_info[:2] else [sys.executable]
    return [*filter(None, named), *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]


def meaning_under(version):
    """The sample's digest as a Python of that version has it; None where there is none on this machine."""
    script = (
        f"import runpy; print(runpy.run_path({code_digest.__file__!r})['read'](open({str(SAMPLE)!r}).read()).meaning)"
    )
    for path in interpreters(version):
        done = subprocess.run([path, "-I", "-W", "ignore", "-c", script], capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout.strip()
    return None


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_a_samples_digest_is_the_same_under_every_python(version):
    if (digest := meaning_under(version)) is None:
        pytest.skip(f"there is no Python {version} here")
    assert digest == MEANING


@pytest.mark.parametrize("edit", edits.WITHOUT_MEANING, ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("text", [LEARNER, SAMPLE.read_text()], ids=["learner", "sample"])
def test_what_changes_nothing_does_not_change_the_digest(edit, text):
    assert edit(text) != text
    assert read(edit(text)).meaning == read(text).meaning


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE: float = 0.5", "RATE: float = 0.25"),
        ("0.0", "0"),
        ("+=", "-="),
        ("math.sqrt", "math.exp"),
        ("import math", "import cmath as math"),
        ("size: int = 3", "size: int = 4"),
        ("size: int = 3", "size: float = 3"),  # of a dataclass it is what its values are made
        ("values:", "others:"),
        ("step(self, values: Sequence[float])", "step(self, values: Sequence[float] = ())"),
        ("return total", "return -total"),
    ],
)
def test_every_change_of_what_is_done_changes_the_digest(old, new):
    assert LEARNER.count(old) == 1 or old in ("0.0", "values:")
    assert read(LEARNER.replace(old, new)).meaning != read(LEARNER).meaning


@pytest.mark.parametrize("base", ["", "(ABC)", "(Protocol)", "(Generic[T])"])
def test_annotations_of_a_class_that_makes_nothing_of_them_do_not_count(base):
    plain, other = (f"class Scorer{base}:\n    parts: {kind}\n    size: {kind} = 3\n" for kind in ("int", "'Tensor'"))
    assert read(plain).meaning == read(other).meaning
    assert read(plain).meaning != read(plain.replace("= 3", "= 4")).meaning


@pytest.mark.parametrize("head", ["@dataclass\nclass Row:", "class Row(NamedTuple):", "class Row(Model, kw=1):"])
def test_annotations_of_a_class_that_may_make_something_of_them_count_but_for_those_of_the_class(head):
    plain, other = (f"{head}\n    names: ClassVar[{kind}] = ()\n    size: int\n" for kind in ("str", "int"))
    assert read(plain).meaning == read(other).meaning
    assert read(plain).meaning != read(plain.replace("size: int", "size: float")).meaning


def test_an_import_counts_where_something_needs_it_and_in_a_package_always():
    assert read("import a\nimport b\na, b").meaning == read("import b\nimport a\na, b").meaning
    assert read("import a\n\ndef f(x: a.B) -> 'a.C': return 1\n").meaning == read("def f(x): return 1\n").meaning
    needing = ["def f(x: B): return B\n", "__all__ = ['B']\n", "def f():\n    from a import B\n    return B\n"]
    for text in needing:
        assert read(f"from a import B\n{text}").meaning != read(f"from c import B\n{text}").meaning
    assert read("from a import B\n", package=True).meaning != read("from c import B\n", package=True).meaning


FILES = {
    "house/__init__.py": "raise RuntimeError('reading is not running')\n",
    "house/learner.py": "import torch\nfrom house import net\nfrom .deep.layers import Layer\n\n\n"
    "def late():\n    from house.late import x\n",
    "house/net.py": "from typing import TYPE_CHECKING\nimport house.learner, other.thing, os\n\n"
    "if TYPE_CHECKING:\n    import house.types\nelse:\n    import house.running\n",
    "house/deep/__init__.py": "",
    "house/deep/layers.py": "from .. import shared\nfrom . import sibling as s\nfrom scipy.stats import *\nLayer = 1\n",
    "house/deep/sibling.py": "",
    "house/shared.py": "",
    "house/late.py": "x = 1\n",
    "house/types.py": "",
    "house/running.py": "",
    "house/unused.py": "",
    "house/lazy/__init__.py": "def __getattr__(name):\n    from house.lazy import heavy\n    return heavy.x\n",
    "house/lazy/light.py": "",
    "house/lazy/heavy.py": "",
    "other/thing.py": "",
}


@pytest.fixture
def house(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "house"


def test_modules_are_followed_within_their_package_wherever_it_lies_and_never_run(house):
    sources = followed(["house.learner"])
    top = ["house", "house.deep", "house.deep.layers", "house.deep.sibling", "house.late"]
    assert list(sources) == [*top, "house.learner", "house.net", "house.running", "house.shared"]
    assert not {name for name in sys.modules if name.partition(".")[0] == "house"}
    assert packages_of(sources.values()) == {"torch", "scipy", "house", "other"}


def test_imports_inside_functions_of_a_shallow_module_are_not_followed(house):
    assert "house.late" not in followed(["house.learner"], shallow=["house.learner"])


def test_a_package_around_a_module_imports_what_it_imports_at_once_and_a_name_of_it_the_rest(house):
    (house / "light.py").write_text("import house.lazy.light\n")
    (house / "heavy.py").write_text("from house.lazy import x\n")
    assert list(followed(["house.light"])) == ["house", "house.lazy", "house.lazy.light", "house.light"]
    assert list(followed(["house.heavy"])) == ["house", "house.heavy", "house.lazy", "house.lazy.heavy"]


def test_a_root_that_is_nowhere_is_an_error(house):
    with pytest.raises(ModuleNotFoundError, match=r"house\.nowhere"):
        followed(["house.nowhere"])


TINY_FLOW = {"scales": 2, "steps": 2, "hidden": 8, "batch_size": 8, "general_batch_size": 8, "epochs": 1.0}
TINY_FLOW |= {"general_epochs": 1.0, "init_batches": 2}
TINY_MLSAD = {"width": 0.0625, "levels": [4], "generator_epochs": 1.0, "detector_epochs": 1.0, "bank_size": 16}
TINY_MLSAD |= {"generator_batch_size": 8}
KLODS_FLOW = {key: value for key, value in TINY_FLOW.items() if not key.startswith("general")}
MEMORY = {"features": "random", "memory": 20, "candidates": 40}
METHODS = {
    MLSAD: (TINY_MLSAD, ["generator/3/level_2", "detector/3/level_4"]),
    Flows: (TINY_FLOW | {"outlier_loss": "ratio"}, ["flow/general/flow", "detector/3/flow"]),
    Klods: (KLODS_FLOW | {"group_sizes": [1, 5]}, ["flow/3/flow", "detector/3/groups"]),
    PatchMemory: (MEMORY, ["detector/3/whole"]),
}


def modules_of_training(method_type, config, units, folder):
    """(modules before, modules after) of training each unit."""
    words = [f"{method_type.__module__}:{method_type.__name__}", json.dumps(config), str(folder), *units]
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "helpers" / "train_unit.py", *words],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return [tuple(map(set, json.loads(line).values())) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("method_type", METHODS, ids=lambda method_type: method_type.name)
def test_what_a_unit_imports_while_it_trains_and_is_scored_is_in_its_digest(method_type, tmp_path):
    config, units = METHODS[method_type]
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    instance = method_type(method_type.Config(**values))
    everything, seen = [*instance.stages(["3"]), *instance.units(["3"])], set()
    for name, (before, after) in zip(units, modules_of_training(method_type, config, units, tmp_path), strict=True):
        unit = next(unit for unit in everything if str(unit) == name)
        scoring = [] if unit in instance.stages(["3"]) else ["workloads.scoring.evaluate"]
        listed = code_of(*roots_of(instance, [unit], *scoring)).modules.keys()
        # a method whose own module is not in the list lets another one train: see its `code`
        used = after if method_type.__module__ in listed else after - before
        assert used - set(NO_NUMBER) <= listed, name
        seen |= after
        assert listed <= seen, name  # nothing is in vain, but for what a stage that the unit needs has imported


def test_no_file_of_a_loader_an_analysis_or_a_picture_is_in_a_digest():
    find = code_digest.finder()
    for method_type in METHODS:
        instance = method_type(method_type.Config())
        listed = code_of(*roots_of(instance, [*instance.stages(["3"]), *instance.units(["3"])])).modules
        assert not [name for name in listed if "loaders" in name or "analyses" in name or "figures" in name]
        assert all(ast.parse(code_digest.source_of(find(name))) for name in listed)
