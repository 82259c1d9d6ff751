"""What a launch is refused for before it is planned."""

import pytest

import orchestrator
from orchestrator.execution.from_request import request_of
from orchestrator.planning.request import with_whole_paths
from workloads.errors import UserError


@pytest.mark.parametrize(("name", "named"), [("why?", r"'\?'"), ("a%20b", "'%20'")])
def test_a_storage_that_mlflow_would_misread_is_refused_at_once(tmp_path, name, named):
    with pytest.raises(UserError, match=named):
        orchestrator.plan("sweep_digits", storage=tmp_path / name)
    orchestrator.plan("sweep_digits", storage=tmp_path / name, tracking_uri="sqlite:///elsewhere.db")


@pytest.mark.parametrize("name", ["50%", "a#b", "a;b", "a b", "ä"])
def test_other_names_are_a_storage(tmp_path, name):
    assert orchestrator.plan("sweep_digits", storage=tmp_path / name).run


def test_a_checkpoint_keeps_its_place_when_a_run_is_resumed_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("features=resnet18", "checkpoint=weights/mine.pth")
    request = request_of("patch_digits", config=words, storage=tmp_path / "runs")
    assert request.space.fixed["checkpoint"] == str(tmp_path / "weights" / "mine.pth")
    space = request.loaded.space.model_copy(update={"axes": {"checkpoint": ("", "a.pth", "/b.pth")}})
    assert with_whole_paths(space).axes["checkpoint"] == ("", str(tmp_path / "a.pth"), "/b.pth")
    assert request_of("patch_digits", storage=tmp_path / "runs").space.fixed.get("checkpoint", "") == ""
