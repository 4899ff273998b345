"""Each name that two parts of the platform must agree on stands in one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import submarine_ray
from submarine_ray.spec import tags
from submarine_ray.spec.launch import Launch, LaunchKind, Notebook, Replica, Tune

ROOT = Path(submarine_ray.__file__).parent
NAMES = {value for name, value in vars(tags).items() if isinstance(value, str) and not name.startswith("__")}
# Names of a run, a model or a job as MLflow's tags and Ray's metadata spell them: `submarine.replica`.
SPELT = re.compile(r"(?:submarine|mlflow)\.[a-z][A-Za-z_]*(?:\.[a-z_]*)?")
# What only looks like one: keys of ASGI's scope, files, and modules of MLflow's.
OTHERS = {
    "submarine.visit", "submarine.document", "submarine.db", "mlflow.db", "mlflow.tracking", "mlflow.tracking.fluent",
    "mlflow.store.", "mlflow.server.", "mlflow.server",
}  # fmt: skip


def texts(file: Path) -> Iterator[str]:
    return (
        node.value
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def test_tags_are_spelt_in_one_module() -> None:
    elsewhere = [
        (str(file.relative_to(ROOT)), text)
        for file in ROOT.rglob("*.py")
        if file != ROOT / "spec" / "tags.py" and "_templates" not in file.parts and "migrations" not in file.parts
        for text in texts(file)
        if text in NAMES or (SPELT.fullmatch(text) and text not in OTHERS)
    ]
    assert not elsewhere


def launch(replicas: int, **more: object) -> Launch:
    return Launch("e", "e", "n", "Python", tuple(Replica("worker", n, "x") for n in range(replicas)), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (launch(1), LaunchKind.COMMAND),
        (launch(2), LaunchKind.GANG),
        (launch(2, function=True), LaunchKind.FUNCTION),
        (launch(1, function=True), LaunchKind.FUNCTION),
        (launch(2, tune=Tune({}, "loss", "min")), LaunchKind.SWEEP),
        (launch(1, function=True, tune=Tune({}, "loss", "min")), LaunchKind.SWEEP),  # of a train function
        (launch(1, notebook=Notebook("f", "/p", "t")), LaunchKind.NOTEBOOK),
    ],
)
def test_a_launch_says_what_it_is(made: Launch, kind: LaunchKind) -> None:
    assert made.kind is kind
    assert Launch.loads(made.dumps()).kind is kind
