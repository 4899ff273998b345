"""Logs in pieces: split by replica, read through windows, copied while their jobs run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from submarine_ray.clusters.drivers import ray_logs
from submarine_ray.clusters.drivers.base import LogBeganAnew, Mark
from submarine_ray.core.errors import Unavailable
from submarine_ray.experiments import lines as indexed
from submarine_ray.experiments import log_parts, logs
from submarine_ray.experiments.lines import LineIndex, read
from submarine_ray.experiments.log_parts import Part, Window
from submarine_ray.experiments.split import Split
from submarine_ray.experiments.spool import Spools

PROGRESS = (
    "[worker-0] a\n[worker-0] 1%\r\n[worker-1] 5%\r\n[worker-0] 2%\r\nfrom Ray\r\n[worker-0] 100%\n[worker-0] b\n"
)
PREFIXES = "[worker-1] [worker-0] not mine\nfrom Ray\n[submarine] waits\n[worker-0] a\n[worker-0] \n"


def split(directory: Path, text: str, size: int = 7) -> dict[str, str]:
    """Each replica's file after the log has come in pieces of `size` bytes."""
    made = Split(directory, ["worker-0", "worker-1"])
    content = text.encode()
    for begin in range(0, len(content), size):
        made.add(content[begin : begin + size])
    made.end()
    return {file.stem: file.read_bytes().decode() for file in directory.glob("*.log")}


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_logs_are_split_by_replica_and_keep_what_looks_like_a_prefix(tmp_path: Path, size: int) -> None:
    assert split(tmp_path / "a", PREFIXES, size) == {
        "worker-0": "a\n\n", "worker-1": "[worker-0] not mine\n", "submarine": "waits\n", "ray": "from Ray\n",
    }  # fmt: skip
    assert split(tmp_path / "b", "[worker-0] 10%\r20%\x0c\u2028\n[worker-0] end", size)["worker-0"] == (
        "10%\r20%\x0c\u2028\nend\n"
    )


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_log_keeps_the_last_state_of_a_progress_bar(tmp_path: Path, size: int) -> None:
    assert split(tmp_path, PROGRESS, size) == {
        "worker-0": "a\n100%\nb\n", "worker-1": "5%\n", "submarine": "", "ray": "from Ray\r\n",
    }  # fmt: skip


def test_what_is_read_while_it_grows_has_the_line_that_is_not_finished(tmp_path: Path) -> None:
    made = Split(tmp_path, ["worker-0"])
    made.add(b"[worker-0] a\n[worker-0] 5%\r\n[worker-0] hal")
    (worker, *_) = made.written()
    part = Part(worker.name, lambda: nullcontext(worker.file), worker.size, worker.last)
    made.add(b"f\n[worker-0] c\n")
    assert list(part.batches()) == [["a"], ["hal"]], "it does not change while it is read"
    assert made.mark == Mark(made.taken, 4)
    assert worker.file.read_text() == "a\nhalf\nc\n"


def test_no_line_is_longer_than_the_longest(tmp_path: Path) -> None:
    written = split(tmp_path, "[worker-0] " + "x" * 3_000_000, 65_536)
    assert written["worker-0"].count("x") == 3_000_000 and not written["ray"]
    assert max(map(len, written["worker-0"].split("\n"))) <= logs.LONGEST_LINE + 65_536


@given(
    found=st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=9), max_size=60),
    first=st.integers(0, 70),
    count=st.none() | st.integers(0, 70),
    open_end=st.booleans(),
)
def test_a_window_is_a_slice(
    tmp_path_factory: pytest.TempPathFactory, found: list[str], first: int, count: int | None, open_end: bool
) -> None:
    file = tmp_path_factory.mktemp("lines") / "log"
    content = "".join(f"{line}\n" for line in found).encode()
    content = content[:-1] if open_end and found and found[-1] else content
    file.write_bytes(content)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(indexed, "STEP", 4)
        patched.setattr(indexed, "PIECE", 16)
        index = LineIndex()
        with file.open("rb") as opened:
            index.extend(opened, len(content) // 2)
            index.extend(opened, len(content))
        assert index.total == len(found)
        batches = read(file, len(content), index, first, count)
        end = None if count is None else first + count
        assert [line.decode() for batch in batches for line in batch] == found[first:end]


def test_the_document_is_submarines_and_windows_say_how_many_lines_there_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"".join(b"%d\n" % n for n in range(30_000)))
    parts = [
        Part("worker-0", lambda: nullcontext(tmp_path / "a"), last=b"\xff last"),
        *log_parts.empty(["worker-1"]),
    ]

    def read(window: Window) -> tuple[list[list[str]], dict[str, object]]:
        answer = orjson.loads(b"".join(log_parts.answer("e", parts, window)))
        assert list(answer) == ["status", "code", "success", "message", "result", "attributes"]
        assert [pod["podName"] for pod in answer["result"]["logContent"]] == ["e-worker-0", "e-worker-1"]
        return [pod["podLog"] for pod in answer["result"]["logContent"]], answer["attributes"]

    whole = [*map(str, range(30_000)), "\N{REPLACEMENT CHARACTER} last"]
    assert read(Window()) == ([whole, []], {})
    lines = {"lines": {"e-worker-0": 30_001, "e-worker-1": 0}}
    assert read(Window(tail=2)) == ([whole[-2:], []], lines)
    assert read(Window(offset=29_999, limit=1)) == ([["29999"], []], lines)
    assert read(Window(offset=9_000, limit=9_000)) == ([whole[9_000:18_000], []], lines)
    assert read(Window(offset=40_000)) == ([[], []], lines)
    assert b"".join(log_parts.plain(parts)).startswith(b"0\n1\n")


class Cluster:
    """A driver with one job's log."""

    def __init__(self, log: bytes) -> None:
        self.log = log
        self.read: list[int] = []

    def read_log(self, _submission_id: str, offset: int = 0, patience: float = 0) -> Iterator[bytes]:
        self.read.append(offset)
        if offset > len(self.log):
            raise LogBeganAnew
        yield self.log[offset:]


def test_a_log_is_read_once_by_many_and_goes_when_it_is_archived(tmp_path: Path) -> None:
    spools, cluster = Spools(tmp_path / "spool"), Cluster(b"[worker-0] a\n")
    first = spools.look(cluster, "job", ["worker-0"])  # type: ignore[arg-type]
    cluster.log += b"[worker-0] b\n"
    second = spools.look(cluster, "job", ["worker-0"])  # type: ignore[arg-type]
    assert cluster.read == [0, 13]

    def lines(parts: list[Part]) -> list[str]:
        return [line for part in parts if part.name == "worker-0" for batch in part.batches() for line in batch]

    cluster.log = b"[worker-0] anew\n"  # the cluster has started it again
    third = spools.look(cluster, "job", ["worker-0"])  # type: ignore[arg-type]
    with spools.whole(cluster, "job", ["worker-0"]) as directory:  # type: ignore[arg-type]
        assert (directory / "worker-0.log").read_text() == "anew\n"
    assert lines(log_parts.of_snapshot(first)) == ["a"], "a reader goes on with what it has found"
    assert lines(log_parts.of_snapshot(second)) == ["a", "b"]
    assert lines(log_parts.of_snapshot(third)) == ["anew"]
    del first, second, third
    assert not list((tmp_path / "spool").iterdir())


def test_a_stream_is_taken_up_behind_the_lines_that_are_known() -> None:
    assert list(ray_logs._from([b"abc", b"def", b"ghi"], 4, "job")) == [b"ef", b"ghi"]
    with pytest.raises(LogBeganAnew):
        list(ray_logs._from([b"abc"], 4, "job"))


def test_a_full_disk_leaves_no_hole_in_a_copied_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spools, cluster = Spools(tmp_path / "spool"), Cluster(b"[worker-0] a\n")
    assert spools.look(cluster, "job", ["worker-0"]).written  # type: ignore[arg-type]
    cluster.log += b"[worker-0] b\n" * 10_000
    with monkeypatch.context() as patched:
        patched.setattr(Split, "_file", lambda _self, _name: Path("/dev/full"))
        for _ in range(2):
            with pytest.raises(Unavailable, match="No space left"):
                spools.look(cluster, "job", ["worker-0"])  # type: ignore[arg-type]
        with pytest.raises(Unavailable), spools.whole(cluster, "job", ["worker-0"]):  # type: ignore[arg-type]
            pass
    with spools.whole(cluster, "job", ["worker-0"]) as directory:  # type: ignore[arg-type]
        assert (directory / "worker-0.log").read_bytes() == b"a\n" + b"b\n" * 10_000
    assert not list((tmp_path / "spool").iterdir())


@pytest.mark.parametrize(
    ("asked", "name", "expected"),
    [
        (None, "worker-1", True),
        ("worker-1", "worker-1", True),
        ("worker-1", "worker-10", False),
        ("trial-3fa2c_00004", "trial-3fa2c_00004", True),
        ("trial-3fa2c_00004", "trial-3fa2c_00004-worker-1", True),
        ("trial-3fa2c_0000", "trial-3fa2c_00004", False),
    ],
)
def test_a_trials_name_asks_for_the_logs_of_its_replicas_too(asked: str | None, name: str, expected: bool) -> None:
    assert logs.is_of(asked, name) == expected
