"""Kubernetes' own resources and pod templates, by the schemas that kubernetes-validate carries."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from orchestrator.clusters.files.documents import key
from workloads.errors import Kind, Problem, UserError, nearest

KUBERNETES = "1.31"
"""The oldest Kubernetes that the files are for: what it does not know is refused."""

# what the JSON schemas say as a regular expression or a type, in words
PLAIN = {"boolean": "true or false", "integer": "a whole number", "object": "a mapping", "array": "a list"}


def schema_folder() -> Any:
    """Raises UserError (exit 3) where the package is not installed."""
    if find_spec("kubernetes_validate") is None:
        raise UserError(
            "checking Kubernetes files needs kubernetes-validate",
            fix="pip install 'anomaly-orchestrator[cluster]'",
            kind=Kind.ENVIRONMENT,
        )
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
    return list(said(validator, document, ""))


def template_problems(template: Any, where: str) -> list[Problem]:
    """What Kubernetes would say to a pod template that stands at `where` in a resource it does not know itself."""
    validator = validator_of("PodTemplate", "v1")
    document = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "checked"}, "template": template}
    found = said(validator, document, "")
    return [Problem(key(where, p.key.removeprefix("template").removeprefix(".")), p.message) for p in found]


def said(validator: Any, document: dict[str, Any], where: str) -> Iterator[Problem]:
    """A JSON schema's errors with key paths; of alternatives, the errors of the one that came nearest."""
    from jsonschema.exceptions import best_match

    errors = validator.iter_errors(document)
    for error in sorted(errors, key=lambda e: list(map(str, e.absolute_path))):
        inner = best_match([error]) if error.context else error
        at = key(where, *inner.absolute_path)
        if inner.validator == "additionalProperties" and isinstance(inner.instance, dict):
            known = inner.schema.get("properties", {})
            for name in sorted(map(str, inner.instance.keys() - known.keys())):
                yield Problem(key(at, name), f"no such key; {nearest(name, known)}")
        elif inner.validator == "type":
            wanted = inner.validator_value
            names = [wanted] if isinstance(wanted, str) else wanted
            words = " or ".join(PLAIN.get(t, f"a {t}") for t in names if t != "null")
            yield Problem(at, f"found {inner.instance!r}, expected {words}")
        else:
            yield Problem(at or "the document", inner.message)
