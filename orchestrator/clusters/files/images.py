"""What a container image's name says: which Ray is in it, and whether its registry asks for a login."""

import re

ECR = re.compile(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")
ARTIFACT_REGISTRY = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev|([a-z]+\.)?gcr\.io")


def tag_of(image: str) -> str | None:
    """The tag of an image; None where it has none. A digest is no tag, and a registry's port is none either."""
    return image.partition("@")[0].rsplit("/", 1)[-1].partition(":")[2] or None


def ray_of(image: str) -> str | None:
    """The Ray version in a tag such as ``ray2.60.0-cuda`` or ``2.60.0-py311-gpu``; None where it names none."""
    match = re.match(r"(?:ray)?(\d+\.\d+\.\d+)(?![\d.])", tag_of(image) or "")
    return match.group(1) if match else None


def image_problem(image: str, ray_version: str) -> str | None:
    """What is wrong with an image that is to run Ray `ray_version`; None where nothing is."""
    if tag_of(image) in (None, "latest"):
        return f"{image!r} has no fixed tag: nodes started later may run another version; give it one"
    if (version := ray_of(image)) is None:
        return f"the tag of {image!r} does not name its Ray; use one such as ray{ray_version}-cuda"
    if version != ray_version:
        return f"{image!r} has Ray {version}, and Ray {ray_version} is installed here; they must be equal"
    return None


def login_of(image: str, cloud: str) -> str | None:
    """What a machine of `cloud` must run before it can pull an image of that cloud's own registry; None elsewhere."""
    host = image.partition("/")[0]
    if cloud == "aws" and (match := ECR.fullmatch(host)):
        password = f"aws ecr get-login-password --region {match.group(1)}"
        return f"{password} | docker login --username AWS --password-stdin {host}"
    if cloud == "gcp" and ARTIFACT_REGISTRY.fullmatch(host):
        return f"gcloud auth configure-docker {host} --quiet"
    return None
