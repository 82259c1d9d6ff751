"""Detectors out of their runs: programs and models that score as the run's detector does, and what is refused."""

import json
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import orchestrator
import workloads
from examples.own_method import Gaussian
from orchestrator import UserError
from orchestrator.inference.export.card import Export, card
from orchestrator.inference.export.program import write_onnx, write_torch
from orchestrator.inference.export.requirements import OURS, PACKAGES, imported, requirements, unpinned
from orchestrator.inference.export.write import USES
from orchestrator.planning.code_digest import DISTRIBUTIONS
from tests.helpers.files import write_images
from tests.helpers.launches import TINY_MLSAD
from tune_spaces.schema import Data, Space
from workloads import registry
from workloads.detector import Detector
from workloads.files import write_checked
from workloads.flows.architecture import Architecture
from workloads.flows.artifact import packed
from workloads.flows.config import FlowConfig
from workloads.flows.method import Flows
from workloads.flows.networks.build import build
from workloads.flows.scorer import FlowScorer
from workloads.flows.scores.densities import WITH_GENERAL
from workloads.patch_memory.method import PatchMemory
from workloads.portable import load_detector
from workloads.scoring.thresholds import HeldOut
from workloads.units import ImageShape

FLOW = {"hierarchy": "none", "score": "complexity", "scales": 1, "steps": 1, "hidden": 4, "epochs": 0.1}
MEMORY = {"features": "random", "model": "gaussian"}
METHODS = {"mlsad": TINY_MLSAD | {"levels": (1, 4)}, "examples.own_method:Gaussian": {}, "flow": FLOW}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_images(folder, {"train/good": 40, "test/good": 9, "test/bad": 5}, (32, 32))
    return folder


@pytest.fixture(scope="module")
def runs(photos, tmp_path_factory):
    """A run of each method, by its name."""
    storage = tmp_path_factory.mktemp("runs")
    data = Data(name="folder", path=str(photos), side=32, classes=("good",))
    made = {}
    for number, (name, fixed) in enumerate(METHODS.items()):
        select_by = "likelihood" if name == "flow" else "contrastive"
        space = Space(workload=name, data=data, fixed=fixed, select_by=select_by)
        made[name] = orchestrator.launch(space, storage=storage, name=f"run{number}", executor="local")
    return made


def images(count=7):
    return np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["mlsad", "examples.own_method:Gaussian"])
def test_a_program_of_torch_and_a_graph_score_any_number_of_images_as_the_detector_does(runs, name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    expected = orchestrator.load(runs[name], device="cpu", trust_code=True).score(images())
    rows = np.ascontiguousarray(images().transpose(0, 3, 1, 2))
    for to in ("torch", "onnx"):
        lines = orchestrator.export(runs[name], to, tmp_path / to, trust_code=True)
        assert "scores differ by" in lines[-1]
        assert lines[-1] in (tmp_path / to / "README.md").read_text()
    program = torch.export.load(tmp_path / "torch" / "model.pt2").module()
    np.testing.assert_allclose(program(torch.from_numpy(rows)).detach(), expected, rtol=1e-4)
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    np.testing.assert_allclose(session.run(None, {"images": rows})[0], expected, rtol=1e-4)


MEMORIES = {
    "three neighbours": {"features": "random", "memory": 50, "candidates": 400, "neighbours": 3},
    "reweighted": {"features": "random", "memory": 50, "image_score": "reweighted", "whitened": False},
    "a gaussian a place": {"features": "pixels", "model": "gaussian_per_place", "dims": 20},
    "pretrained": {"model": "gaussian"},
}


@pytest.mark.parametrize("name", MEMORIES)
def test_a_patch_memory_is_a_program_with_its_network(name, tmp_path):
    pytest.importorskip("onnxruntime")
    if "features" not in MEMORIES[name]:
        pytest.importorskip("efficientnet_lite_pytorch")
    detector = workloads.fit("patch_memory", images(20), MEMORIES[name])
    assert_programs_score_alike(detector, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{}, {"kind": "patch", "patch": 4, "score": "final_scale"}, {"kind": "dense"}],
    ids=lambda changes: changes.get("kind", "glow"),
)
def test_a_flow_is_a_program_of_its_score(changes, tmp_path):
    pytest.importorskip("onnxruntime")
    small = np.random.default_rng(2).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    assert_programs_score_alike(
        workloads.fit("flow", small, FLOW | {"from_general": False, "score": "likelihood"} | changes), tmp_path
    )


def assert_programs_score_alike(detector, folder):
    """On other numbers of images than the program was made with."""
    import onnxruntime

    notes = [write(detector, folder) for write in (write_torch, write_onnx)]
    assert all("scores differ by" in note for (note,) in notes)
    shape = detector.shape
    rows = np.random.default_rng(3).integers(0, 256, (3, shape.channels, shape.height, shape.width), dtype=np.uint8)
    program = torch.export.load(folder / "model.pt2").module()
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for some in (rows, rows[:1]):
        expected = detector.score(some.transpose(0, 2, 3, 1))
        np.testing.assert_allclose(program(torch.from_numpy(some)).detach(), expected, rtol=1e-4)
        np.testing.assert_allclose(session.run(None, {"images": some})[0], expected, rtol=1e-4)


def test_a_flow_beside_the_general_one_is_a_program_of_each_score_of_both():
    torch.manual_seed(0)
    architecture = Architecture(kind="glow", channels=1, side=8, scales=2, steps=2, hidden=8)
    states = []
    for _ in range(2):
        flow = build(architecture)
        flow.initialise(torch.rand(16, 1, 8, 8) - 0.5)
        states.append(packed(flow, architecture))
    rows = torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8)
    for score in WITH_GENERAL:
        method = Flows(FlowConfig(score=score))
        scorer = FlowScorer(method.config, torch.device("cpu"), states[1])
        scorer.load_state(states[0])
        (program,) = method.programs([scorer])
        np.testing.assert_allclose(program(rows).detach(), scorer.score(rows)[score], rtol=1e-5)


def test_what_is_no_program_is_refused_by_name_and_leaves_nothing(runs, tmp_path):
    for to in ("torch", "onnx"):
        with pytest.raises(UserError, match="flow cannot be exported as a program"):
            orchestrator.export(runs["flow"], to, tmp_path / to)
        assert not (tmp_path / to).exists()


@pytest.mark.parametrize("name", METHODS)
def test_an_mlflow_model_decides_as_the_detector_does(runs, name, tmp_path):
    import mlflow

    orchestrator.export(runs[name], "mlflow", tmp_path / "model", trust_code=True)
    detector = orchestrator.load(runs[name], device="cpu", trust_code=True)
    served = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    files = [png(image) for image in images(3)]
    import pandas as pd

    answers = served.predict(pd.DataFrame({"image": files}), params={"false_alarms": 0.2})
    expected = detector.predict([detector.read(BytesIO(file)) for file in files], 0.2)
    assert answers["score"].tolist() == pytest.approx(expected.scores.tolist(), rel=1e-5)
    assert answers["p_value"].tolist() == expected.p_values.tolist()
    assert (answers["decision"] == "anomalous").tolist() == expected.anomalous.tolist()
    assert served.metadata.signature.params is not None
    assert served.metadata.metadata["orchestrator.run"] == runs[name].name
    assert (tmp_path / "model" / "code" / "workloads" / "portable.py").exists()
    assert not (tmp_path / "model" / "code" / "orchestrator").exists()


def png(image):
    data = BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


def test_a_detector_of_a_folder_has_its_decisions_and_form(runs, tmp_path):
    orchestrator.export(runs["mlsad"], "mlflow", tmp_path / "model")
    (folder,) = (tmp_path / "model" / "artifacts").iterdir()
    detector, expected = load_detector(folder, "cpu"), orchestrator.load(runs["mlsad"], device="cpu")
    assert detector.threshold(0.2) == expected.threshold(0.2)
    assert (detector.form, detector.target, detector.shape) == (expected.form, expected.target, expected.shape)
    about = json.loads((folder / "detector.json").read_text())
    write_checked(folder / "detector.json", json.dumps(about | {"format": 2}).encode())
    with pytest.raises(UserError, match="format 2"):
        load_detector(folder)


def test_the_card_has_thresholds_and_names_rates_that_are_not_supported(runs, tmp_path):
    orchestrator.export(runs["mlsad"], "torch", tmp_path / "model")
    text = (tmp_path / "model" / "README.md").read_text()
    threshold = orchestrator.load(runs["mlsad"], device="cpu").threshold(1 / 9)
    assert f"| 0.1111 | {threshold.value:.9g} |" in text
    assert "| 0.01 | refused: a false-alarm rate of 0.01 needs 99 held-out normal images, and there are 8 |" in text
    assert "run1" not in text
    assert "run0" in text


def test_a_model_joins_the_registry_with_the_runs_lineage(runs, tmp_path):
    import mlflow

    run = runs["mlsad"]
    for number in (1, 2):
        lines = orchestrator.export(run, "mlflow", tmp_path / str(number), register="surfaces")
        assert lines[-1] == f"registered as models:/surfaces/{number}"
    uri = f"sqlite:///{Path(run.storage) / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri)
    version = client.get_model_version("surfaces", "2")
    assert version.tags["orchestrator.run"] == run.name
    trial = client.get_run(version.run_id)
    assert trial.data.tags["orchestrator.trial"] == run.best.id
    for key in (version.run_id, trial.data.tags["mlflow.parentRunId"]):
        models = {output.model_id for output in client.get_run(key).outputs.model_outputs}
        assert len(models) == 3, "two versions, and the launch's own"
        assert {client.get_logged_model(model).status for model in models} == {"READY"}
    with registry_at(uri):
        assert mlflow.pyfunc.load_model("models:/surfaces/2").metadata.metadata["orchestrator.run"] == run.name


@pytest.mark.parametrize("name", METHODS)
def test_the_model_that_a_launch_logs_decides_as_predict_does(runs, name, tmp_path):
    import mlflow
    import pandas as pd

    run = runs[name]
    for number, image in enumerate(images(3)):
        (tmp_path / f"{number}.png").write_bytes(png(image))
    table = tmp_path / "predictions.csv"
    orchestrator.predict(run, *sorted(tmp_path.glob("*.png")), false_alarms=0.2, out=table, trust_code=True)
    files = pd.DataFrame({"image": [png(image) for image in images(3)]})
    with registry_at(f"sqlite:///{Path(run.storage) / 'mlflow.db'}"):
        uri = f"models:/{model_of(run)}"
        if "own" in name:
            with pytest.raises(UserError, match="own_method"):
                mlflow.pyfunc.load_model(uri)
        answers = mlflow.pyfunc.load_model(uri, model_config={"trust_code": True}).predict(files, {"false_alarms": 0.2})
        assert len(mlflow.pyfunc.load_model(uri, model_config={"trust_code": True}).predict(files)) == 3
    expected = pd.read_csv(table)
    assert answers["decision"].tolist() == expected["decision"].tolist()
    for column in ("score", "p_value"):
        assert answers[column].tolist() == pytest.approx(expected[column].tolist(), rel=1e-6)


def model_of(run):
    """The id of the model that the launch of a run has logged."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{Path(run.storage) / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    models = client.search_logged_models(experiments, "name = 'winner'")
    return next(model.model_id for model in models if model.tags["orchestrator.run"] == run.name)


def test_a_logged_model_follows_a_storage_that_was_copied_and_names_the_classes_to_choose_from(tmp_path):
    import mlflow
    import pandas as pd

    space = Space(workload="patch_memory", data=Data(name="digits", side=8, classes=("1", "3")), fixed=MEMORY)
    run = orchestrator.launch(space, storage=tmp_path / "runs", name="run", executor="local")
    model, files = model_of(run), pd.DataFrame({"image": [png(image) for image in images(2)]})
    shutil.move(tmp_path / "runs", tmp_path / "moved")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "moved" / "mlartifacts" / "models" / model / "artifacts"))
    scores = [loaded.predict(files, {"target": target})["score"].tolist() for target in ("1", "3")]
    assert scores[0] != scores[1]
    with pytest.raises(UserError, match="one of 1, 3"):
        loaded.predict(files)


def test_versions_of_one_run_stay_apart_in_the_registry(tmp_path):
    import mlflow
    import pandas as pd

    space = Space(workload="examples.own_method:Gaussian", data=Data(name="digits", classes=("1", "3")))
    run = orchestrator.launch(space, storage=tmp_path / "runs", name="run", executor="local")
    file = png(images(1)[0])
    answers = []
    for target in ("1", "3"):
        folder = tmp_path / target
        orchestrator.export(run, "mlflow", folder, target=target, register="digit", trust_code=True)
        detector = orchestrator.load(run, target, device="cpu", trust_code=True)
        answers.append(float(detector.score([detector.read(BytesIO(file))])[0]))
    assert answers[0] != answers[1]
    with registry_at(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"):
        for version, target in ((1, "1"), (2, "3")):
            served = mlflow.pyfunc.load_model(f"models:/digit/{version}")
            assert served.metadata.metadata["orchestrator.target"] == target
            answer = served.predict(pd.DataFrame({"image": [file]}), params={"false_alarms": 0.2})
            assert answer["score"].tolist() == pytest.approx([answers[version - 1]], rel=1e-5)


@contextmanager
def registry_at(uri):
    """MLflow's tracking, and with it its registry, at an address."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)


def test_wrong_words_are_refused_before_anything_is_written(runs, tmp_path):
    with pytest.raises(UserError, match="nothing is exported to 'onx'; did you mean 'onnx'"):
        orchestrator.export(runs["mlsad"], "onx", tmp_path / "model")
    with pytest.raises(UserError, match="takes MLflow models, not onnx"):
        orchestrator.export(runs["mlsad"], "onnx", tmp_path / "model", register="x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UserError, match="the folder is not empty"):
        orchestrator.export(runs["mlsad"], "mlflow", tmp_path / "full")
    with pytest.raises(UserError, match="is code from outside: using the detector runs it"):
        orchestrator.export(runs["examples.own_method:Gaussian"], "mlflow", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_requirements_are_what_the_code_imports(runs):
    pinned = requirements(Export(orchestrator.load(runs["mlsad"], device="cpu"), "mlsad", ()))
    assert [line.partition("==")[0] for line in pinned] == list(PACKAGES)
    assert all(line.partition("==")[2][0].isdigit() for line in pinned)
    files = Path(workloads.__file__).parent.rglob("*.py")
    names = set().union(*(imported(file.read_bytes()) for file in files)) - sys.stdlib_module_names - OURS
    unneeded = {"upath", "timm", "lmdb", "efficientnet_lite_pytorch"}  # for sets and networks that are named
    assert {DISTRIBUTIONS.get(name, name) for name in names - unneeded} <= set(PACKAGES)


def exported(method, name="own:Own", **facts):
    detector = Detector("good", ImageShape(3, 32, 32), method, (), held_out=HeldOut(np.arange(99)), **facts)
    return Export(detector, name, ())


def test_the_rule_for_features_is_of_the_patch_memory_alone():
    @dataclass(frozen=True)
    class Config:
        features: str = "mine"
        checkpoint: str = "mine.pt"
        seed: int = 0

    class Own(Gaussian):
        pass

    Own.Config = Config
    assert len(requirements(exported(Own(Config())))) == len(PACKAGES)
    with pytest.raises(UserError, match="the features 'resnet18' rest on a file"):
        requirements(exported(PatchMemory(PatchMemory.Config(features="resnet18")), "patch_memory"))


def test_the_package_of_an_installed_method_is_required_and_a_method_without_is_refused(monkeypatch):
    point = SimpleNamespace(name="mean", dist=distribution("pytest"))
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    own = Gaussian(Gaussian.Config())
    assert f"pytest=={pytest.__version__}" in requirements(exported(own, "mean"))
    point.dist = None
    with pytest.raises(UserError, match="known to bring the method 'mean'"):
        requirements(exported(own, "mean"))


def test_what_a_methods_own_files_import_is_pinned_or_named():
    code = {
        "own/__init__.py": b"from . import other\nimport own.other, json, torch.nn, PIL.Image\n",
        "own/other.py": b"import pytest\nfrom nowhere.inner import x\nimport tune_spaces, workloads.keys\n",
        "own/notes.txt": b"import nothing",
    }
    export = replace(exported(Gaussian(Gaussian.Config())), code=code)
    pinned = requirements(export)
    assert f"pytest=={pytest.__version__}" in pinned
    assert {line.partition("==")[0].lower() for line in pinned} == {*PACKAGES, "pytest"}
    (note,) = unpinned(export)
    assert note.endswith(": nowhere, tune_spaces")
    assert unpinned(exported(Gaussian(Gaussian.Config()))) == []


@pytest.mark.parametrize("to", ["torch", "onnx"])
def test_the_card_of_a_program_says_how_images_become_scores(to):
    text = card(exported(Gaussian(Gaussian.Config()), white_level=4095), USES[to]).replace("\n", " ")
    assert "an image's score is the highest of its windows' scores" in text
    assert "white level of 4095" in text
    assert "bilinear and antialiased" in text
