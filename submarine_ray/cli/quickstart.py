"""The main job in one command: train on two workers, register, serve, ask."""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from submarine_ray.cli import platform, processes
from submarine_ray.cli.local_ray import StartFailed
from submarine_ray.cli.output import Problem, table
from submarine_ray.client.errors import ClientError
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.client.models import ModelClient, ServeClient
from submarine_ray.client.run import ExperimentHandle
from submarine_ray.client.templates import TemplateClient
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.home import Home
from submarine_ray.spec.serving import EndpointStatus

WORKERS = 2
ASKED = 10
NEEDED_ACCURACY = 0.95
HELP = Path(__file__).parents[1] / "help"  # where `make docs` builds it
FRAMEWORKS = ("pytorch", "tensorflow")


def run(framework: str, data: Path | None) -> None:
    """Run all steps. Raises Problem, naming the step that failed, with the end of the log that tells why."""
    kind = framework.lower()
    if kind not in FRAMEWORKS:
        raise Problem(f"unknown framework {framework!r}; use pytorch or tensorflow")
    if data is not None:
        _check_data(data)
    home = Home.from_env()
    _step("start the platform", lambda: platform.up(home), home.service_log)
    client = ExperimentClient(platform.url())
    model = _model(kind)
    handle = _step("submit the experiment", lambda: _submit(client, kind, data), home.service_log)
    _step("train", lambda: _watch(client, handle), lambda: _log_tail(handle))
    version = _step("register the model", lambda: _version(handle, model), lambda: _log_tail(handle))
    endpoint = _step("deploy the model", lambda: _deploy(model, version), home.service_log)
    _step("ask the model", lambda: _ask(client, handle, endpoint), home.service_log)
    _urls(home, endpoint)


def _step(name: str, act: Callable[[], Any], log: Path | Callable[[], str]) -> Any:
    sys.stdout.write(f"==> {name}\n")
    sys.stdout.flush()
    try:
        return act()
    except (ClientError, Problem, httpx.HTTPError, StartFailed, TimeoutError) as failure:
        tail = processes.tail(log) if isinstance(log, Path) else log()
        raise Problem(f"the step '{name}' failed: {failure}\n--- end of the log ---\n{tail}") from failure


def _submit(client: ExperimentClient, kind: str, data: Path | None) -> ExperimentHandle:
    params = {"model_name": _model(kind), "spec.Worker.replicas": WORKERS}
    if data is not None:
        params["data"] = str(data.absolute())
    templates = TemplateClient(platform.url())
    return ExperimentHandle(client, templates.submit_template(f"{kind}-mnist", params)["experimentId"])


def _model(kind: str) -> str:
    return f"quickstart-{kind}"


def _watch(client: ExperimentClient, handle: ExperimentHandle) -> None:
    """A live line of status, epoch, loss and accuracy until the end. Raises ExperimentFailed."""
    from rich.live import Live
    from rich.text import Text

    sys.stdout.write(f"    {handle.id} on {WORKERS} workers\n")
    begun, interactive, shown = time.monotonic(), sys.stdout.isatty(), ""
    with Live(Text(""), refresh_per_second=4, transient=False, auto_refresh=interactive) as live:
        while True:
            experiment = client.get_experiment(handle.id)
            text = f"    {experiment['status']:<10}{_progress(client, handle)}"
            if interactive:
                live.update(Text(f"{text}  {time.monotonic() - begun:.0f} s"))
            elif text != shown:
                sys.stdout.write(f"{text}\n")
                sys.stdout.flush()
            shown = text
            if experiment["status"] in ExperimentStatus.ENDED:
                break
            time.sleep(0.5)
    client.wait_for_finish(handle.id)
    accuracy = _last(client, handle).get("accuracy", {}).get("value", 0.0)
    if accuracy < NEEDED_ACCURACY:
        raise Problem(f"held-out accuracy is {accuracy:.3f}, less than {NEEDED_ACCURACY}")


def _last(client: ExperimentClient, handle: ExperimentHandle) -> dict[str, dict[str, Any]]:
    metrics = client.metrics(handle.id)
    leader = next((m["replica"] for m in metrics if m["key"] == "accuracy"), None)
    return {m["key"]: m for m in metrics if m["replica"] == leader}


def _progress(client: ExperimentClient, handle: ExperimentHandle) -> str:
    found = _last(client, handle)
    if "accuracy" not in found:
        return ""
    loss = found.get("loss", {}).get("value", float("nan"))
    return f"epoch {found['accuracy']['step']:>2}  loss {loss:.4f}  accuracy {found['accuracy']['value']:.4f}"


def _version(handle: ExperimentHandle, model: str) -> int:
    """The version that the training registered with `save_model`."""
    versions = ModelClient(platform.url()).list_versions(model)
    mine = [int(v["version"]) for v in versions if v["experimentId"] == handle.id]
    if not mine:
        raise Problem(f"{handle.id} registered no version of {model}")
    sys.stdout.write(f"    {model} version {max(mine)}\n")
    return max(mine)


def _deploy(model: str, version: int) -> dict[str, Any]:
    serve = ServeClient(platform.url())
    for old in serve.list_serves():
        if old["modelName"] == model and old["modelVersion"] != version and old["status"] != EndpointStatus.DELETING:
            serve.delete_serve(model, old["modelVersion"])
    serve.create_serve(model, version)
    endpoint = serve.wait_until_running(model, version)
    sys.stdout.write(f"    {endpoint['invocationsUrl']}\n")
    return endpoint


def _ask(client: ExperimentClient, handle: ExperimentHandle, endpoint: dict[str, Any]) -> None:
    """Send held-out images that the training kept aside; predictions beside labels."""
    with TemporaryDirectory() as directory:
        holdout = json.loads(client.download_artifact(handle.id, "holdout.json", Path(directory, "it")).read_text())
    images, labels = holdout["images"][:ASKED], holdout["labels"][:ASKED]
    scored = httpx.post(endpoint["invocationsUrl"], json={"inputs": images}, timeout=30, trust_env=False)
    scored.raise_for_status()
    predicted = [max(range(len(row)), key=row.__getitem__) for row in scored.json()["predictions"]]
    rows = [
        (i, p, label, "yes" if p == label else "no") for i, (p, label) in enumerate(zip(predicted, labels, strict=True))
    ]
    table("Held-out images, over HTTP", ("Image", "Predicted", "Label", "Right"), rows)


def _log_tail(handle: ExperimentHandle) -> str:
    try:
        return "\n".join(f"[{name}] {line}" for name, line in list(handle.logs())[-30:])
    except ClientError as failure:
        return f"(the log cannot be read: {failure})"


def _urls(home: Home, endpoint: dict[str, Any]) -> None:
    known = processes.load(home.ray_state)
    dashboard = known[1]["address"] if known else ""
    rows = [
        ("Workbench", f"{platform.url()}/"),
        *([("Sign in, once", link)] if (link := platform.sign_in_link()) else []),
        ("API docs", f"{platform.url()}/docs"),
        ("MLflow", f"{platform.url()}/mlflow"),
        *([("Help", f"{platform.url()}/help/")] if (HELP / "index.html").is_file() else []),
        ("Ray dashboard", f"{dashboard}  (token in {home.ray_token})"),
        ("Endpoint", endpoint["invocationsUrl"]),
    ]
    table("The platform is running; `submarine down` stops it", ("What", "Where"), rows)


def _check_data(data: Path) -> None:
    """Raises Problem if the directory holds no MNIST files."""
    if not list(data.glob("*images-idx3-ubyte*")):
        raise Problem(f"{data} holds no MNIST files (*-images-idx3-ubyte or .gz)")
    for file in data.glob("*-ubyte.gz"):
        with gzip.open(file) as opened:
            opened.read(4)
