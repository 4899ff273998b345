"""A replica's process: its lines, its end and the end of all that it has started."""

from __future__ import annotations

import gc
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from submarine_ray.runner import guard
from submarine_ray.runner.errors import CommandFailed
from submarine_ray.runner.output import LONGEST_SHOWN, Lines
from submarine_ray.runner.process import ReplicaProcess
from submarine_ray.spec.endings import describe
from submarine_ray.spec.launch import Replica
from tests.conftest import PIDS_APART, wait_until

Start = Callable[..., tuple[ReplicaProcess, list[str]]]
SAVING = """
import os, signal, sys, time
def save(*_):
    for part in range(3):
        time.sleep(0.1)
        print("saved", part, flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
while True: time.sleep(0.05)
"""


HOPPING = """
import os, shlex, sys
from pathlib import Path
from submarine_ray.runner.process import ReplicaProcess
from submarine_ray.spec.launch import Replica

hop = "import os\\nprint('hopping', flush=True)\\nwhile True:\\n    if os.fork(): os._exit(0)"
process = ReplicaProcess(Replica("worker", 0, shlex.join([sys.executable, "-c", hop])), {}, Path.cwd(), print, 0.2)
process.wait(60)
others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
print([name for name in others if Path("/proc", name).exists() and Path("/proc", name, "cmdline").read_bytes()])
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command, by a shell or as it is; what runs at the end is killed."""
    started: list[ReplicaProcess] = []

    def go(command: str, shell: bool = False, grace: float = 30, **env: str) -> tuple[ReplicaProcess, list[str]]:
        lines: list[str] = []
        process = ReplicaProcess(Replica("worker", 0, command, shell), env, tmp_path, lines.append, grace)
        started.append(process)
        return process, lines

    yield go
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    return guard._parent(str(pid)) is not None


def pid_in(file: Path) -> int:
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"), 10, "a process id")
    return int(file.read_text())


def test_every_line_is_handed_over_in_order(start: Start) -> None:
    process, lines = start(f"{sys.executable} -c 'for i in range(5000): print(i)'")
    assert process.wait(30) == 0
    assert lines == [str(i) for i in range(5000)]


def test_a_slow_sink_gets_every_line(tmp_path: Path) -> None:
    lines: list[str] = []

    def slow(line: str) -> None:
        time.sleep(0.001)
        lines.append(line)

    process = ReplicaProcess(Replica("worker", 0, "seq 1 1500", shell=True), {}, tmp_path, slow)
    assert process.wait(30) == 0
    assert lines == [str(number) for number in range(1, 1501)]


def test_one_that_has_ended_is_told_nothing(start: Start, tmp_path: Path) -> None:
    process, _ = start("true", shell=True)
    number = process._orders
    assert process.wait(10) == 0
    with (tmp_path / "another").open("w+") as file:  # whose number may be that of the pipe of the orders
        os.dup2(file.fileno(), number)
        try:
            process.terminate()
            assert file.read() == "", "an order went into a file of somebody else"
        finally:
            os.close(number)


def test_no_file_stays_open_behind_a_replica(start: Start) -> None:
    start("true", shell=True)[0].wait(10)
    before = os.listdir("/proc/self/fd")
    gc.disable()
    try:
        for _ in range(3):
            start("echo hi", shell=True)[0].wait(10)
        wait_until(lambda: len(os.listdir("/proc/self/fd")) <= len(before), 5, "all closed")
    finally:
        gc.enable()


def test_a_runner_with_many_open_files_holds_its_replica(start: Start, tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if hard < 2048:
        pytest.skip("this process may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        process, lines = start("sleep 0.1; echo whole", shell=True)
        assert (process.wait(10), lines) == (0, ["whole"])
    finally:
        for number in opened:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_a_replica_leaves_behind_ends_with_it(start: Start, tmp_path: Path) -> None:
    """In whatever session it hides, and whether the replica succeeded or failed."""
    leave = "(echo $$ > one; exec sleep 300) & setsid sh -c 'echo $$ > two; exec sleep 300' & "
    process, lines = start(f"{leave} while [ ! -s one -o ! -s two ]; do sleep 0.01; done; exit 3", shell=True)
    assert process.wait(20) == 3
    assert not alive(pid_in(tmp_path / "two"))
    assert lines == ["[submarine] worker-0 has ended and left processes behind (sleep); they are ended too"]


def test_what_ignores_sigterm_is_killed_after_the_grace(start: Start, tmp_path: Path) -> None:
    stubborn = "sh -c 'trap \"\" TERM; echo $$ > pid; while true; do sleep 0.1; done' & "
    begun = time.monotonic()
    process, _ = start(f"{stubborn} while [ ! -s pid ]; do sleep 0.01; done", shell=True, grace=1)
    assert process.wait(20) == 0
    assert 1 <= time.monotonic() - begun < 15
    assert not alive(pid_in(tmp_path / "pid"))


def test_a_command_that_needs_more_than_its_grace_is_told_of(start: Start) -> None:
    """Nothing else says that a checkpoint was cut off: the exit status is that of a process out of memory."""
    slow = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: time.sleep(60))\nprint('ready', flush=True)\n"
    process, lines = start(shlex.join([sys.executable, "-c", f"{slow}time.sleep(60)"]), grace=1)
    wait_until(lambda: lines == ["ready"], 10, "ready")
    process.terminate()
    assert process.wait(20) == -signal.SIGKILL
    said = "it did not end within 1 s of SIGTERM (gracePeriod), and was killed"
    assert process.overstayed == said
    assert lines == ["ready", f"[submarine] worker-0: {said}"]


def test_a_service_stays(start: Start, tmp_path: Path) -> None:
    service = "SUBMARINE_SERVICE=1 sh -c 'echo $$ > pid; exec sleep 300' > /dev/null 2>&1 &"
    process, lines = start(f"{service} while [ ! -s pid ]; do sleep 0.01; done", shell=True)
    assert process.wait(20) == 0
    pid = pid_in(tmp_path / "pid")
    assert alive(pid)
    assert lines == []
    os.kill(pid, signal.SIGKILL)


def test_the_whole_tree_dies_with_its_runner(tmp_path: Path) -> None:
    """A killed runner must not leave a script that runs on beside its next attempt; nor what a shell has started."""
    program = (
        "import pathlib\n"
        "from submarine_ray.runner.process import ReplicaProcess\n"
        "from submarine_ray.spec.launch import Replica\n"
        "command = 'cd . && setsid sh -c \"echo \\\\$\\\\$ > pid; exec sleep 300\"; true'\n"
        f"ReplicaProcess(Replica('worker', 0, command, True), {{}}, pathlib.Path({str(tmp_path)!r}), print).wait()\n"
    )
    runner = subprocess.Popen([sys.executable, "-c", program])
    script = pid_in(tmp_path / "pid")
    runner.kill()
    runner.wait()
    wait_until(lambda: not alive(script), 10, "the script is gone")


def test_a_script_saves_its_work_at_sigterm(start: Start, tmp_path: Path) -> None:
    """As a shell's only command, below a shell that ends first, and by itself."""
    (tmp_path / "saving.py").write_text(SAVING)
    python = f"{sys.executable} saving.py"
    for command, shell in ((python, False), (python, True), (f"cd . && {python}; echo never", True)):
        process, lines = start(command, shell)
        wait_until(lambda lines=lines: lines == ["ready"], 10, "ready")  # type: ignore[misc]
        process.terminate()
        wait_until(lambda lines=lines: "saved 0" in lines, 10, "it saves")  # type: ignore[misc]
        process.terminate()  # a second word adds nothing: it would interrupt what the first began
        process.wait(20)
        assert lines == ["ready", "saved 0", "saved 1", "saved 2"]


def test_sigterm_reaches_the_command_alone(start: Start, tmp_path: Path) -> None:
    """Its own processes are its own to end: a script that saves at SIGTERM still needs its data loaders."""
    loader = "import signal, sys, time\nprint('loader', flush=True)\nwhile True: time.sleep(0.05)\n"
    (tmp_path / "loader.py").write_text(loader)
    script = SAVING.replace("import os", "import subprocess, os").replace(
        "def save(*_):", "loader = subprocess.Popen([sys.executable, 'loader.py'])\ndef save(*_):"
    )
    script = script.replace("    sys.exit(0)", "    print('loader', loader.poll(), flush=True)\n    sys.exit(0)")
    (tmp_path / "main.py").write_text(script)
    process, lines = start(f"{sys.executable} main.py")
    wait_until(lambda: {"ready", "loader"} <= set(lines), 10, "both")
    process.terminate()
    process.wait(20)
    assert "loader None" in lines


def test_nothing_of_the_runner_reaches_a_script(start: Start) -> None:
    """Signals as every program expects them, no open files, and a guard that no stop of Ray's would find."""
    process, lines = start("grep -E 'Sig(Blk|Ign)' /proc/self/status")
    assert process.wait(20) == 0
    masks = {name: int(mask, 16) for name, mask in (line.split() for line in lines)}
    # The C library keeps signals 32 and 33 to itself: nobody can change how they are.
    assert {name: mask & ~(0b11 << 31) for name, mask in masks.items()} == {"SigBlk:": 0, "SigIgn:": 0}
    process, lines = start("ls /proc/self/fd")
    assert process.wait(20) == 0
    assert lines == ["0", "1", "2", "3"]  # the last is of ls itself
    waiting, _ = start("sleep 300")
    holder = int(Path(f"/proc/{waiting.pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert Path(f"/proc/{holder}/comm").read_text().strip() == "submarine-guard"
    assert guard._parent(str(holder)) != os.getpid()
    waiting.terminate()
    assert waiting.wait(20) == -signal.SIGTERM


def test_a_pod_that_leaves_tells_what_runs_in_it(start: Start, tmp_path: Path) -> None:
    """However well the script ends then, it has not done its work."""
    (tmp_path / "saving.py").write_text(SAVING)
    process, lines = start(f"{sys.executable} saving.py")
    wait_until(lambda: lines == ["ready"], 10, "ready")
    holder = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(holder, signal.SIGTERM)
    assert process.wait(20) == 143
    assert lines[-1] == "saved 2"
    assert describe(143) == "exited with status 143 (SIGTERM: asked to end)"


def test_the_guard_runs_from_its_source(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Kubernetes the runner lies in a zip."""
    monkeypatch.setattr(guard.__spec__, "origin", "/somewhere/runner.zip/guard.py")
    process, lines = start("echo hi")
    assert (process.wait(20), lines) == (0, ["hi"])


def test_a_replica_that_needs_nothing_loads_nothing() -> None:
    """Ray looks every 0.1 s whether a job has ended: most of what a trivial command takes is the runner's start."""
    code = "import sys, submarine_ray.runner.__main__, submarine_ray.runner.single; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "submarine_ray.runner.single" in loaded
    assert not {"pydantic", "ray", "mlflow", "httpx", "shutil", "tempfile", "ctypes", "lzma"} & set(loaded)


def test_a_command_that_leaves_nothing_behind_costs_no_look_at_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = guard.Guard(0, 0, 1.0)
    monkeypatch.setattr(os, "listdir", lambda *_: pytest.fail("/proc was read"))
    found._command = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitid(os.P_PID, found._command, os.WEXITED | os.WNOWAIT)
    found._reap()
    assert found._status == 0 and found._is_over()


def test_why_a_command_cannot_be_started(start: Start, tmp_path: Path) -> None:
    files = {
        "bare": "echo",
        "crlf": "#!/bin/sh\r\necho\r\n",
        "lost": "#!/opt/none/python9 -u\n",
        "empty": "",
        "plain": "#!",
    }
    files["other"] = "\x7fELF\x02\x01"
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.encode())
        (tmp_path / name).chmod(0o644 if name == "plain" else 0o755)
    (tmp_path / "dir").mkdir()
    big = "x" * 140_000
    cases = {
        "no-such-program": "there is no program 'no-such-program' in the cluster's PATH",
        "./none": "there is no file './none' in the working directory",
        "export": "'export' is a word of the shell",
        "./bare": "the first line of './bare' does not say what runs it",
        "./crlf": "the lines of './crlf' end as on Windows",
        "./lost": "'./lost' names an interpreter that is not there: '/opt/none/python9'",
        "./empty": "'./empty' is empty",
        "./plain": "'./plain' may not be executed; make it executable",
        "./other": "'./other' is a program for another kind of machine",
        "./dir": "'./dir' is a directory",
        f"echo {big}": "the command has a word longer than 128 KiB",
    }
    for command, why in cases.items():
        with pytest.raises(CommandFailed) as failure:
            start(command)
        assert why in str(failure.value)
        assert failure.value.code in (126, 127)
    with pytest.raises(CommandFailed, match="the variable BIG is longer than 128 KiB"):
        start("echo", BIG=big)
    with pytest.raises(CommandFailed, match="the command has a word longer"):
        start(f"echo {big}", shell=True)


def test_a_progress_bar_is_seen_while_it_is_drawn_and_kept_as_it_was_at_last(start: Start, tmp_path: Path) -> None:
    bar = (
        "import os, sys, time; print('start', flush=True)\n"
        "for k in range(10): sys.stderr.write(f'\\r{k}/9'); sys.stderr.flush()\n"
        f"while not os.path.exists('{tmp_path}/seen'): time.sleep(0.05)\n"
        "sys.stderr.write('\\n'); print('end')"
    )
    process, lines = start(f'{sys.executable} -c "{bar}"')
    wait_until(lambda: any(line.endswith("/9\r") for line in lines), 20, "the bar")
    (tmp_path / "seen").touch()
    assert process.wait(20) == 0
    assert [line for line in lines if not line.endswith("\r")] == ["start", "9/9", "end"]


def test_lines_are_cut_whatever_the_pieces() -> None:
    lines = Lines()
    assert lines.feed(b"a\nb\r") == ["a"]
    assert lines.unfinished() == "b\r"
    assert lines.unfinished() is None
    assert lines.feed(b"c\r\n") == ["c"]
    assert lines.feed("é\r\n\n".encode()) == ["é", ""]
    assert lines.feed(b"  10%\r  20%\r \r\nrest") == ["  20%"]
    assert lines.end() == ["rest"]
    for _ in range(100):
        lines.feed(b"\r" + b"#" * 10_000)
    assert len(lines._rest) < 100_000
    assert [len(line) for line in lines.feed(b"-" * 1_100_000)] == [1_110_000]


def test_bars_below_each_other_are_drawn_in_place() -> None:
    """As tqdm draws a loop within a loop, in pieces of any size."""
    outer = lambda n: f"\router {n}/2".encode()  # noqa: E731
    drawn = b"begin\n" + outer(0)
    for epoch in (1, 2):
        for step in range(30):
            drawn += f"\n\rinner {step}\x1b[A".encode()
        drawn += b"\n\r        \r\x1b[A" + outer(epoch)
    for size in (1, 7, 10_000):
        lines, found, shown = Lines(), [], []
        for begin in range(0, len(drawn), size):
            found += lines.feed(drawn[begin : begin + size])
            shown.append(lines.unfinished())
        assert found == ["begin", "outer 0/2"], "where it was when the inner loop began"
        assert shown[-1] in ("outer 2/2\r", None)
        if size == 7:
            assert "outer 1/2 | inner 12\r" in shown
        assert lines.feed(b"\ndone\n") == ["outer 2/2", "done"]
        assert lines.feed(b"more\n") == ["more"]
    lines = Lines()
    assert lines.feed(b"a\n\rb\x1b[999A\rc") == ["a"]
    assert lines.end() == ["c", "b"]


def test_a_row_of_dots_is_not_written_again_and_again() -> None:
    lines = Lines()
    lines.feed(b"." * 100_000)
    assert len(lines.unfinished() or "") < LONGEST_SHOWN + 10
    assert lines.feed(b"\n") == ["." * 100_000]


@pytest.mark.skipif(not PIDS_APART, reason="needs the right to make process ids of one's own (unshare --pid)")
def test_a_process_that_forks_faster_than_anybody_looks_is_ended() -> None:
    """In process ids of its own, which end with the test, whatever becomes of it."""
    done = subprocess.run([*PIDS_APART, sys.executable, "-c", HOPPING], capture_output=True, text=True, timeout=90)
    first, told, left = done.stdout.splitlines()
    assert (first, left) == ("hopping", "[]") and "left processes behind" in told, done.stderr
