"""The interface of a kind of cluster. Everything else asks this interface and compares no kinds.

Each kind is a package beside this module, named as in `spec.clusters`, whose module `kind` has KIND.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from submarine_ray.clusters.drivers.base import Driver
from submarine_ray.clusters.drivers.dashboards import Dashboard
from submarine_ray.clusters.launches import Launches
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.networks import Outgoing
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.packages.service import PackageService
from submarine_ray.spec.answers.clusters import ClusterCheck
from submarine_ray.spec.experiment import EnvironmentSpec, ExperimentSpec
from submarine_ray.spec.json_types import JsonObject


@dataclass(frozen=True)
class Capabilities:
    """What a cluster can do. The defaults are those of a Ray cluster somewhere in the network."""

    is_here: bool = False
    """It shares this machine's disk, Python and addresses, and belongs to this platform."""
    has_pods: bool = False
    """Each experiment has pods of its own there, with an image of its own."""
    has_dashboard: bool = True
    """One Ray dashboard shows all that runs there."""
    shares_serve: bool = True
    """One Ray Serve has all endpoints: they hold the cluster's room, and one splitter can stand before several."""
    makes_room: bool = False
    """Without a bound of its own: nodes are made for what is asked."""


@dataclass(frozen=True)
class Check:
    """One thing looked at. `ok` is None where it could not be found out."""

    check: str
    ok: bool | None
    message: str
    fix: str | None = None

    def answer(self) -> ClusterCheck:
        return ClusterCheck(check=self.check, ok=self.ok, message=self.message, fix=None if self.ok else self.fix)


@dataclass(frozen=True)
class Means:
    """What a kind works with. `notify(ids)` is called with the ids of what has changed there."""

    settings: Settings
    secrets: SecretBox
    packages: PackageService
    launches: Launches
    outgoing: Outgoing
    notify: Callable[[frozenset[str]], None] = field(compare=False)

    def opened(self, sealed: str | None) -> str | None:
        return self.secrets.open(sealed) if sealed else None


class Address(Protocol):
    """Where a cluster is, and how it is opened. Two that are equal are reached by the same driver."""

    def connect(self, means: Means) -> Driver:
        """A driver. Raises Unreachable if there can be none now."""

    def dashboard(self, means: Means) -> Dashboard:
        """Its one Ray dashboard. Raises Unreachable if it has none."""


class Kind(Protocol):
    """A kind of cluster. `row` is one that is registered."""

    def capabilities(self, row: ClusterRow) -> Capabilities:
        """What this cluster can do."""

    def check(self, spec: Any, settings: Settings) -> None:
        """What can be said of a registration without asking the cluster. Raises InvalidSpec."""

    def columns(self, spec: Any, secrets: SecretBox) -> dict[str, object]:
        """The columns of a row that this kind alone has; secrets sealed."""

    def address(self, row: ClusterRow, means: Means) -> Address:
        """Where it is now. Raises Unreachable, SecretLost."""

    def serve_url(self, row: ClusterRow, endpoint: str, settings: Settings) -> str:
        """Where an endpoint answers, as users reach it."""

    def serve_http_options(self, settings: Settings) -> JsonObject:
        """Serve's HTTP options; fixed at Serve's first start."""

    def checks(self, row: ClusterRow, means: Means) -> list[Check] | None:
        """All that such a cluster needs; None where an answer to the usual question is all."""

    def check_experiment(self, row: ClusterRow, spec: ExperimentSpec, environment: EnvironmentSpec | None) -> None:
        """Refuse what it may not or cannot run. Raises InvalidSpec."""

    def by_hand(self, row: ClusterRow) -> str | None:
        """The command that takes away what was made there; None where that ends by itself."""

    def described(self, row: ClusterRow) -> dict[str, object]:
        """What users are shown of such a cluster alone, by the names of the answer's fields."""


def of(row: ClusterRow) -> Kind:
    """The row's kind."""
    return named(row.kind)


def named(kind: str) -> Kind:
    """A kind that `spec.clusters` knows."""
    found: Kind = importlib.import_module(f"{__package__}.{kind}.kind").KIND
    return found
