"""Why a process ended, in words."""

from __future__ import annotations

import sys
import traceback
import tracemalloc

import pytest

from submarine_ray.clusters.drivers.base import Job, JobState
from submarine_ray.spec import memory
from submarine_ray.spec.endings import NEAR_LINES, Ending, describe, raised

BEGUN = "Traceback (most recent call last):"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (1, "exited with status 1"),
        (3, "exited with status 3"),
        (124, "exited with status 124 (its own time limit, as `timeout` has it)"),
        (126, "exited with status 126 (a program was found and could not be executed)"),
        (127, "exited with status 127 (a program was not found)"),
        (137, "exited with status 137 (SIGKILL: out of memory, or killed by somebody)"),
        (139, "exited with status 139 (SIGSEGV: a crash in native code)"),
        (143, "exited with status 143 (SIGTERM: asked to end)"),
        (138, "exited with status 138 (SIGUSR1)"),
        (192, "exited with status 192 (SIGRTMAX)"),
        (193, "exited with status 193"),
        (255, "exited with status 255"),
        (-9, "was killed by SIGKILL (out of memory, or killed by somebody)"),
        (-1, "was killed by SIGHUP"),
        (-10, "was killed by SIGUSR1"),
        (-99, "was killed by signal 99"),
    ],
)
def test_exit_statuses_in_words(status: int, words: str) -> None:
    assert describe(status) == words


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([BEGUN, '  File "a.py", line 1, in <module>', "    f()", "    ~^^", "ValueError: bad shape"], "ValueError: bad shape"),
        ([BEGUN, "  File", "my.own.Error: first line", "second line", "bye"], "my.own.Error: first line"),
        ([BEGUN, "  File", "KeyError: 1", "", "During handling of the above exception, another exception occurred:", "",
          BEGUN, "  File", "OSError: last"], "OSError: last"),
        (["\x1b[31m" + BEGUN + "\x1b[0m", "  File", "\x1b[1mKeyboardInterrupt\x1b[0m"], "KeyboardInterrupt"),
        (["  + Exception Group " + BEGUN, '  |   File "a.py", line 1', "  | ExceptionGroup: several (2 sub-exceptions)",
          "  +-+---------------- 1 ----------------", "    | " + BEGUN, '    |   File "a.py", line 1', "    | ValueError: one",
          "    +------------------------------------"], "ValueError: one"),
        ([BEGUN, "  File", "ValueError: caught long ago", *("step" for _ in range(60))], None),
        ([BEGUN, "ValueError: just now", *("step" for _ in range(NEAR_LINES - 1))], "ValueError: just now"),
        ([BEGUN, "ValueError: too long ago", *("step" for _ in range(NEAR_LINES))], None),
        ([BEGUN, " odd", "E"], "E"),
        ([BEGUN, "  File"], None),
        (["epoch 1", "epoch 2"], None),
    ],
)  # fmt: skip
def test_the_last_tracebacks_last_line(lines: list[str], told: str | None) -> None:
    assert raised(lines) == told


def test_a_real_traceback_however_deep() -> None:
    def deeper(more: int) -> None:
        if more == 0:
            raise RuntimeError("too deep\nand then some")
        deeper(more - 1)

    try:
        deeper(50)
    except RuntimeError:
        lines = "".join(traceback.format_exception(*sys.exc_info())).splitlines()
    ending = Ending()
    ending.hear(["epoch 1", *lines])
    assert ending.why(1) == "RuntimeError: too deep (it exited with status 1)"


def test_without_an_exception_the_last_line_says_most() -> None:
    ending = Ending()
    assert ending.why(3) == "it exited with status 3"
    ending.hear(["python: can't open file 'train.py': [Errno 2] No such file or directory", " "])
    assert ending.why(2).endswith(
        "status 2; its last line: python: can't open file 'train.py': [Errno 2] No such file or directory"
    )
    assert ending.why(-9) == "it was killed by SIGKILL (out of memory, or killed by somebody)"


def test_what_ray_alone_reports_is_told_the_same() -> None:
    said = "Job entrypoint command failed with exit code {}, last available logs (truncated to 20,000 chars):\n"
    lost = Job("one", JobState.FAILED, message=said.format(137) + "[worker-0] epoch 3\n", exit_code=137)
    assert lost.why == "The command exited with status 137 (SIGKILL: out of memory, or killed by somebody)."
    broken = f"{said.format(1)}[worker-0] {BEGUN}\n[worker-0]   File\n[worker-0] ValueError: bad\n"
    failed = Job("one", JobState.FAILED, message=broken, exit_code=1)
    assert failed.why == "ValueError: bad (the command exited with status 1)"


def test_lines_of_any_length_cost_little() -> None:
    ending = Ending()
    tracemalloc.start()
    try:
        for number in range(100):
            ending.hear([str(number) * 500_000])
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()
    assert ending.why(1).startswith("it exited with status 1; its last line: 9999")


def test_the_last_line_is_told_up_to_the_last_status_that_is_the_programs_own() -> None:
    ending = Ending()
    ending.hear(["bye"])
    assert ending.why(1) == "it exited with status 1; its last line: bye"
    assert ending.why(127) == "it exited with status 127 (a program was not found); its last line: bye"
    assert ending.why(128) == "it exited with status 128"
    assert ending.why(143) == "it exited with status 143 (SIGTERM: asked to end)"


def test_only_the_kernels_own_mark_is_a_lack_of_memory() -> None:
    ending = Ending()
    ending.hear([BEGUN, "  File", "ValueError: bad"])
    beyond = memory.OOM_KILLED - 1
    assert describe(memory.OOM_KILLED) == memory.of_kernel()
    assert describe(beyond) == f"was killed by signal {-beyond}"
    assert ending.why(memory.OOM_KILLED) == f"it {memory.of_kernel()}"
    assert ending.why(beyond).startswith("ValueError: bad")
