"""`submarine cluster add|list|get|check|delete`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from submarine_ray.cli import output, resources
from submarine_ray.cli.output import Format, Problem
from submarine_ray.cli.resources import Output, connect, resource_path

cluster_app = typer.Typer(no_args_is_help=True, help="The clusters that experiments run on.")


@cluster_app.command("add")
def add(
    name: Annotated[str | None, typer.Argument(help="the name by which experiments select it")] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="the registration, YAML or JSON")] = None,
    address: Annotated[str | None, typer.Option(help="a running Ray cluster's dashboard: http://host:8265")] = None,
    token_file: Annotated[Path | None, typer.Option(help="a file with that dashboard's token")] = None,
    kuberay: Annotated[bool, typer.Option("--kuberay", help="KubeRay on Kubernetes")] = False,
    kubeconfig: Annotated[Path | None, typer.Option(help="default $KUBECONFIG, else ~/.kube/config")] = None,
    upload: Annotated[
        bool, typer.Option("--upload", help="send the kubeconfig's text, for a service elsewhere")
    ] = False,
    in_cluster: Annotated[bool, typer.Option("--in-cluster", help="the service runs in a pod there")] = False,
    context: Annotated[str | None, typer.Option(help="a context of the kubeconfig")] = None,
    namespace: Annotated[str | None, typer.Option(help="the namespace for all objects")] = None,
    mode: Annotated[str | None, typer.Option(help="dedicated: a Ray cluster for each experiment; or shared")] = None,
    image: Annotated[str | None, typer.Option(help="the pods' image")] = None,
) -> None:
    """Register a cluster: `submarine cluster add kind --kuberay --context kind-kind`."""
    if file is not None:
        registration = dict(resources.read(file) or {})
        registration |= {"name": name} if name else {}
    elif name is None:
        raise Problem("give the cluster's name, or its registration with -f FILE")
    elif kuberay:
        given = {"context": context, "namespace": namespace, "mode": mode, "image": image}
        access = {} if in_cluster else _access(kubeconfig, upload)
        registration = {"name": name, "kind": "kuberay", **access, **{k: v for k, v in given.items() if v}}
    elif address:
        registration = {"name": name, "kind": "ray", "address": address}
        if token_file is not None:
            registration["token"] = _text(token_file).strip()
    else:
        raise Problem(
            "say which cluster: --address URL for a running Ray cluster, --kuberay for Kubernetes, or -f FILE"
        )
    made = connect().call("POST", "/api/v1/cluster", json=registration)
    typer.echo(made["name"])
    if made["kind"] == "kuberay":
        _check(made["name"], Format.TABLE)


@cluster_app.command("list")
def list_clusters(form: Output = Format.TABLE) -> None:
    """List clusters."""
    found = connect().call("GET", "/api/v1/cluster")
    if form is not Format.TABLE:
        output.document(found, form)
        return
    columns = ("Name", "Kind", "Where", "Healthy", "Nodes", "CPUs", "GPUs", "Message")
    output.table("List of Clusters", columns, map(_row, found))


@cluster_app.command("get")
def get(name: str, form: Output = Format.TABLE) -> None:
    """Show a cluster."""
    output.show(f"Cluster(name = {name} )", connect().call("GET", resource_path("cluster", name)), form)


@cluster_app.command("check")
def check(name: str, form: Output = Format.TABLE) -> None:
    """Test a cluster, and say how to solve each problem. The exit status is 1 if there is one."""
    raise typer.Exit(_check(name, form))


@cluster_app.command("delete")
def delete(
    name: str,
    force: Annotated[
        bool, typer.Option("--force", help="remove it at once, with what runs there, even if it does not answer")
    ] = False,
) -> None:
    """Remove a cluster, and delete what the service has created on it."""
    gone = connect().call("DELETE", f"{resource_path('cluster', name)}{'?force=true' if force else ''}")
    if gone["message"] and (force or gone["deleting"]):
        typer.echo(gone["message"])


def _check(name: str, form: Format) -> int:
    found = connect().call("POST", f"{resource_path('cluster', name)}/check", timeout=120)
    if form is not Format.TABLE:
        output.document(found, form)
    else:
        words = {True: "yes", False: "NO", None: "unknown"}
        rows = [(one["check"], words[one["ok"]], one["message"], one["fix"]) for one in found]
        output.table(f"Checks of {name}", ("What", "Well", "Found", "What to do"), rows)
    return int(any(one["ok"] is False for one in found))


def _row(cluster: dict[str, Any]) -> tuple[Any, ...]:
    has = cluster["resources"] or {}
    where = cluster["address"] or (
        f"namespace {cluster['namespace']}, {cluster['mode']}" if cluster["namespace"] else ""
    )
    return (cluster["name"], cluster["kind"], where, cluster["healthy"], cluster["nodes"], has.get("cpu"),
            has.get("gpu"), cluster["message"])  # fmt: skip


def _access(kubeconfig: Path | None, upload: bool) -> dict[str, str]:
    """How the service gets at the kubeconfig: it reads a file of its machine, or is sent the text."""
    path = kubeconfig or Path(os.environ.get("KUBECONFIG") or "~/.kube/config")
    file = path.expanduser().absolute()
    if upload:
        return {"kubeconfig": _text(file)}
    if not file.exists():
        raise Problem(f"there is no kubeconfig at {file}; give its path with --kubeconfig")
    return {"kubeconfigFile": str(file)}


def _text(file: Path) -> str:
    try:
        return file.expanduser().read_text()
    except (OSError, UnicodeDecodeError) as failure:
        raise Problem(f"{file} cannot be read: {failure}") from failure
