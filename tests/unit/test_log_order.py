"""A log in the order in which its lines were written: kept, read through windows, and searched."""

from __future__ import annotations

import re
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submarine_ray.clusters.drivers.base import BEGINNING
from submarine_ray.experiments import find, log_lines, log_parts, logs
from submarine_ray.experiments.log_lines import Log
from submarine_ray.experiments.order import Record
from submarine_ray.experiments.split import Split
from submarine_ray.experiments.spool import Snapshot
from submarine_ray.runner import output
from submarine_ray.spec.stamps import stamp

BEGUN = 1_795_831_867_120
NAMES = ("worker-0", "worker-1", "submarine")
TOLD = (
    f"from Ray\n[worker-0 {stamp(BEGUN)}] a\n[worker-1 {stamp(BEGUN + 20)}] b\n[submarine] waits\n"
    f"[worker-0 {stamp(BEGUN + 5000)}] 10%\r\n[worker-1 {stamp(BEGUN + 6000)}] c\n[worker-0 {stamp(BEGUN + 7000)}] 20%\n"
    f"[worker-0 {stamp(BEGUN + 8000)}] 1/2\r\n"
)


def live(made: Split) -> Log:
    snapshot = Snapshot(made.written(), BEGINNING, made.order())
    return Log(log_parts.of_snapshot(snapshot), lambda: nullcontext(snapshot.order), True)


def archived(directory: Path) -> Log:
    files = {file.stem: file for file in directory.glob("*.log")}
    parts = [log_parts.Part(name, lambda name=name: nullcontext(files[name])) for name in logs.ordered(files)]  # type: ignore[misc]
    return Log(parts, lambda: nullcontext(Record(directory / logs.ORDER)))


def shown(log: Log, replica: str | None = None, offset: int = 0, limit: int = 100) -> list[tuple[str, int | None, str]]:
    found = log_lines.window(log, replica, offset, limit, False)
    return [(one.replica, one.time, one.line) for one in found.lines]


def test_what_the_runner_writes_tells_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: BEGUN * 1_000_000)
    line = output.prefixed("worker-12", ["\x1b[1m half] "]).encode().removesuffix(b"\n")
    assert line == b"[worker-12 2026-11-28T02:11:07.12Z] \x1b[1m half] "
    assert logs.who(line) == ("worker-12", BEGUN, b"\x1b[1m half] ")
    assert logs.who(b"[worker-0] of an older runner") == ("worker-0", 0, b"of an older runner")
    assert logs.who(b"[worker-0 2026-13-99T02:11:07.12Z] no time").time == 0


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_lines_are_shown_in_the_order_of_their_times_while_a_job_runs_and_later(tmp_path: Path, size: int) -> None:
    made = Split(tmp_path / "log", NAMES)
    content = TOLD.encode()
    for begin in range(0, len(content), size):
        made.add(content[begin : begin + size])
    running = live(made)
    expected = [
        ("ray", None, "from Ray"),
        ("worker-0", BEGUN, "a"),
        ("worker-1", BEGUN + 20, "b"),
        ("submarine", BEGUN + 20, "waits"),
        ("worker-1", BEGUN + 6000, "c"),
        ("worker-0", BEGUN + 7000, "20%"),
    ]
    assert shown(running) == expected
    told = log_lines.window(running, None, 1, 2, True)
    assert [one.line for one in told.lines] == ["c", "20%"] and told.offset == 4 and told.is_live and told.is_ordered
    assert [(one.replica, one.line) for one in told.unfinished] == [("worker-0", "1/2")]
    assert {one.replica: one.lines for one in told.replicas} == {"worker-0": 2, "worker-1": 2, "submarine": 1, "ray": 1}
    made.add(f"[worker-1 {stamp(BEGUN + 9000)}] more\n".encode())
    made.end()
    assert shown(running) == expected, "a snapshot does not change"
    after = archived(tmp_path / "log")
    # A line that was never finished keeps the time at which it was last drawn, but for those that came after.
    assert shown(after) == [
        *expected, ("worker-1", BEGUN + 9000, "more"), ("worker-0", BEGUN + 9000, "1/2")
    ]  # fmt: skip
    assert shown(after, "worker-1") == [
        ("worker-1", BEGUN + 20, "b"),
        ("worker-1", BEGUN + 6000, "c"),
        ("worker-1", BEGUN + 9000, "more"),
    ]
    text = b"".join(log_lines.plain(after, None)).decode().splitlines()
    assert text[:2] == ["[ray] from Ray", "[worker-0 2026-11-28T02:11:07.12Z] a"] and len(text) == 8
    assert [line for lines in log_lines.after(after, "worker-1", 1) for _, line, _ in lines] == ["c", "more"]


@pytest.mark.parametrize(
    "damage", ["worker-0 1 99\n", "nonsense", "worker-7 0 1\n", f"worker-0 {2**64} 1\n", "worker-0 1 -9\n"]
)
def test_a_log_whose_order_is_not_known_is_shown_by_replica(tmp_path: Path, damage: str) -> None:
    made = Split(tmp_path / "log", NAMES)
    made.add(b"[worker-1] b\n[worker-0] a\n")
    made.end()
    log = archived(tmp_path / "log")
    assert [line for _, _, line in shown(log)] == ["b", "a"]
    with (tmp_path / "log" / logs.ORDER).open("a") as file:
        file.write(damage)
    log_lines.ORDERS._found.clear()
    for one in (log, Log(log.parts)):
        found = log_lines.window(one, None, 0, 10, False)
        assert [line.line for line in found.lines] == ["a", "b"] and not found.is_ordered
    assert log_lines.window(Log(log.parts), "worker-0", 0, 10, False).is_ordered, "of one replica it is known"


WRITTEN = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 3), st.sampled_from("aAbB\x1bé")), max_size=60)


@given(written=WRITTEN, cuts=st.integers(1, 40), first=st.integers(0, 50), limit=st.integers(1, 50))
def test_a_window_is_a_slice_of_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, int, str]], cuts: int, first: int, limit: int
) -> None:
    directory = tmp_path_factory.mktemp("order") / "log"
    made, now, expected = Split(directory, NAMES), BEGUN, []
    content = b""
    for number, (name, later, text) in enumerate(written):
        now += later * 10
        line = f"{text}[1m{number}x"
        expected.append((name, now, line))
        content += f"[{name} {stamp(now)}] {line}\n".encode()
    for begin in range(0, len(content), cuts):
        made.add(content[begin : begin + cuts])
    log = live(made)
    assert shown(log, None, first, limit) == expected[first : first + limit]
    one = [line for line in expected if line[0] == "worker-1"]
    assert shown(log, "worker-1", first, limit) == one[first : first + limit]
    for wanted in ("a", "É", "1x", "[1m"):
        seen = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).lower() for _, _, line in expected]
        found = log_lines.matches(log, None, find.text(wanted))
        assert found.lines == [number for number, line in enumerate(seen) if wanted.lower() in line]
        assert found.is_complete


def test_errors_are_found_by_what_they_look_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "INFO loss 0.1, no error so far", "Traceback (most recent call last):", '  File "x.py"', "KeyError: 'x'",
        "2026 ERROR out", "errors: 0", "torch.OutOfMemoryError: CUDA", "bash: error: x", "Error: y", "TERRORS",
        "\x1b[31mCRITICAL\x1b[0m",
    ]  # fmt: skip
    file = tmp_path / "log"
    file.write_text("\n".join(lines))
    for piece in (1, 8, 2**20):
        monkeypatch.setattr(find, "PIECE", piece)
        assert list(find.matches(file, file.stat().st_size, find.ERRORS)) == [1, 3, 4, 6, 8, 10]
    monkeypatch.setattr(log_lines, "MOST_MATCHES", 3)
    log = Log([log_parts.Part("worker-0", lambda: nullcontext(file))])
    found = log_lines.matches(log, None, find.ERRORS)
    assert found.lines == [1, 3, 4] and not found.is_complete


def test_empty_lines_are_no_errors_and_cost_nothing(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"\n" * 200_000 + b"\tError: x\n")
    before = time.process_time()
    assert list(find.matches(file, file.stat().st_size, find.ERRORS)) == [200_000]
    assert time.process_time() - before < 5, "it took minutes"


def test_a_line_that_is_very_long_is_cut_for_the_page(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("x" * 50_000 + "\n")
    log = Log([log_parts.Part("worker-0", lambda: nullcontext(file))])
    (line,) = shown(log)
    assert len(line[2]) < 10_100 and line[2].endswith("… (50,000 characters; the download has all)")
