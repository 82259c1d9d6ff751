"""Methods from outside the tree: where they are looked for, and what is said of a reference that leads nowhere."""

import textwrap
from importlib.metadata import EntryPoint

import pytest

from orchestrator.clusters.code_package import SPACE_FOLDER, pack
from orchestrator.clusters.submission import users_files
from orchestrator.execution.from_request import request_of
from orchestrator.planning.options import Options, load_space
from orchestrator.record import method_code
from orchestrator.record.paths import RunPaths
from tests.helpers.commands import orchestrate, orchestrate_apart
from tune_spaces.schema import Data, Space
from tune_spaces.schema.load import load
from workloads import registry
from workloads.errors import UserError
from workloads.registry import code_of, look_in, method

GOOD = """
from dataclasses import dataclass
from workloads.keys import key
from workloads.method import FittedMethod

@dataclass(frozen=True)
class Config:
    power: float = key(1.0, above=0)
    seed: int = key(0)

class Mean(FittedMethod):
    name, Config = "mean", Config
    def fit(self, images):
        return {"mean": images.float().mean(0)}
    def score(self, fitted, images):
        return (images - fitted["mean"]).abs().mean((1, 2, 3)) ** self.config.power
"""
OTHERS = """
class NoMethod: pass
class Lacking(Mean):
    fit = None
from abc import abstractmethod
class Abstract(FittedMethod):
    name, Config = "abstract", Config
@dataclass
class Thawed:
    seed: int = 0
class Loose(Mean):
    Config = Thawed
@dataclass(frozen=True)
class Unseeded:
    width: int = 3
class Random(Mean):
    Config = Unseeded
"""
SPACE = "from tune_spaces.schema import Data, Space\nSPACE = Space(workload={!r}, data=Data(name='digits'), fixed={})\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with methods that is not the current one; what was looked in before comes back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "PLACES", [])
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "some_methods.py").write_text(GOOD + OTHERS)
    (folder / "broken_module.py").write_text("import no_such_package\n")
    (folder / "unread_module.py").write_text("def f(:\n")
    look_in(folder)
    return folder


def test_a_method_is_loaded_from_beside_the_space_and_its_file_is_what_travels(folder) -> None:
    assert method("some_methods:Mean").name == "mean"
    assert code_of("some_methods:Mean") == folder / "some_methods.py"
    assert code_of("mlsad") is None


def test_a_package_travels_as_its_folder(folder) -> None:
    (folder / "some_package" / "inner").mkdir(parents=True)
    (folder / "some_package" / "__init__.py").write_text("")
    (folder / "some_package" / "inner" / "__init__.py").write_text(GOOD)
    assert method("some_package.inner:Mean").name == "mean"
    assert code_of("some_package.inner:Mean") == folder / "some_package"


def test_the_first_place_wins_also_after_another_has_been_loaded(folder, tmp_path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "some_methods.py").write_text(GOOD.replace('"mean"', '"another"', 1))
    assert method("some_methods:Mean").name == "mean"
    look_in(other, folder)
    assert method("some_methods:Mean").name == "another"
    look_in(folder)
    assert method("some_methods:Mean").name == "mean"


def test_the_current_folder_comes_last(folder, tmp_path) -> None:
    (tmp_path / "here_methods.py").write_text(GOOD)
    assert method("here_methods:Mean").name == "mean"
    assert code_of("here_methods:Mean") == tmp_path / "here_methods.py"


def test_an_installed_method_is_called_by_its_entry_point(folder, monkeypatch) -> None:
    point = EntryPoint("mean_of_pixels", "some_methods:Mean", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.GROUP else [])
    assert method("mean_of_pixels").name == "mean"
    with pytest.raises(UserError, match="did you mean 'mean_of_pixels'"):
        method("mean_of_pixel")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mlsat", "no such workload; did you mean 'mlsad'"),
        ("some_methods:", "no such workload"),
        ("some_method:Mean", "no module 'some_method'; did you mean 'some_methods'"),
        ("some_methods:Meen", "has no 'Meen'; did you mean 'Mean'"),
        ("some_methods:NoMethod", "must be a class that extends workloads.method.Method"),
        ("some_methods:Abstract", "it lacks fit, score"),
        ("some_methods:Loose", "must be a frozen dataclass"),
        ("some_methods:Random", "has no `seed: int`"),
        ("broken_module:Mean", "importing broken_module fails: No module named 'no_such_package'"),
        ("unread_module:Mean", "importing unread_module fails: SyntaxError: invalid syntax"),
    ],
)
def test_a_bad_reference_is_named_with_the_nearest_good_one(folder, name, message) -> None:
    with pytest.raises(UserError) as error:
        method(name)
    assert message in str(error.value).replace("\n", " ")


@pytest.mark.parametrize(
    ("name", "fixed", "message"),
    [
        ("some_methods:Meen", {}, "workload: some_methods has no 'Meen'; did you mean 'Mean'?"),
        ("some_methods:Mean", {"pover": 2}, "fixed.pover: no such key of some_methods:Mean; did you mean 'power'?"),
        ("some_methods:Mean", {"power": 0.0}, "fixed.power: must be above 0, found 0.0"),
    ],
)
def test_a_dry_run_names_what_is_bad_in_a_space(folder, name, fixed, message) -> None:
    (folder / "space.py").write_text(textwrap.dedent(SPACE.format(name, fixed)))
    done = orchestrate("launch", folder / "space.py", "--dry-run", "--storage", folder / "runs")
    assert done.returncode == 2
    assert message in done.stderr


def test_a_run_keeps_the_methods_code_and_a_damaged_copy_is_none(folder, tmp_path) -> None:
    paths = RunPaths(str(tmp_path), "run")
    method_code.keep(paths, code_of("some_methods:Mean"))
    (copy,) = paths.code.glob("*/some_methods.py")
    (folder / "some_methods.py").write_text("raise RuntimeError\n")
    method_code.use(paths, "some_methods:Mean", str(folder / "space.py"))
    assert code_of("some_methods:Mean") == copy
    copy.write_text(copy.read_text() + "\n")
    assert method_code.stored(paths) is None


def test_the_space_of_a_run_is_loaded_with_the_methods_code_that_the_run_keeps(folder, tmp_path) -> None:
    space = Space(workload="some_methods:Mean", data=Data(name="folder", path="photos"), fixed={"power": 2.0})
    paths = RunPaths(str(tmp_path), "run")
    method_code.keep(paths, code_of("some_methods:Mean"))
    method_code.keep_space(paths, space, "Means.")
    (copy,) = paths.code.glob("*/some_methods.py")
    (folder / "some_methods.py").unlink()
    loaded = load(str(paths.folder / "space.py"))
    assert (loaded.space, loaded.doc) == (space, "Means.")
    assert code_of("some_methods:Mean") == copy


def test_stored_code_is_run_for_scoring_only_where_it_is_trusted(folder, tmp_path) -> None:
    paths = RunPaths(str(tmp_path), "run")
    with pytest.raises(UserError, match="trust-code"):
        method_code.require_trust(paths, "some_methods:Mean")
    method_code.require_trust(paths, "mlsad")


def test_a_space_keeps_the_import_path_of_an_installed_method_and_a_job_takes_its_name_along(
    folder, tmp_path, monkeypatch
) -> None:
    point = EntryPoint("mean_of_pixels", "some_methods:Mean", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    (folder / "space.py").write_text(SPACE.format("mean_of_pixels", {}))
    request = request_of(folder / "space.py", storage=tmp_path / "runs")
    assert request.space.workload == "some_methods:Mean"
    pack(tmp_path / "packed", users_files(request))
    words = ("launch", f"{SPACE_FOLDER}/space.py", "--dry-run", "--storage", tmp_path / "runs")
    done = orchestrate_apart(*words, cwd=tmp_path / "packed")  # the name is known there from what was packed alone
    assert done.returncode == 0, done.stderr


def test_a_submitted_job_takes_the_space_and_the_method_along(folder, tmp_path) -> None:
    (folder / "some_package").mkdir()
    (folder / "some_package" / "__init__.py").write_text(GOOD)
    (folder / "space.py").write_text(SPACE.format("some_package:Mean", {}))
    request = request_of(folder / "space.py", storage=tmp_path / "runs")
    pack(tmp_path / "packed", users_files(request))
    packed = tmp_path / "packed" / SPACE_FOLDER
    assert {file.relative_to(packed).as_posix() for file in packed.rglob("*.py")} == {
        "space.py",
        "some_package/__init__.py",
    }
    load_space(packed / "space.py", Options())
    assert code_of("some_package:Mean") == packed / "some_package"
