"""Kubernetes' own resources and pod templates, by the schemas that kubernetes-validate carries."""

import json
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from orchestrator.clusters.files.documents import key, schema_problems
from workloads.errors import Kind, Problem, UserError

KUBERNETES = "1.31"
"""The oldest Kubernetes that the files are for: what it does not know is refused."""


def schema_folder() -> Any:
    """Raises UserError (exit 3) where the package is not installed."""
    if find_spec("kubernetes_validate") is None:
        fix = "pip install 'anomaly-orchestrator[cluster]'"
        raise UserError("checking Kubernetes files needs kubernetes-validate", fix=fix, kind=Kind.ENVIRONMENT)
    return files("kubernetes_validate") / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"


@cache
def read_schema(name: str) -> dict[str, Any] | None:
    path = schema_folder() / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


@cache
def validator_of(kind: str, api_version: str) -> Any:
    """A validator of one kind of resource; None where Kubernetes has no such kind."""
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    group, _, version = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)
    schema, definitions = read_schema(name), read_schema("_definitions")
    if schema is None or definitions is None:
        return None
    resources = [Resource.from_contents(content) for content in (schema, definitions)]
    registry: Any = Registry()
    for resource in resources:
        registry = resource @ registry
    return Draft202012Validator(schema, registry=registry)


def resource_problems(document: dict[str, Any]) -> list[Problem]:
    """What Kubernetes would say to a resource of its own, all of it."""
    kind, api_version = str(document.get("kind")), str(document.get("apiVersion"))
    validator = validator_of(kind, api_version)
    if validator is None:
        return [Problem("kind", f"Kubernetes {KUBERNETES} has no {kind} of {api_version}")]
    return list(schema_problems(validator, document))


def template_problems(template: Any, where: str) -> list[Problem]:
    """What Kubernetes would say to a pod template that stands at `where` in a resource it does not know itself."""
    document = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "checked"}, "template": template}
    problems = schema_problems(validator_of("PodTemplate", "v1"), document)
    return [Problem(key(where, p.key.removeprefix("template").removeprefix(".")), p.message) for p in problems]
