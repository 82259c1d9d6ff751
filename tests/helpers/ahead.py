"""What a launch imports, imported: processes are forked from one that has done so, and has neither Ray, which looks at
its environment meanwhile, nor threads of Python's."""

import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
import sklearn.datasets
import sklearn.neighbors  # noqa: F401
import torch._dynamo  # noqa: F401

import orchestrator.cli
import orchestrator.execution.launch
import orchestrator.execution.local
import orchestrator.record.tracking.tracker  # noqa: F401
