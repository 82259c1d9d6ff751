"""What tests of the record share."""

import mlflow
import pytest


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database that MLflow has made its tables in, which takes it seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "empty.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file
