"""The part of KubeRay's resources that we use, typed: an unknown key is an error, as it is silence in Kubernetes.

KubeRay's full schemas come with its operator and in no package; `cluster validate --crds FOLDER` checks against them,
too. Pod templates stay plain data here and go through Kubernetes' own schema. Field names and values as in KubeRay's
ray.io/v1 API (RayCluster and RayJob), operator 1.5.1 and newer; an older operator drops what it does not know and says
nothing, so fields that came later say when.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tune_spaces.schema.validation import from_validation
from workloads.errors import Problem

DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]
Count = Annotated[int, Field(ge=0, strict=True)]
Plain = dict[str, Any]


class Resource(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Metadata(Resource):
    # KubeRay names services and pods after the resource, and a name may have 63 characters
    name: Annotated[DnsLabel, StringConstraints(max_length=47)]
    namespace: DnsLabel | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class AutoscalerOptions(Resource):
    version: Literal["v1", "v2"] | None = None
    upscalingMode: Literal["Default", "Aggressive", "Conservative"] | None = None
    idleTimeoutSeconds: Count | None = None
    image: str | None = None
    imagePullPolicy: Literal["Always", "IfNotPresent", "Never"] | None = None
    resources: Plain | None = None
    securityContext: Plain | None = None
    env: list[Plain] = []
    envFrom: list[Plain] = []


class AuthOptions(Resource):
    mode: Literal["token", "disabled"] = "token"
    secretName: DnsLabel | None = None  # 1.6


class KeyRef(Resource):
    name: DnsLabel
    key: str


class FromSecret(Resource):
    secretKeyRef: KeyRef


class Credential(Resource):
    """KubeRay takes a literal `value`, too; a password does not belong in a file, so we do not."""

    valueFrom: FromSecret


class EmbeddedStorage(Resource):
    claimName: DnsLabel | None = None
    size: str | None = None
    storageClassName: str | None = None
    accessModes: list[str] = []
    deletionPolicy: Literal["DeleteWithCluster", "Retain"] | None = None


class GcsFaultTolerance(Resource):
    backend: Literal["redis", "rocksdb"] = "redis"  # 1.7
    redisAddress: str | None = None
    redisUsername: Credential | None = None
    redisPassword: Credential | None = None
    externalStorageNamespace: str | None = None
    storage: EmbeddedStorage | None = None  # 1.7


class HeadGroup(Resource):
    serviceType: Literal["ClusterIP", "NodePort", "LoadBalancer"] | None = None
    enableIngress: bool | None = None
    rayStartParams: dict[str, str]
    resources: dict[str, str] = {}
    labels: dict[str, str] = {}
    template: Plain


class WorkerGroup(Resource):
    groupName: DnsLabel
    replicas: Count | None = None
    minReplicas: Count
    maxReplicas: Count
    numOfHosts: Annotated[int, Field(ge=1, strict=True)] = 1
    idleTimeoutSeconds: Count | None = None
    priority: int | None = None  # 1.7
    rayStartParams: dict[str, str]
    resources: dict[str, str] = {}
    labels: dict[str, str] = {}
    template: Plain


class RayClusterSpec(Resource):
    rayVersion: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    enableInTreeAutoscaling: bool | None = None
    autoscalerOptions: AutoscalerOptions | None = None
    authOptions: AuthOptions | None = None
    gcsFaultToleranceOptions: GcsFaultTolerance | None = None
    headServiceAnnotations: dict[str, str] = {}
    suspend: bool | None = None
    headGroupSpec: HeadGroup
    workerGroupSpecs: list[WorkerGroup] = Field(min_length=1)


class RayCluster(Resource):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: Metadata
    spec: RayClusterSpec


class SubmitterConfig(Resource):
    backoffLimit: Count | None = None


class RayJobSpec(Resource):
    entrypoint: Annotated[str, StringConstraints(min_length=1)]
    runtimeEnvYAML: str | None = None
    submissionMode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"] = "K8sJobMode"
    backoffLimit: Count | None = None
    submitterConfig: SubmitterConfig | None = None
    submitterPodTemplate: Plain | None = None
    activeDeadlineSeconds: Annotated[int, Field(ge=1, strict=True)] | None = None
    shutdownAfterJobFinishes: bool = False
    ttlSecondsAfterFinished: Count = 0
    entrypointNumCpus: float | None = None
    entrypointNumGpus: float | None = None
    jobId: str | None = None
    metadata: dict[str, str] = {}
    suspend: bool = False
    rayClusterSpec: RayClusterSpec


class RayJob(Resource):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: RayJobSpec


KINDS: dict[str, type[RayCluster] | type[RayJob]] = {"RayCluster": RayCluster, "RayJob": RayJob}


def shape_problems(document: dict[str, Any]) -> list[Problem]:
    """Unknown keys, missing keys and wrong types of a RayCluster or RayJob."""
    model = KINDS[document["kind"]]
    try:
        model.model_validate(document)
    except ValidationError as error:
        return list(from_validation(error, model))
    return []
