"""`submarine cluster check`: checks everything that a cluster on Kubernetes needs, and says how to fix it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.drivers.kinds import Check
from submarine_ray.clusters.drivers.kuberay import ground, images
from submarine_ray.clusters.drivers.kuberay.api import ApiError, KubeApi, collection
from submarine_ray.clusters.drivers.kuberay.objects import Object
from submarine_ray.core.networks import Outgoing
from submarine_ray.spec.clusters import KubeRayClusterSpec
from submarine_ray.spec.hosts import is_loopback
from submarine_ray.spec.json_types import objects_at, text_at
from submarine_ray.spec.kubernetes import NewClaim

OLDEST_KUBERAY = (1, 5, 1)
CHECK_SECONDS = 10.0
KUBERAY = (
    "helm repo add kuberay https://ray-project.github.io/kuberay-helm/ && "
    "helm install kuberay-operator kuberay/kuberay-operator"
)
# What the drivers do, and nothing more: cluster_configs/kubernetes/ grants just this.
RIGHTS = (
    ("ray.io", "rayjobs", ("get", "list", "watch", "create", "patch", "delete")),
    ("ray.io", "rayclusters", ("get", "list", "watch", "create", "update", "delete")),
    ("ray.io", "rayservices", ("get", "list", "watch", "create", "update", "delete")),
    ("", "pods", ("list", "watch")),
    ("", "secrets", ("get", "list", "create", "patch", "delete")),
    ("", "configmaps", ("list", "create", "delete")),
)
# Where it lacks, the namespace is taken to be there, and to enforce nothing.
SIGHT = ("", "namespaces", ("get",))
PROXY_RIGHT = ("", "services/proxy", ("get", "create", "update", "delete"))
# Where Kubernetes tells a pod its namespace.
OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def run(api: KubeApi, spec: KubeRayClusterSpec, service_url: str, outgoing: Outgoing) -> list[Check]:
    """All checks; without an API server that answers, only that. `outgoing` says which registries may be asked."""
    try:
        found = api.get_document("/version", CHECK_SECONDS)
    except (Unreachable, ApiError) as failure:
        fix = "Is the kubeconfig's address right, and reached from where the service runs? Are its credentials valid?"
        return [Check("reachable", False, str(failure), fix)]
    reachable = Check("reachable", True, f"Kubernetes {text_at(found, 'gitVersion') or '?'} answers.")
    return [reachable, *_crds(api), _operator(api), *_rights(api, spec), *_namespace(api, spec), *_apart(api, spec),
            *_versions(spec), _image(spec, outgoing), _service(spec, service_url)]  # fmt: skip


def _crds(api: KubeApi) -> Iterator[Check]:
    name = "KubeRay's CRDs"
    try:
        group = api.get_document("/apis/ray.io/v1", CHECK_SECONDS)
        served = {text_at(resource, "name") for resource in objects_at(group, "resources")}
    except ApiError as failure:
        if failure.status != 404:
            yield Check(name, None, f"They cannot be looked at: {failure}", "Nothing, if experiments start.")
            return
        served = set()
    except Unreachable as failure:
        fix = "Try again: an API server that has just started tells nothing of CRDs for up to half a minute."
        yield Check(name, None, f"It is not known whether they are there: {failure}", fix)
        return
    missing = {"rayjobs", "rayclusters", "rayservices"} - served
    if missing:
        yield Check(name, False, f"ray.io/v1 lacks {', '.join(sorted(missing))}.", f"Install KubeRay: {KUBERAY}")
    else:
        yield Check(name, True, "ray.io/v1 has rayjobs, rayclusters and rayservices.")


def _operator(api: KubeApi) -> Check:
    """Check KubeRay's operator. Its version is its image's; reading it needs a right on deployments that nothing else
    needs.
    """
    oldest = ".".join(map(str, OLDEST_KUBERAY))
    name = "KubeRay's version"
    try:
        found = api.get_document("/apis/apps/v1/deployments", CHECK_SECONDS,
                        labelSelector="app.kubernetes.io/name=kuberay-operator")  # fmt: skip
    except (ApiError, Unreachable) as failure:
        return Check(
            name, None, f"The operator cannot be seen: {failure}", f"It must be {oldest} or later; ask who runs it."
        )
    images = [
        text_at(container, "image")
        for deployment in objects_at(found, "items")
        for container in objects_at(deployment, "spec", "template", "spec", "containers")
    ]
    if not images:
        return Check(name, False, "No operator runs there.", f"Install KubeRay: {KUBERAY}")
    tag = images[0].rpartition(":")[2]
    number = _VERSION.match(tag)
    if number is None:
        return Check(
            name, None, f"The operator's image {images[0]} tells no version.", f"It must be {oldest} or later."
        )
    fits = tuple(map(int, number.groups())) >= OLDEST_KUBERAY
    fix = f"Upgrade KubeRay to {oldest} or later: helm upgrade kuberay-operator kuberay/kuberay-operator"
    return Check(name, fits, f"The operator is {tag}; {oldest} is the oldest that can ask for tokens well.", fix)


def _rights(api: KubeApi, spec: KubeRayClusterSpec) -> Iterator[Check]:
    """Check each verb with a SelfSubjectAccessReview, all at the same time."""
    proxied = spec.access == "proxy" or (spec.access == "auto" and not api.in_cluster)
    rights = [*RIGHTS, PROXY_RIGHT] if proxied else list(RIGHTS)
    asked = [(group, resource, verb) for group, resource, verbs in rights for verb in verbs]
    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda one: _may(api, spec.namespace, *one), asked))
    unknown = [one for one, may in zip(asked, allowed, strict=True) if may is None]
    denied = [one for one, may in zip(asked, allowed, strict=True) if may is False]
    for group, resource, _ in rights:
        verbs = [verb for g, r, verb in denied if (g, r) == (group, resource)]
        if verbs:
            fix = f"Grant it in a Role of {spec.namespace}: {_rule(group, resource, verbs)}"
            yield Check(
                f"rights on {resource}", False, f"The service may not {', '.join(verbs)} {resource}{_of(group)}.", fix
            )
    if unknown:
        yield Check("rights", None, f"{len(unknown)} rights could not be asked for.", "Try again.")
    elif not denied:
        yield Check("rights", True, f"All {len(asked)} that are needed are there.")


def _rule(group: str, resource: str, verbs: list[str]) -> str:
    """The missing right as a rule of a Kubernetes Role."""
    return f'{{apiGroups: ["{group}"], resources: [{resource}], verbs: [{", ".join(verbs)}]}}'


def _of(group: str) -> str:
    return f" ({group})" if group else ""


def _may(api: KubeApi, namespace: str, group: str, resource: str, verb: str) -> bool | None:
    plain, _, sub = resource.partition("/")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": plain}
    review: Object = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes | ({"subresource": sub} if sub else {})},
    }
    try:
        found = api.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    except (ApiError, Unreachable):
        return None
    return bool((found.get("status") or {}).get("allowed"))


def _namespace(api: KubeApi, spec: KubeRayClusterSpec) -> Iterator[Check]:
    """Check the namespace, and the objects that the registration names in it."""
    yield from _ground(api, spec)
    pods = [spec.pods, *(group.pods for group in spec.workers)]
    paths: dict[tuple[str, str], tuple[str, str]] = {}

    def need(kind: str, name: str | None, path: str, fix: str) -> None:
        if name:
            paths[kind, name] = (f"{path}/{name}", fix)

    for one in pods:
        for volume in one.volumes:
            need("claim", volume.claim, collection("v1", spec.namespace, "persistentvolumeclaims"), "Create the claim.")
            claim = volume.new_claim or NewClaim(size="1Gi")
            need("storage class", claim.storage_class, "/apis/storage.k8s.io/v1/storageclasses",
                 "`kubectl get storageclass` shows those there are.")  # fmt: skip
        need("service account", one.service_account, collection("v1", spec.namespace, "serviceaccounts"), "Create it.")
        need("priority class", one.priority_class, "/apis/scheduling.k8s.io/v1/priorityclasses", "Create it.")
        for name in [*one.image_pull_secrets, *(secret.secret for secret in one.secrets)]:
            need(
                "secret",
                name,
                collection("v1", spec.namespace, "secrets"),
                f"kubectl create secret -n {spec.namespace} ...",
            )
    for (kind, name), (path, fix) in paths.items():
        yield _exists(api, kind, path, name, fix)


def _ground(api: KubeApi, spec: KubeRayClusterSpec) -> Iterator[Check]:
    """Check that the namespace exists and admits our pods."""
    name = f"namespace {spec.namespace}"
    try:
        found = api.get(ground.path(spec.namespace), CHECK_SECONDS)
    except ApiError as failure:
        if failure.status == 404:
            message = f"There is no namespace {spec.namespace!r}."
            yield Check(name, False, message, f"kubectl create namespace {spec.namespace}")
        else:
            fix = f"Grant {_rule(*SIGHT[:2], list(SIGHT[2]))}; or set runAsNonRoot where it enforces `restricted`."
            yield Check(name, None, f"It cannot be looked at: {failure}", fix)
        return
    except Unreachable as failure:
        yield Check(name, None, str(failure), "Try again.")
        return
    if (found.get("status") or {}).get("phase") == "Terminating":
        yield Check(name, False, "It is being deleted.", "Wait, and create it anew.")
        return
    yield Check(name, True, "It is there.")
    yield _security(ground.level(found), spec)


def _security(level: str, spec: KubeRayClusterSpec) -> Check:
    """Check that the namespace's Pod Security standard admits the pods of this registration."""
    volumes = [volume for pods in (spec.pods, *(group.pods for group in spec.workers)) for volume in pods.volumes]
    refused = [f"volume {v.name} (hostPath)" for v in volumes if v.host_path and level != ground.PRIVILEGED]
    if level == ground.RESTRICTED:
        refused += [f"volume {volume.name} (nfs)" for volume in volumes if volume.nfs]
        refused += ["pods that may be root's (runAsNonRoot: false)"] if spec.run_as_non_root is False else []
    name, says = "pod security", f"The namespace enforces the standard `{level}` ({ground.ENFORCE})"
    if refused:
        fix = "Change the registration, or take another namespace; claims work under every standard."
        return Check(name, False, f"{says}, which refuses {', '.join(refused)}.", fix)
    hint = "; images must name a user other than root, by its number" if level == ground.RESTRICTED else ""
    return Check(name, True, f"{says}{hint}.")


def _exists(api: KubeApi, kind: str, path: str, name: str, fix: str) -> Check:
    try:
        api.get(path, CHECK_SECONDS)
    except ApiError as failure:
        if failure.status == 404:
            return Check(f"{kind} {name}", False, f"There is no {kind} {name!r}.", fix)
        return Check(f"{kind} {name}", None, f"It cannot be looked at: {failure}", "Nothing, if it is there.")
    except Unreachable as failure:
        return Check(f"{kind} {name}", None, str(failure), "Try again.")
    return Check(f"{kind} {name}", True, "It is there.")


def _apart(api: KubeApi, spec: KubeRayClusterSpec) -> Iterator[Check]:
    """Check that experiments run in another namespace than the service: rights and Secrets are a namespace's."""
    if not (api.in_cluster and OWN_NAMESPACE.exists()):
        return  # the service has no namespace, or is in another cluster
    own = OWN_NAMESPACE.read_text().strip()
    fix = "Give experiments a namespace of their own, as cluster_configs/kubernetes/experiments does."
    told = "the service's own, with its Secrets and volumes" if own == spec.namespace else f"apart from {own!r}"
    yield Check("a namespace apart", own != spec.namespace, f"Experiments run in {spec.namespace!r}, {told}.", fix)


def _versions(spec: KubeRayClusterSpec) -> Iterator[Check]:
    """Check the versions of Ray and Python: Ray's protocol and pickles are compatible within one minor version only."""
    own = version("ray")
    same = own.split(".")[:2] == spec.ray_version.split(".")[:2]
    yield Check("Ray's version", same, f"The service has Ray {own}, the cluster is said to have {spec.ray_version}.",
                f"Use an image with Ray {own}, and say so in rayVersion.")  # fmt: skip
    tag = spec.image.rpartition(":")[2]
    number = _VERSION.match(tag)
    if number and ".".join(number.groups()) != spec.ray_version:
        message = f"The image {spec.image} does not look like Ray {spec.ray_version} (rayVersion)."
        yield Check("Ray in the image", False, message, "Set rayVersion to the image's.")


def _image(spec: KubeRayClusterSpec, outgoing: Outgoing) -> Check:
    """Ask the image's registry from this service. Only a node's kubelet can know whether it may pull the image."""
    hooks = {"request": [lambda request: outgoing.check(request.url.host)]}
    with httpx.Client(timeout=images.LOOK_SECONDS, event_hooks=hooks) as client:
        found = images.is_there(spec.image, client)
    fix = f"To try: kubectl run -n {spec.namespace} --rm -it try --image={spec.image} -- ray --version"
    if found is False:
        return Check("image", False, f"The registry has no image {spec.image}.", "Mend image; is its tag right?")
    if found:
        return Check("image", True, f"The registry has {spec.image}.")
    secrets = spec.pods.image_pull_secrets
    how = f" with {', '.join(secrets)}" if secrets else ""
    message = f"Its registry does not tell. Nodes will fetch {spec.image}{how}; if they cannot, experiments say so."
    return Check("image", None, message, fix)


def _service(spec: KubeRayClusterSpec, url: str) -> Check:
    """Check whether pods can reach this service, as far as its address tells."""
    host = urlsplit(url).hostname or ""
    loopback = is_loopback(host)
    message = f"Pods send metrics, models and logs to {url}" + (", which for them is themselves." if loopback else ".")
    fix = "Set SUBMARINE_PUBLIC_URL to an address of this service that pods reach."
    return Check("this service", not loopback, message, fix)
