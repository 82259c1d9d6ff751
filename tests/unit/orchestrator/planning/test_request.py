"""What a launch is refused for before it is planned."""

import pytest

import orchestrator
from workloads.errors import UserError


@pytest.mark.parametrize(("name", "named"), [("why?", r"'\?'"), ("a%20b", "'%20'")])
def test_a_storage_that_mlflow_would_misread_is_refused_at_once(tmp_path, name, named):
    with pytest.raises(UserError, match=named):
        orchestrator.plan("sweep_digits", storage=tmp_path / name)
    orchestrator.plan("sweep_digits", storage=tmp_path / name, tracking_uri="sqlite:///elsewhere.db")


@pytest.mark.parametrize("name", ["50%", "a#b", "a;b", "a b", "ä"])
def test_other_names_are_a_storage(tmp_path, name):
    assert orchestrator.plan("sweep_digits", storage=tmp_path / name).run
