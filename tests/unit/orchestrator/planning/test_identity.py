"""What makes a trial or a stage another one, and what does not: edits of code, keys by their roles, packages."""

from dataclasses import fields, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_type_hints

import pytest

from orchestrator.planning import code_digest
from orchestrator.planning.code_digest import code_of
from orchestrator.planning.identity import BASELINES, check_travels, identify, question, roots_of
from tests.helpers import edits
from tests.helpers.plans import planned
from workloads import registry
from workloads.errors import UserError
from workloads.keys import Marks, config_problems, marks_of
from workloads.klods.flow_config import FIXED
from workloads.registry import WORKLOADS, method

EXAMPLES = Path(__file__).parents[4] / "examples"
SPACES = {"mlsad": "sweep_digits", "flow": "flow_digits", "klods": "klods_digits", "patch_memory": "patch_digits"}
DIGESTS = {"3": "images", "general": "images"}
METHODS = sorted(SPACES)
NOTHING, STAGES, TRIALS, BOTH = "nothing", "stages", "trials", "stages and trials"


def test_every_method_is_in_these_tests():
    assert sorted(WORKLOADS) == METHODS


def plan_of(workload, **options):
    return replace(planned(SPACES[workload], 2, preset="smoke", **options), targets=("3",))


def ids(workload):
    """(keys of the stages, ids of the trials, the baselines' digest, the default name of a run)."""
    plan = plan_of(workload)
    identity, trials, stages, _ = identify(plan, "data", DIGESTS)
    return [stage.key for stage in stages], [trial.id for trial in trials], identity.baselines, plan.run


@pytest.fixture(scope="module")
def before():
    return {workload: ids(workload) for workload in METHODS}


@cache
def edited_text(edit, text):
    """Once for all tests: it takes a while, and modules are read for every unit of every method."""
    return edit(text)


@pytest.fixture
def edited(monkeypatch):
    """Makes modules read as if they were edited: all whose names begin so."""

    def apply(edit, *modules):
        source_of = code_digest.source_of

        def text(spec):
            source = source_of(spec)
            return edited_text(edit, source) if spec.name.startswith(modules) and source else source

        monkeypatch.setattr(code_digest, "source_of", text)

    return apply


@pytest.mark.parametrize("edit", edits.WITHOUT_MEANING, ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("workload", METHODS)
def test_a_comment_a_docstring_a_format_or_an_annotation_anywhere_changes_no_id(workload, edit, before, edited):
    edited(edit, "workloads")
    assert ids(workload) == before[workload]


@pytest.mark.parametrize(
    ("module", "mlsad", "flow", "klods"),
    [
        ("workloads.mlsad.gan", BOTH, NOTHING, NOTHING),
        ("workloads.mlsad.networks.generator", BOTH, NOTHING, NOTHING),
        ("workloads.mlsad.contrast", TRIALS, NOTHING, NOTHING),
        ("workloads.mlsad.pooling", TRIALS, NOTHING, NOTHING),
        ("workloads.mlsad.method", BOTH, NOTHING, NOTHING),
        ("workloads.flows.learner", NOTHING, BOTH, BOTH),
        ("workloads.flows.networks.coupling", NOTHING, BOTH, BOTH),
        ("workloads.flows.method", NOTHING, BOTH, BOTH),
        ("workloads.klods.detector", NOTHING, NOTHING, TRIALS),
        ("workloads.klods.config", NOTHING, NOTHING, TRIALS),
        ("workloads.klods.method", NOTHING, NOTHING, TRIALS),
        ("workloads.mlsad.analyses", NOTHING, NOTHING, NOTHING),
        ("workloads.flows.analyses", NOTHING, NOTHING, NOTHING),
        ("workloads.klods.analyses", NOTHING, NOTHING, NOTHING),
        ("workloads.data.loaders", NOTHING, NOTHING, NOTHING),
        ("workloads.data.protocols", NOTHING, NOTHING, NOTHING),  # the images' digest says what they make
        ("workloads.figures", NOTHING, NOTHING, NOTHING),
        ("workloads.errors", NOTHING, NOTHING, NOTHING),
        ("workloads.registry", NOTHING, NOTHING, NOTHING),
        ("workloads.scoring.metrics", NOTHING, NOTHING, TRIALS),  # KLODS judges its splits by them
        ("orchestrator", NOTHING, NOTHING, NOTHING),
        ("workloads.scoring.evaluate", TRIALS, TRIALS, TRIALS),
        ("workloads.training.loop", BOTH, BOTH, BOTH),
        ("workloads.training.optimisers", BOTH, BOTH, BOTH),
    ],
)
def test_a_line_changes_what_is_made_with_it_and_nothing_else(module, mlsad, flow, klods, before, edited):
    edited(edits.line, module)
    for workload, expected in {"mlsad": mlsad, "flow": flow, "klods": klods}.items():
        stages, trials, baselines, run = ids(workload)
        assert changed(before[workload], stages, trials) == expected, workload
        assert baselines == before[workload][2]
        assert (run == before[workload][3]) == (expected == NOTHING), workload


def changed(before, stages, trials):
    """Which ids are other ones: all of a kind are, or none."""
    assert len(set(before[0]) & set(stages)) in (0, len(stages))
    assert len(set(before[1]) & set(trials)) in (0, len(trials))
    return {(False, False): NOTHING, (True, False): STAGES, (False, True): TRIALS, (True, True): BOTH}[
        stages != before[0], trials != before[1]
    ]


def test_an_edit_of_the_baselines_scores_them_again_and_changes_nothing_else(before, edited):
    edited(edits.line, "workloads.scoring.baselines")
    stages, trials, baselines, run = ids("mlsad")
    assert (stages, trials, run) == (*before["mlsad"][:2], before["mlsad"][3])
    assert baselines != before["mlsad"][2]


def other_config(config, key):
    """The config with another value of a key, which may be; None where the key has one value alone."""
    value, hint = getattr(config, key), get_type_hints(type(config))[key]
    if isinstance(value, bool):
        candidates = [not value]
    elif isinstance(value, str):
        candidates = get_args(hint) or ["channels", "z1"]
    elif isinstance(value, tuple):
        candidates = [value[:-1], (2,), (0.25, 0.5)]
    else:
        candidates = [value + 4, value * 2] if isinstance(value, int) else [value / 2 + 0.125]
    configs = [replace(config, **{key: other}) for other in candidates if other != value]
    fitting = (other for other in configs if key not in dict(config_problems(other)))
    return next(fitting, None)


def ids_of(workload, config):
    """({str(unit) of a stage: its key}, the trial's id) of a config."""
    instance = method(workload)(config)
    plan = SimpleNamespace(
        points=({},), methods=(instance,), targets=("3",), rungs=(1000,), space=SimpleNamespace(workload=workload)
    )
    (trial,) = identify(plan, "data", DIGESTS).trials
    return trial.stages, trial.id


@cache
def ids_of_defaults(workload):
    return ids_of(workload, method(workload).Config())


KEYS = [(name, item.name) for name in METHODS for item in fields(method(name).Config)]


@pytest.mark.parametrize(("workload", "key"), KEYS, ids=[f"{workload}-{key}" for workload, key in KEYS])
def test_a_key_changes_what_its_role_says(workload, key):
    config_type = method(workload).Config
    marks: Marks = marks_of(config_type)[key]
    other = other_config(config_type(), key)
    if other is None:
        assert (workload, key in FIXED) == ("klods", True)  # of a flow, and not to be changed there
        return
    (stages, trial), (others, other_trial) = ids_of_defaults(workload), ids_of(workload, other)
    both = stages.keys() & others.keys()  # keys that shape the set of units may take some away
    retrained = [unit for unit in both if stages[unit] != others[unit]]
    assert len(retrained) == (len(both) if marks.role == "stage" else 0)
    assert (other_trial == trial) == (marks.role in ("analysis", "execution"))


def test_a_run_keeps_its_name_where_only_keys_differ_that_change_no_trial():
    plain, other = plan_of("mlsad"), plan_of("mlsad", set=["fooling_steps=7", "map_levels=(2,)"])
    assert question(plain.space) == question(other.space)
    assert plain.run == other.run
    assert plan_of("mlsad", set=["noise=0.5"]).run != plain.run


def test_other_versions_of_packages_that_change_numbers_are_other_trials_and_stages(before, monkeypatch):
    version = code_digest.version
    monkeypatch.setattr(code_digest, "version", lambda name: "99.7.1" if name == "torch" else version(name))
    stages, trials, *_ = ids("mlsad")
    assert changed(before["mlsad"], stages, trials) == BOTH
    assert identify(plan_of("mlsad"), "data", DIGESTS)[0].packages["torch"] == "99.7"


def test_packages_are_torch_numpy_and_what_the_method_adds():
    names = {workload: set(identify(plan_of(workload), "data", DIGESTS)[0].packages) for workload in METHODS}
    assert names == {
        "mlsad": {"torch", "numpy"},
        "flow": {"torch", "numpy", "pillow"},
        "klods": {"torch", "numpy", "pillow", "scipy"},
        "patch_memory": {"torch", "numpy", "torchvision"},
    }
    assert "scikit-learn" in code_of(BASELINES, adds=["sklearn"]).packages


def test_a_package_of_an_extra_counts_where_the_features_are_of_it(monkeypatch):
    monkeypatch.setattr(code_digest, "version", lambda name: "1.0.1")  # all of them are installed
    plans = {name: plan_of("patch_memory", set=[f"features={name}"]) for name in ("random", "efficientnet_lite0")}
    packages = {name: set(identify(plan, "data", DIGESTS)[0].packages) for name, plan in plans.items()}
    assert packages["efficientnet_lite0"] - packages["random"] == {"efficientnet_lite_pytorch"}
    assert "timm" not in packages["efficientnet_lite0"]


def test_a_method_that_imports_what_lies_beside_it_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "PLACES", [tmp_path])
    (tmp_path / "helper_beside.py").write_text("SCALE = 2\n")
    (tmp_path / "lonely_method.py").write_text("import helper_beside\n" + (EXAMPLES / "own_method.py").read_text())
    with pytest.raises(UserError, match="lonely_method imports helper_beside, which lies beside it") as refused:
        check_travels("lonely_method:Gaussian")
    assert "make one package of them" in refused.value.fix
    check_travels("mlsad")


def test_a_package_that_is_not_installed_is_left_out():
    assert code_digest.installed_version("no_such_package_at_all") is None


OUTSIDE = """import scipy
from my_house.net import fit
from workloads.method import FittedMethod


class Mine(FittedMethod):
    name = "mine"

    def fit(self, images):
        from my_house.late import value

        return fit(images, value)

    def score(self, fitted, images): ...
"""


def test_a_method_outside_the_tree_counts_with_its_whole_package_and_what_fits_it(tmp_path, monkeypatch):
    (tmp_path / "my_house").mkdir()
    files = {"__init__": "", "methods": OUTSIDE, "net": "import PIL\nfit = None\n", "late": "value = 1\n", "unused": ""}
    for name, text in files.items():
        (tmp_path / "my_house" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    instance = import_module("my_house.methods").Mine(None)
    (unit,) = instance.units(["3"])
    code = code_of(*roots_of(instance, [unit]))
    own = {"my_house", "my_house.methods", "my_house.net", "my_house.late"}
    assert own | {"workloads.method", "workloads.training.fitted", "workloads.training.loop"} < code.modules.keys()
    assert not {name for name in code.modules if name.startswith(("workloads.mlsad", "my_house.unused"))}
    assert code.packages.keys() == {"torch", "numpy", "scipy", "pillow"}
    (tmp_path / "my_house" / "late.py").write_text("value = 2  # after an edit\n")
    edited = code_of(*roots_of(instance, [unit]))
    assert {name for name in code.modules if code.modules[name] != edited.modules[name]} == {"my_house.late"}
