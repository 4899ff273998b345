"""`submarine`: the command line. Heavy imports wait for the command that needs them, so that it starts quickly."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from submarine_ray.cli import experiments, models, output, resources, saved, search, sweeps
from submarine_ray.cli.groups import app, config_app, create_app, delete_app, get_app, list_app
from submarine_ray.cli.output import Format, Problem
from submarine_ray.cli.resources import Output

resources.add_to(list_app, get_app, delete_app, create_app)
saved.add_to(list_app, get_app, delete_app, create_app)
models.add_to(list_app, get_app, delete_app, create_app)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"submarine-ray {version('submarine-ray')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Machine learning on Ray."""


def client() -> Any:
    from submarine_ray.cli import config
    from submarine_ray.client.experiments import ExperimentClient

    return ExperimentClient(config.service_url(), patience=0)


def _home() -> Any:
    from submarine_ray.spec.home import Home

    return Home.from_env()


@app.command()
def up(
    cpus: Annotated[int | None, typer.Option(min=1, help="CPUs of the local Ray cluster")] = None,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="GPUs of the local Ray cluster; default: what Ray finds")
    ] = None,
    services: Annotated[
        int | None, typer.Option(min=1, max=16, help="control services behind one port; default: as many as run, or 1")
    ] = None,
) -> None:
    """Start the platform on this machine. Processes that run already are left alone."""
    from submarine_ray.cli import platform

    started = platform.up(_home(), cpus, gpus, services)
    typer.echo(f"started: {', '.join(started)}" if started else "already running")
    url = platform.url()
    typer.echo(f"Workbench {url}/  API {url}/docs  MLflow {url}/mlflow  Help {url}/help")
    if link := platform.sign_in_link():
        typer.echo(f"Sign in, once, within ten minutes: {link}")


@app.command("sign-in")
def sign_in() -> None:
    """Print a link that signs a browser in. It works once, within ten minutes."""
    service = client().service
    typer.echo(f"{service.host}{service.call('POST', '/api/v1/session/link')['path']}")


@app.command()
def down() -> None:
    """Stop the platform on this machine; experiments' records, models and metrics stay."""
    from submarine_ray.cli import platform

    stopped = platform.down(_home())
    typer.echo(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def status(form: Output = Format.TABLE) -> None:
    """Show the platform's processes on this machine. The exit status is 1 if one of them does not run."""
    from dataclasses import asdict
    from datetime import datetime

    from submarine_ray.cli import platform

    parts = platform.status(_home())
    if form is not Format.TABLE:
        output.document([asdict(part) for part in parts], form)
    else:
        rows = [
            (p.name, "running" if p.running else "stopped", p.where, p.pid,
             datetime.fromtimestamp(p.since).strftime("%Y-%m-%d %H:%M:%S") if p.since else None, p.details)
            for p in parts
        ]  # fmt: skip
        output.table("submarine", ("Part", "State", "Where", "Pid", "Since", "Details"), rows)
        for sentence in (sentence for part in parts for sentence in part.exposed):
            typer.echo(f"open: {sentence}")
    if not all(part.running for part in parts):
        raise typer.Exit(1)


@app.command()
def quickstart(
    framework: Annotated[str, typer.Option(help="pytorch or tensorflow")] = "pytorch",
    data: Annotated[
        Path | None, typer.Option(help="directory with MNIST IDX files; default scikit-learn's digits")
    ] = None,
) -> None:
    """Start the platform, train on two workers, register the model, serve it, and send it requests."""
    from submarine_ray.cli import quickstart as main_job

    main_job.run(framework, data)


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="the command, after --")],
    workers: Annotated[int, typer.Option(min=1, help="number of processes")] = 1,
    cpus_per_worker: Annotated[float, typer.Option(min=0)] = 1,
    gpus_per_worker: Annotated[float, typer.Option(min=0)] = 0,
    framework: Annotated[str | None, typer.Option(help="PyTorch, TensorFlow, XGBoost, Python, Shell or Ray")] = None,
    env: Annotated[list[str] | None, typer.Option(help="K=V, or K for your own; may be given many times")] = None,
    name: Annotated[str | None, typer.Option(help="the experiment's name")] = None,
    working_dir: Annotated[Path, typer.Option(help="directory to send with it", exists=True, file_okay=False)] = Path(),
    no_working_dir: Annotated[bool, typer.Option("--no-working-dir", help="send no directory")] = False,
    max_retries: Annotated[int, typer.Option(min=0)] = 0,
    cluster: Annotated[str | None, typer.Option(help="where to run; default: the service's default")] = None,
    image: Annotated[str | None, typer.Option(help="the pods' image, on clusters that have pods")] = None,
    timeout: Annotated[int | None, typer.Option(min=1, help="seconds after which it is stopped")] = None,
    grace_period: Annotated[
        int | None, typer.Option(min=0, help="seconds from SIGTERM to SIGKILL when it is stopped; default 30")
    ] = None,
    queue: Annotated[bool, typer.Option("--queue", help="wait for a cluster that is too small now")] = False,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="print the log, and exit with the outcome")
    ] = True,
) -> None:
    """Run your script, distributed: `submarine run --workers 2 -- python train.py`."""
    from submarine_ray.cli.follow import follow_to_outcome
    from submarine_ray.client.files import TooMuch
    from submarine_ray.client.run import run as start

    sdk = client()
    try:
        handle = start(
            command[0] if len(command) == 1 else command,  # one word is a whole command line, as ssh has it
            name=name,
            workers=workers,
            framework=framework,
            cpus_per_worker=cpus_per_worker,
            gpus_per_worker=gpus_per_worker,
            env=_variables(env or []),
            working_dir=None if no_working_dir else working_dir,
            max_retries=max_retries,
            cluster=cluster,
            image=image,
            timeout=timeout,
            grace_period=grace_period,
            queue=queue,
            client=sdk,
        )
    except TooMuch as failure:
        raise Problem(str(failure)) from failure
    except OSError as failure:
        raise Problem(f"{working_dir} cannot be read: {failure}") from failure
    typer.echo(handle.id, err=follow)
    if follow:
        raise typer.Exit(follow_to_outcome(sdk, handle.id))


@app.command()
def submit(
    file: Annotated[Path, typer.Option("-f", "--file", help="an experiment's spec, YAML or JSON")],
    follow: Annotated[bool, typer.Option("--follow/--no-follow")] = False,
) -> None:
    """Submit an experiment's spec."""
    from submarine_ray.cli.follow import follow_to_outcome

    spec = resources.read(file)
    sdk = client()
    id = sdk.create_experiment(spec)["experimentId"]
    typer.echo(id)
    if follow:
        raise typer.Exit(follow_to_outcome(sdk, id))


@app.command("run-template")
def run_template(
    name: Annotated[str, typer.Argument(help="the template; `submarine list template` shows them")],
    param: Annotated[list[str] | None, typer.Option("-p", "--param", help="KEY=VALUE, may be given many times")] = None,
    gpus: Annotated[float | None, typer.Option(min=0, help="GPUs of each replica, or of each worker it starts")] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="print the log, and exit with the outcome")
    ] = True,
) -> None:
    """Run a template: `submarine run-template pytorch-mnist -p epochs=5`."""
    from submarine_ray.cli import config
    from submarine_ray.cli.follow import follow_to_outcome
    from submarine_ray.client.templates import TemplateClient, gpu_parameters

    templates = TemplateClient(config.service_url(), patience=0)
    params = _pairs(param or [], "--param")
    if gpus is not None:
        params = {**gpu_parameters(templates.get_template(name), gpus), **params}
    id = templates.submit_template(name, params)["experimentId"]
    typer.echo(id, err=follow)
    if follow:
        raise typer.Exit(follow_to_outcome(client(), id))


@app.command()
def logs(
    id: Annotated[str, typer.Argument(help="the experiment")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="continue until it ends")] = False,
    replica: Annotated[str | None, typer.Option(help="one replica, such as worker-1")] = None,
    tail: Annotated[int | None, typer.Option(help="only the last lines of each replica", min=1, max=10_000)] = None,
    attempt: Annotated[int | None, typer.Option(help="an earlier attempt's; default the last one's", min=1)] = None,
) -> None:
    """Print an experiment's log."""
    from submarine_ray.cli.follow import follow as follow_log

    sdk = client()
    if follow and attempt is not None:
        raise Problem("--follow shows the last attempt's log; leave out --attempt, or --follow")
    if follow:
        follow_log(sdk, id, replica, tail)
        return
    for name, line in sdk.read_log(id, replica, tail, attempt):
        typer.echo(line if replica else f"[{name}] {line}")


@app.command()
def stop(
    id: Annotated[str, typer.Argument(help="the experiment")],
    trial: Annotated[str | None, typer.Option(help="stop only this trial of a sweep; the sweep goes on")] = None,
) -> None:
    """Stop a running experiment; it stays listed."""
    if trial:
        client().stop_trial(id, trial)
    else:
        client().stop_experiment(id)
    typer.echo(f"Stopping trial {trial} of {id}." if trial else f"Stopping {id}.")


@app.command()
def serve(
    model: Annotated[str, typer.Argument(help="the model; or NAME@ALIAS, or models:/NAME@ALIAS")],
    version: Annotated[str | None, typer.Argument(help="its number, or an alias")] = None,
    replicas: Annotated[int, typer.Option(min=1, help="number of processes that answer")] = 1,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs per replica; less than 1: a share of one")] = 0,
    cpus: Annotated[float, typer.Option(min=0, help="CPUs per replica; 0: a small default")] = 0,
    memory: Annotated[str | None, typer.Option(help="memory per replica, such as 2Gi")] = None,
    cluster: Annotated[str | None, typer.Option(help="where to serve it; default: the service's default")] = None,
    timeout: Annotated[float, typer.Option(help="seconds to wait until it answers; 0: do not wait")] = 180,
) -> None:
    """Serve a model version, and print where it answers."""
    from submarine_ray.cli import config
    from submarine_ray.client.models import ServeClient

    endpoints = ServeClient(config.service_url(), patience=0)
    sizes = (("cpu", f"{cpus:g}"), ("memory", memory or "0"), ("nvidia.com/gpu", f"{gpus:g}"))
    asked = ",".join(f"{key}={size}" for key, size in sizes if size != "0") or None
    which = models.reference(model, version)
    endpoint = endpoints.create_serve(which.uri, None, False, replicas=replicas, cluster=cluster, resources=asked)
    if timeout > 0:
        endpoint = endpoints.wait_until_running(endpoint["modelName"], endpoint["modelVersion"], timeout)
    typer.echo(endpoint["invocationsUrl"])


@get_app.command("experiment")
def get_experiment(id: str, form: Output = Format.TABLE) -> None:
    """Show an experiment."""
    output.show(f"Experiment(id = {id} )", client().get_experiment(id), form)


@delete_app.command("experiment")
def delete_experiment(id: str, wait: Annotated[bool, typer.Option("--wait/--no-wait")] = False) -> None:
    """Delete an experiment."""
    found = client().delete_experiment(id)
    if wait:
        typer.echo(f"Experiment(id = {id} ) {found['status'].lower()}")


@config_app.command("init")
def config_init() -> None:
    """Restore the defaults."""
    from submarine_ray.cli import config

    config.save(config.DEFAULTS)
    typer.echo("Submarine CLI Config initialized")


@config_app.command("list")
def config_list(form: Output = Format.TABLE) -> None:
    """Show the configuration."""
    from submarine_ray.cli import config

    output.show("SubmarineCliConfig", config.load(), form)


@config_app.command("get")
def config_get(path: str) -> None:
    """Show a setting: `submarine config get connection.port`."""
    from submarine_ray.cli import config

    typer.echo(f"{path}={config.get(path)}")


@config_app.command("set")
def config_set(path: str, value: str) -> None:
    """Change a setting: `submarine config set connection.port 8080`."""
    from submarine_ray.cli import config

    config.set(path, value)


def _variables(given: list[str]) -> dict[str, str]:
    """K=V, or K alone with the value that this process has: a token then is in no shell's history."""
    for name in given:
        if "=" not in name and name not in os.environ:
            raise Problem(f"--env {name!r}: there is no such variable here; write {name}=VALUE")
    return _pairs([one if "=" in one else f"{one}={os.environ[one]}" for one in given], "--env")


def _pairs(pairs: list[str], option: str) -> dict[str, str]:
    found = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise Problem(f"{option} {pair!r} is not KEY=VALUE")
        found[key] = value
    return found


# Last, so that the help lists them behind the commands that one starts with.
experiments.add_to(app, list_app)
app.command()(models.promote)
sweeps.add_to(app)
search.add_to(app, list_app)


def main() -> None:
    """The console script: every expected failure is one line on stderr and exit status 1."""
    try:
        app()
    except Exception as failure:
        from submarine_ray.cli.local_ray import StartFailed
        from submarine_ray.client.errors import ClientError

        if not isinstance(failure, Problem | ClientError | StartFailed | TimeoutError):
            raise
        sys.stderr.write(f"Error: {failure}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
