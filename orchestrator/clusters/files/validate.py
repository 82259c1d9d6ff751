"""A cluster file -> everything wrong with it, without a network and without a cluster."""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from orchestrator.clusters.files.documents import at, items, read_documents, schema_problems
from orchestrator.clusters.files.kube_checks import cluster_problems
from orchestrator.clusters.files.kubernetes import resource_problems
from orchestrator.clusters.files.pods import pod_problems
from orchestrator.clusters.files.ray_yaml import ray_problems
from workloads.errors import Problem, UserError, nearest, several


def file_problems(path: Path, ray_version: str | None = None, crds: Path | None = None) -> list[Problem]:
    """All problems of a file. `crds`: a folder of CustomResourceDefinitions, such as KubeRay's, to check it by, too."""
    wanted = ray_version or version("ray")
    try:
        documents = read_documents(path)
        definitions = read_definitions(crds) if crds else {}
    except UserError as error:
        return list(error.problems)
    if "cluster_name" in documents[0] or "provider" in documents[0]:
        extra = [Problem("document 2", "a file for `ray up` is one document")] if len(documents) > 1 else []
        return ray_problems(documents[0], wanted) + extra
    problems: list[Problem] = []
    for n, document in enumerate(documents):
        others = documents[:n] + documents[n + 1 :]
        named = f"{document.get('kind', 'document')} {at(document, 'metadata', 'name') or n + 1}"
        prefix = f"{named}: " if len(documents) > 1 else ""
        resource = kube_problems(document, others, wanted, definitions)
        problems += [Problem(f"{prefix}{p.key}", p.message) for p in resource]
    return [*problems, *twins(documents), *dangling(documents), *open_to_all(documents)]


def kube_problems(
    document: dict[str, Any], others: Sequence[dict[str, Any]], ray_version: str, definitions: dict[str, Any]
) -> Iterator[Problem]:
    """Problems of one Kubernetes resource."""
    kind = document.get("kind")
    if not isinstance(kind, str) or not isinstance(document.get("apiVersion"), str):
        missing = " and ".join(name for name in ("apiVersion", "kind") if not isinstance(document.get(name), str))
        yield Problem(missing, "is missing: neither a file for `ray up` nor a Kubernetes resource")
        return
    if kind in definitions:
        yield from definition_problems(document, definitions[kind])
    known = kuberay()
    if kind in known["kinds"]:
        yield from closed_problems({"$defs": known["$defs"], **known["kinds"][kind]}, document)
        yield from cluster_problems(document, others, ray_version)
        return
    if document["apiVersion"].startswith("ray.io/"):
        yield Problem("kind", f"found {kind!r}; {nearest(kind, known['kinds'])}")
        return
    if kind == "Secret":
        yield Problem("kind", "a Secret in a file is one in git: make it with `kubectl create secret` and refer to it")
        return
    yield from resource_problems(document)
    if (template := at(document, "spec", "template")) is not None:
        yield from pod_problems(with_claims(document, template), "spec.template")


def with_claims(document: dict[str, Any], template: Any) -> Any:
    """A StatefulSet's template with the volumes that its claim templates bring."""
    claims = [{"name": at(c, "metadata", "name")} for _, c in items(document, "spec", "volumeClaimTemplates")]
    if not claims or not isinstance(at(template, "spec"), dict):
        return template
    spec = template["spec"]
    return template | {"spec": spec | {"volumes": [*(spec.get("volumes") or []), *claims]}}


def twins(documents: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    """Two resources of one kind and name: the second would replace the first."""
    paths = (("kind",), ("metadata", "namespace"), ("metadata", "name"))
    names = [tuple(str(at(document, *path)) for path in paths) for document in documents]  # of any type in a file
    for kind, space, name in dict.fromkeys(names):
        if names.count((kind, space, name)) > 1:
            yield Problem(f"{kind} {name}", "stands in the file twice")


def dangling(documents: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    """Services of the file that choose no pod of it."""
    labels = [at(d, "spec", "template", "metadata", "labels") or {} for d in documents]
    for document in documents:
        wanted, name = at(document, "spec", "selector"), at(document, "metadata", "name")
        if document.get("kind") != "Service" or not isinstance(wanted, dict):
            continue
        if not any(wanted.items() <= names.items() for names in labels if isinstance(names, dict)):
            yield Problem(f"Service {name}: spec.selector", f"no pod of this file has the labels {wanted}")


def open_to_all(documents: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    """Services of the file whose pods no NetworkPolicy of it chooses: every pod of Kubernetes may talk to them."""
    policies = [at(d, "spec", "podSelector", "matchLabels") for d in documents if d.get("kind") == "NetworkPolicy"]
    for document in (d for d in documents if d.get("kind") == "Service"):
        wanted, name = at(document, "spec", "selector"), at(document, "metadata", "name")
        if isinstance(wanted, dict) and wanted not in policies:
            yield Problem(f"Service {name}", f"no NetworkPolicy of this file says who may reach the pods {wanted}")


def read_definitions(folder: Path) -> dict[str, Any]:
    """kind -> {version: OpenAPI schema} of a folder of CRDs. Raises UserError where it holds none."""
    definitions: dict[str, Any] = {}
    for file in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        for document in read_documents(file):
            if document.get("kind") == "CustomResourceDefinition":
                versions = items(document, "spec", "versions")
                schemas = {at(v, "name"): at(v, "schema", "openAPIV3Schema") for _, v in versions}
                definitions[str(at(document, "spec", "names", "kind"))] = schemas
    if not definitions:
        raise several([Problem("--crds", f"no CustomResourceDefinition in {folder}")])
    return definitions


def definition_problems(document: dict[str, Any], versions: dict[str, Any]) -> Iterator[Problem]:
    """What a CRD's schema says. Kubernetes drops keys it does not know and says nothing; here they are errors."""
    name = str(document["apiVersion"]).rpartition("/")[2]
    schema = versions.get(name)
    if schema is None:
        yield Problem("apiVersion", f"the CRD has no version {name!r}; {nearest(name, versions)}")
        return
    yield from closed_problems(schema, document, " in the CRD")


@cache
def kuberay() -> dict[str, Any]:
    """What we use of KubeRay's resources: `kinds`, and the `$defs` that they refer to."""
    [schemas] = yaml.safe_load_all((files(__package__) / "kuberay.yaml").read_text())
    return dict(schemas)


def closed_problems(schema: dict[str, Any], document: dict[str, Any], source: str = "") -> Iterator[Problem]:
    from jsonschema import Draft202012Validator

    return schema_problems(Draft202012Validator(closed(schema)), document, source)


def closed(schema: Any) -> Any:
    """An OpenAPI schema whose objects take no other keys, except where it says that they do."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        return {k: v for k, v in inner.items() if k != "type"} | {"type": ["integer", "string"]}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not open_ended:
        inner["additionalProperties"] = False
    return inner


def check(files: Sequence[Path], ray_version: str | None = None, crds: Path | None = None) -> None:
    """Raises UserError (exit 2) with everything wrong with cluster files."""
    bad = {file: problems for file in files if (problems := file_problems(file, ray_version, crds))}
    if len(bad) == 1:
        [(file, problems)] = bad.items()
        raise several(problems, str(file))
    if bad:
        problems = [Problem(f"{file}: {p.key}", p.message) for file, listed in bad.items() for p in listed]
        raise several(problems, f"{len(bad)} files")
