"""What brings points to our own service: in batches, once, for as long as it moves, whoever is killed on the way."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psutil
import pytest

from submarine_ray.client import media_queue, shipper
from submarine_ray.client.shipper import Shipper
from submarine_ray.client.spool import Run, Spool, piece
from submarine_ray.core.envelope import error
from submarine_ray.core.errors import InvalidSpec
from submarine_ray.runner.process import ReplicaProcess
from submarine_ray.spec.launch import Replica
from submarine_ray.spec.spool import lines, media
from submarine_ray.spec.spool import media_queue as queue_of
from submarine_ray.spec.spool.batches import Batch, Points
from submarine_ray.spec.spool.media import MediaHeader, MediaItem
from submarine_ray.tracking.batches import expanded, parsed
from tests.conftest import wait_until


class Service(ThreadingHTTPServer):
    """Reads batches as the control service does, and keeps them as it says it does.

    `loses` answers are not sent after their batch is stored; it answers 503 while `away`; `pause` is before each answer.
    So many questions for what is stored get 503 and `told`, while MLflow answers, as `starts` says.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sequences: dict[str, int] = {}
        self.rows: list[tuple[Any, ...]] = []
        self.params: list[dict[str, Any]] = []
        self.batches = 0
        self.loses = 0
        self.away = False
        self.starts = 0
        self.told: dict[str, Any] = {}
        self.logged = 0  # by MLflow's own API
        self.pause = 0.0
        self.meanwhile: Callable[[], object] | None = None  # what happens once, before a batch after the first is taken
        self.lock = threading.Lock()
        self.items: list[MediaItem] = []
        self.files: dict[str, bytes] = {}
        self.media_requests = 0
        self.refusals = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mlflow"

    def take(self, body: bytes, encoding: str) -> tuple[int, Any]:
        try:
            batch = parsed(expanded(body, encoding), _check_key)
        except InvalidSpec as failure:
            return 400, {"message": str(failure)}
        with self.lock:
            known = self.sequences.get(batch.writer, 0)
            if batch.sequence > known:
                if batch.after is not None and batch.after != known:
                    return 409, {"message": f"send what follows {known}"}
                self.rows += batch.points.rows()
                self.sequences[batch.writer] = batch.sequence
                self.batches += 1
            return 200, {"result": {"sequence": self.sequences[batch.writer]}}


def _check_key(key: str, number: int) -> None:
    if key == "bad":
        raise InvalidSpec("no", f"keys[{number}]")


class _Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.pause)
        if self.server.away:
            self.server.refusals += 1
            return self._answer(503, {})
        if self.path == "/api/v1/run/r/media":
            return self._take_media(list(media.items(body)))
        if not self.path.startswith("/api/v1/run/r/batch"):
            self.server.params += json.loads(body).get("params", [])
            self.server.logged += len(json.loads(body).get("metrics", []))
            return self._answer(200, {})
        if self.server.batches and self.server.meanwhile:
            act, self.server.meanwhile = self.server.meanwhile, None
            act()
        found = self.server.take(body, self.headers.get("Content-Encoding", ""))
        if self.server.loses and found[0] == 200:
            self.server.loses -= 1
            self.close_connection = True
            return None
        return self._answer(*found)

    def _take_media(self, items: list[MediaItem]) -> None:
        if any(item.content == b"bad" for item in items):
            return self._answer(400, {"message": "no"})
        self.server.items += items
        self.server.media_requests += 1
        return self._answer(200, {"result": {"items": len(items)}})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        place = unquote(self.path).removeprefix("/mlflow/api/2.0/mlflow-artifacts/artifacts/")
        self.server.files[place] = body
        return self._answer(200, {})

    def do_GET(self) -> None:
        if self.server.away:
            self.server.refusals += 1
            return self._answer(503, {})
        if self.path.endswith("runs/get?run_id=r"):
            return self._answer(200, {"run": {"info": {"artifact_uri": "mlflow-artifacts:/0/r/artifacts"}}})
        if self.server.starts and self.path.startswith("/api/v1/run/"):
            self.server.starts -= 1
            return self._answer(503, self.server.told)
        writer = urlsplit(self.path).query.removeprefix("writer=")
        return self._answer(200, {"result": {"sequence": self.server.sequences.get(writer, 0)}})

    def _answer(self, status: int, document: Any) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches."""
    monkeypatch.setattr(shipper, "MAX_POINTS", 100)


def run(server: Service) -> Run:
    return Run(server.url, "r", "0", "e", "worker-0", True)


def spooled(path: Path, count: int) -> Path:
    spool = Spool(path / "spool")
    for step in range(count):
        spool.metric("loss", step / 7, step)
    spool.close()
    return path / "spool"


def steps(service: Service) -> list[int]:
    return [row[2] for row in service.rows]


def test_points_arrive_as_they_were_logged(service: Service, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    logged = [("loss", 1 / 3), ("up", math.inf), ("down", -math.inf), ("whole", 2), ("tiny", 5e-324), ("loss", -0.0)]
    for step, (key, value) in enumerate(logged):
        spool.metric(key, value, step)
    spool.metric("nan", math.nan, 2**62)
    spool.param("lr", "0.1")
    assert Shipper(tmp_path / "spool", run(service)).start().close()
    assert [row[:2] for row in service.rows[:-1]] == logged
    assert service.rows[-1][0] == "nan" and math.isnan(service.rows[-1][1]) and service.rows[-1][2] == 2**62
    assert str(service.rows[5][1]) == "-0.0" and service.params == [{"key": "lr", "value": "0.1"}]
    # Up to its end, where the parameter stands: the service finds nothing left.
    assert list(service.sequences.values()) == [(tmp_path / "spool").stat().st_size]


def test_many_points_take_few_requests(service: Service, tmp_path: Path) -> None:
    assert Shipper(spooled(tmp_path, 50_000), run(service)).start().close()
    assert steps(service) == list(range(50_000)) and service.batches <= 4


@pytest.mark.usefixtures("few")
def test_a_lost_answer_doubles_nothing(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: threading.Event().wait(0.01))
    service.loses = 3
    path = spooled(tmp_path, 250)
    shipping = Shipper(path, run(service)).start()
    with path.open("ab") as file:  # what is logged meanwhile makes the batch that is sent again another one
        for step in range(250, 500):
            file.write(json.dumps(["loss", 0.5, step, 1]).encode() + b"\n")
    assert shipping.close()
    assert steps(service) == list(range(500))


@pytest.mark.usefixtures("few")
def test_one_that_comes_later_goes_on_where_the_first_was(service: Service, tmp_path: Path) -> None:
    path = spooled(tmp_path, 300)
    assert Shipper(path, run(service)).start().close()
    before = service.batches
    Spool(path).metric("loss", 0.5, 300)
    assert Shipper(path, run(service)).start().close()
    assert steps(service) == list(range(301)) and service.batches == before + 1


@pytest.mark.usefixtures("few")
def test_two_at_once_double_nothing(service: Service, tmp_path: Path) -> None:
    path = spooled(tmp_path, 2_000)
    first, second = Shipper(path, run(service)).start(), Shipper(path, run(service)).start()
    assert first.close() and second.close()
    assert steps(service) == list(range(2_000))


@pytest.mark.usefixtures("few")
def test_another_sender_with_other_batches_doubles_nothing(service: Service, tmp_path: Path) -> None:
    """In the middle of a run, somebody else has stored half of the next batch."""
    path = spooled(tmp_path, 400)
    lines = path.read_bytes().splitlines(keepends=True)

    def store() -> None:
        (writer, after), end = *service.sequences.items(), len(b"".join(lines[:150]))
        rows = [tuple(json.loads(line)) for line in lines[100:150]]
        assert service.take(Batch(writer, after, end, Points.of(rows)).written(), "")[0] == 200

    service.meanwhile = store
    assert Shipper(path, run(service)).start().close()
    assert steps(service) == list(range(400)) and service.meanwhile is None


def test_a_service_that_starts_is_not_taken_for_another_server(service: Service, tmp_path: Path) -> None:
    """Its MLflow answers some seconds before the rest: points sent that way would be stored again at the end."""
    service.starts, service.told = (
        shipper.PROBES + 1,
        json.loads(bytes(error(HTTPStatus.SERVICE_UNAVAILABLE, "no").body)),
    )
    assert Shipper(spooled(tmp_path, 100), run(service)).start().close()
    assert steps(service) == list(range(100)) and service.logged == 0


def test_a_server_that_is_another_gets_what_mlflow_takes(service: Service, tmp_path: Path) -> None:
    service.starts = 10**6
    assert Shipper(spooled(tmp_path, 100), run(service)).start().close()
    assert service.logged == 100 and service.rows == []


@pytest.mark.usefixtures("few")
def test_a_name_that_is_refused_costs_itself_alone(service: Service, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for step in range(50):
        spool.metric("bad" if step in (17, 49) else "loss", 0.5, step)
    warnings: list[str] = []
    assert not Shipper(tmp_path / "spool", run(service), warnings.append).start().close()
    assert steps(service) == [step for step in range(50) if step not in (17, 49)]
    assert len(warnings) == 2 and "'bad' = 0.5 at step 17: HTTP 400: keys[0]: no" in warnings[0]


@pytest.mark.usefixtures("few")
def test_the_end_waits_for_as_long_as_it_moves(service: Service, tmp_path: Path) -> None:
    service.pause = 0.15
    warnings: list[str] = []
    begun = time.monotonic()
    assert Shipper(spooled(tmp_path, 1_000), run(service), warnings.append).start().close(patience=1.0)
    assert time.monotonic() - begun > 1.0 and len(service.rows) == 1_000 and not warnings


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("keeps", [False, True])
def test_what_is_left_is_counted(service: Service, tmp_path: Path, keeps: bool) -> None:
    service.away = True
    warnings: list[str] = []
    shipping = Shipper(spooled(tmp_path, 1_234), run(service), warnings.append, keeps).start()
    assert not shipping.close(patience=0.5)
    why = "the tracking server took nothing for 0.5 s"
    if keeps:
        assert warnings == [f"[submarine] 1,234 records are left for the service to store: {why}"]
    else:
        assert warnings == [f"[submarine] not stored: 1,234 records, which were logged last: {why}"]


@pytest.mark.usefixtures("few")
def test_a_stop_bounds_it(service: Service, tmp_path: Path) -> None:
    service.pause = 0.1
    warnings: list[str] = []
    shipping = Shipper(spooled(tmp_path, 5_000), run(service), warnings.append).start()
    shipping.hurry(0.5)
    begun = time.monotonic()
    assert not shipping.close(patience=30)
    assert time.monotonic() - begun < 5 and "the replica was stopped" in warnings[0]


def test_lines_that_are_torn_are_no_others(tmp_path: Path) -> None:
    """Read at once, two torn lines must not make one whole record."""
    path = tmp_path / "spool"
    path.write_bytes(b'["a", 1.0\n2, 3]\n["b", 1.0, 2, 3]\n["c", 1.0, 2, 3')
    found = piece(path, 0, 100)
    assert found and list(found.rows) == [("b", 1.0, 2, 3)] and len(found.refused) == 2
    assert found.end == len(b'["a", 1.0\n2, 3]\n["b", 1.0, 2, 3]\n') and piece(path, found.end, 100) is None
    path.write_bytes(b"x" * lines.PIECE_BYTES + b"\n")
    found = piece(path, 0, 100)
    assert found and found.refused and piece(path, found.end, 100)


def test_a_sender_that_is_killed_is_followed_by_another(service: Service, tmp_path: Path) -> None:
    """A process without a runner, as Ray Train's workers are: its sender is killed in the middle, and again."""
    code = (
        "import os, sys, submarine_ray as s\n"
        "for i in range(30_000):\n"
        "    s.log_metric('loss', i, i)\n"
        "    if i in (0, 20_000): print('now', flush=True); sys.stdin.readline()\n"
    )
    env = os.environ | {"MLFLOW_TRACKING_URI": service.url, "MLFLOW_RUN_ID": "r", "TMPDIR": str(tmp_path)}
    env.pop("SUBMARINE_SPOOL", None)
    logging = subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert logging.stdin and logging.stdout
    logging.stdout.readline()
    wait_until(lambda: service.rows, 30, "the first point")
    logging.stdin.write("\n")
    logging.stdin.flush()
    logging.stdout.readline()
    spool = next(tmp_path.glob("submarine-*/metrics.jsonl"))
    senders = [p for p in psutil.process_iter(["cmdline"]) if str(spool) in (p.info["cmdline"] or ())]
    assert senders
    for sender in senders:
        sender.kill()
    logging.stdin.write("\n")
    logging.stdin.close()
    assert logging.wait(60) == 0
    assert sorted(steps(service)) == list(range(30_000))


def replica(service: Service, directory: Path, script: str, said: list[str], grace: float = 30) -> ReplicaProcess:
    (directory / "train.py").write_text(script)
    env = {"SUBMARINE_TRACKING_URI": service.url, "SUBMARINE_RUN_ID": "r", "SUBMARINE_SPOOL": f"{directory}/spool"}
    worker = Replica("worker", 0, f"{sys.executable} train.py")
    return ReplicaProcess(worker, {**env, "SUBMARINE_LEADER": "1"}, directory, said.append, grace)


@pytest.mark.usefixtures("few")
def test_a_replica_has_ended_when_its_points_are_stored(service: Service, tmp_path: Path) -> None:
    service.pause = 0.1
    process = replica(service, tmp_path, "import submarine_ray as s\nfor i in range(900): s.log_metric('m', i, i)", [])
    assert process.wait(60) == 0
    assert len(service.rows) == 900


def test_a_stopped_replica_does_not_wait_for_a_service_that_is_away(service: Service, tmp_path: Path) -> None:
    service.away = True
    said: list[str] = []
    script = "import submarine_ray as s, time\nfor i in range(900): s.log_metric('m', i, i)\ntime.sleep(600)"
    process = replica(service, tmp_path, script, said, grace=1)
    wait_until(
        lambda: (tmp_path / "spool").exists() and len((tmp_path / "spool").read_bytes().splitlines()) == 900,
        30,
        "all is logged",
    )
    process.terminate()
    assert process.wait(30) != 0
    assert "[submarine] not stored: 900 records, which were logged last: the replica was stopped" in said


def text(number: int, content: bytes = b"abc") -> MediaItem:
    return MediaItem(MediaHeader("text", "t", number, 1, media.new_name(), "txt", len(content)), content)


def queued(spool: Path, *items: MediaItem) -> Path:
    for item in items:
        media_queue.put(queue_of(spool), item)
    return spool


def test_images_and_the_like_arrive_in_few_requests(service: Service, tmp_path: Path) -> None:
    sent = [text(number) for number in range(500)]
    shipping = Shipper(queued(spooled(tmp_path, 10), *sent[:250]), run(service)).start()
    wait_until(lambda: len(service.items) == 250, 30, "the first have come")
    queued(tmp_path / "spool", *sent[250:])  # while it waits
    assert shipping.close()
    assert service.items == sent and service.media_requests <= 100 and len(service.rows) == 10
    assert media_queue.waiting(queue_of(tmp_path / "spool")) == []


def test_a_service_that_is_away_loses_no_images(service: Service, tmp_path: Path) -> None:
    service.away = True
    sent = [text(number) for number in range(3)]
    shipping = Shipper(queued(tmp_path / "spool", *sent), run(service)).start()
    wait_until(lambda: service.refusals, 30, "it has been asked in vain")
    service.away = False
    assert shipping.close()
    assert service.items == sent


def test_an_image_that_is_refused_costs_itself_alone(service: Service, tmp_path: Path) -> None:
    warnings: list[str] = []
    sent = [text(number, b"bad" if number == 3 else b"abc") for number in range(6)]
    assert not Shipper(queued(tmp_path / "spool", *sent), run(service), warnings.append).start().close()
    assert service.items == [*sent[:3], *sent[4:]]
    assert warnings == ['[submarine] not stored: text "t" at step 3: HTTP 400: no']


@pytest.mark.parametrize("keeps", [False, True])
def test_images_that_are_left_are_counted(service: Service, tmp_path: Path, keeps: bool) -> None:
    warnings: list[str] = []
    shipping = Shipper(queued(tmp_path / "spool", text(1)), run(service), warnings.append, keeps).start()
    wait_until(lambda: service.items, 30, "the first has come")
    service.away = True
    queued(tmp_path / "spool", text(2), text(3))
    assert not shipping.close(patience=0.5)
    said = "2 images, tables or other files"
    begin = f"[submarine] {said} are left for the service" if keeps else f"[submarine] not stored: {said}"
    assert len(warnings) == 1 and warnings[0].startswith(begin)


def test_another_mlflow_server_gets_files(service: Service, tmp_path: Path) -> None:
    service.starts = 10**6
    one = text(1)
    image = MediaItem(MediaHeader("image", "a b", 2, 1, media.new_name(), "png", 1, preview=1), b"i", b"p")
    assert Shipper(queued(tmp_path / "spool", one, image), run(service)).start().close()
    below = "0/r/artifacts"
    assert service.files == {
        f"{below}/{one.header.path}": b"abc",
        f"{below}/{image.header.path}": b"i",
        f"{below}/{image.header.preview_path}": b"p",
    }


def test_what_a_killed_process_logged_arrives(service: Service, tmp_path: Path) -> None:
    script = "import submarine_ray as s, os\nfor i in range(9): s.log_text(str(i), 't', i)\nos.kill(os.getpid(), 9)"
    process = replica(service, tmp_path, script, [])
    assert process.wait(60) != 0
    assert [item.content for item in service.items] == [str(number).encode() for number in range(9)]
