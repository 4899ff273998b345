"""Several control services behind one port, as `submarine up --services` starts them; without a cluster."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from submarine_ray.cli import several
from submarine_ray.spec.home import Home
from tests.conftest import MariaDb, free_port, users_environment


class Several:
    """The services, and how they are asked."""

    def __init__(self, home: Home, count: int, env: dict[str, str]) -> None:
        self.home, self.count = home, count
        self.port, self.content = free_port(), free_port()
        own = {"HOME": home.root, "PORT": self.port, "CONTENT_PORT": self.content}
        self.env = users_environment() | env | {f"SUBMARINE_{name}": str(value) for name, value in own.items()}
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> list[str]:
        return several.start(self.home, self.count, self.env, self.port, self.content)

    def client(self, **more: object) -> httpx.Client:
        token = self.home.token.read_text().strip()
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=20, **more)  # type: ignore[arg-type]

    def begun(self, client: httpx.Client | None = None) -> str:
        """What tells the service that answers from the others; without a client, as one that keeps no cookies."""
        answer = (client or httpx).get(f"{self.url}/health", timeout=20)
        return str(answer.raise_for_status().json()["startedTime"])

    def all_begun(self) -> set[str]:
        return {self.begun() for _ in range(4 * self.count)}

    def pid(self, number: int) -> int:
        process = several.one(self.home, number).process
        assert process is not None
        return process.pid


@contextmanager
def together(mariadb: MariaDb, home: Home, count: int) -> Iterator[Several]:
    """The services, on two empty databases; afterwards they have ended."""
    home.root.mkdir(mode=0o700)
    name = f"several_{uuid.uuid4().hex[:8]}"
    env = {
        "SUBMARINE_DATABASE_URL": mariadb.database(name),
        "SUBMARINE_MLFLOW_DATABASE_URL": mariadb.database(f"{name}_mlflow"),
    }
    found = Several(home, count, env)
    try:
        assert found.start() == [*(f"service {number}" for number in range(1, count + 1)), "front"]
        yield found
    finally:
        several.stop(home)
