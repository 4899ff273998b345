"""The command and its groups, which the other modules fill."""

from __future__ import annotations

import typer

from submarine_ray.cli.clusters import cluster_app

_KINDS = "experiment, environment, notebook, template, model, endpoint and so on"


def _group(text: str) -> typer.Typer:
    return typer.Typer(no_args_is_help=True, help=text)


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Machine learning on Ray.",
    epilog="Documentation: /help at the service's address, such as http://127.0.0.1:32080/help",
)
list_app = _group("List experiments, environments, notebooks, templates, models, endpoints and so on.")
get_app = _group(f"Show an {_KINDS}.")
delete_app = _group(f"Delete an {_KINDS}.")
create_app = _group("Create an environment, notebook, template, endpoint, traffic split, alias or saved document.")
config_app = _group("Show or change which control service is used.")
for name, group in (
    ("list", list_app), ("get", get_app), ("delete", delete_app), ("create", create_app), ("config", config_app),
    ("cluster", cluster_app),
):  # fmt: skip
    app.add_typer(group, name=name)
