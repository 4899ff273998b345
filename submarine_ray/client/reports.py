"""Reports from a notebook or a script: text, and panels of runs that stay up to date.

import submarine_ray as submarine

submarine.create_report(
    "Learning rates",
    "Three learning rates, five seeds each.",
    submarine.panel("line", metrics=["loss"], filter="tag = baseline", group="params.lr"),
    submarine.panel("table", fields=["params.lr", "metrics.loss"], filter="tag = baseline", sort="metrics.loss"),
)
"""

from __future__ import annotations

from typing import Any

from submarine_ray.client.saved import SavedClient
from submarine_ray.spec.documents import dump
from submarine_ray.spec.reports import WrongBlock, read_block, write_block

REPORTS = "report"


def panel(kind: str, **fields: Any) -> str:
    """Return a panel as text for a report.

    Args:
        kind: `line`, `bar`, `scatter`, `parallel`, `table`, `image` or `text`.
        fields: what it shows, such as `metrics=["loss"]`, and of which runs: `filter`, `sort`, `most` and `group`. The
            page "Workbench" of the documentation lists them.

    Raises:
        ValueError: a field is unknown or wrong; the message names it.
    """
    found = read_block(dump({"kind": kind, **fields}))
    if isinstance(found, WrongBlock):
        raise ValueError(found.why)
    return write_block(found.panel, found.runs)


def create_report(
    name: str, *parts: str, audience: str = "private", host: str | None = None, token: str | None = None
) -> str:
    """Create a report, and return the URL of its page.

    Args:
        name: the report's name. You can use a name once.
        parts: texts in Markdown and panels, in their order.
        audience: `private`, or `team` for everyone who can use the service.
        host: the service's address; by default as for ExperimentClient.
        token: its token; by default as for ExperimentClient.

    Raises:
        ApiError: the service refuses it, for example because you already use the name.
        ServiceUnreachable: the service does not answer.
    """
    client = SavedClient(host, token)
    text = "\n\n".join(part.strip("\n") for part in parts) + "\n"
    made = client.create_saved(REPORTS, name, {"text": text}, audience)
    return f"{client.service.host}/reports/{made['id']}"
