"""Which of MLflow's routes are served: those listed here, so that a new version of MLflow opens none by itself.

Closed is what runs programs or jobs, keeps secrets (the gateway's have a default passphrase), calls other hosts, or is
of features that this platform does not run: assistant, gateway, jobs, webhooks, MCP servers, judges, workspaces.
"""

from __future__ import annotations

_PAGES = frozenset({"", "health", "version", "graphql", "get-artifact", "model-versions/get-artifact", "v1/traces"})
_FILES = "static-files"
_VERSIONS = ("2.0", "3.0")
# The first word below /api/2.0/mlflow/ and its like: what is logged, registered, or noted about that.
FAMILIES = frozenset({
    "artifacts", "datasets", "experiments", "get-online-trace-details", "get-trace-artifact", "issues", "label-schemas",
    "logged-models", "metrics", "model-versions", "registered-models", "review-queues", "runs", "scorers",
    "server-info", "traces", "unified-traces", "upload-artifact",
})  # fmt: skip
# Of those families, what runs something.
CLOSED = frozenset({
    "issues/invoke", "runs/create-promptlab-run", "scorers/online-config", "scorers/online-configs",
})  # fmt: skip
_ARTIFACTS = frozenset({"artifacts", "mpu", "presigned"})


def is_served(path: str) -> bool:
    """Whether a path, decoded and without MLflow's prefix, is one of those served, letter by letter."""
    words = path.removeprefix("/").split("/")
    if "/".join(words) in _PAGES or words[0] == _FILES:
        return True
    if words[0] not in ("api", "ajax-api") or len(words) < 4 or words[1] not in _VERSIONS:
        return False
    if words[2] == "mlflow-artifacts":
        return words[3] in _ARTIFACTS
    below = "/".join(word for word in words[3:] if word)
    return words[2] == "mlflow" and words[3] in FAMILIES and below not in CLOSED
