"""The command line as people use it, on a real platform; on a terminal where it asks."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import SUBMARINE, RunningPlatform, wait_until

pytestmark = pytest.mark.ray

SPEC = {
    "meta": {"name": "from-a-file", "framework": "Shell", "cmd": "echo from a file"},
    "spec": {"Worker": {"resources": "cpu=0.5"}},
}


@pytest.mark.parametrize("form", [pytest.param("json", marks=pytest.mark.long), "yaml"])
def test_submit_a_file_and_follow_it(platform: RunningPlatform, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"spec.{form}"
    file.write_text(json.dumps(SPEC) if form == "json" else yaml.safe_dump(SPEC))
    done = platform.cli("submit", "-f", str(file), "--follow")
    id, *lines = done.stdout.splitlines()
    assert lines == ["[worker-0] from a file"] and f"{id} Succeeded" in done.stderr
    shown = {form: platform.cli("get", "experiment", id, "-o", form).stdout for form in ("json", "yaml", "table")}
    assert json.loads(shown["json"]) == yaml.safe_load(shown["yaml"])
    assert json.loads(shown["json"])["spec"]["meta"]["name"] == "from-a-file"
    assert f"Experiment(id = {id} )" in shown["table"]
    listed = json.loads(platform.cli("list", "experiment", "-o", "json").stdout)
    assert id in [e["experimentId"] for e in listed]
    assert id in platform.cli("list", "experiment").stdout


def test_what_cannot_be_submitted_is_one_line(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("meta: [")
    (tmp_path / "text.yaml").write_text("just text")
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump({**SPEC, "spec": {"Worker": {"resources": "cpu=many"}}}))
    for file, said in (
        ("none.yaml", "cannot be read"),
        ("broken.yaml", "cannot be read"),
        ("text.yaml", "must be an object"),
        ("wrong.yaml", "spec.Worker.resources: cpu='many' is not a number of cores"),
    ):
        done = platform.cli("submit", "-f", str(tmp_path / file), check=False)
        assert done.returncode == 1 and said in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    asked = platform.cli("run", "--gpus-per-worker", "2", "--no-working-dir", "--", "true", check=False)
    assert asked.returncode == 1 and "2 GPUs where there are 1" in asked.stderr


class Terminal:
    """The CLI on a terminal of its own."""

    def __init__(self, platform: RunningPlatform, *arguments: str, cwd: Path) -> None:
        self._master, slave = pty.openpty()

        def log_in() -> None:
            os.login_tty(slave)
            # A test run in the background of a shell ignores Ctrl-C, and its children would inherit that.
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        self._process = subprocess.Popen(
            [*SUBMARINE, *arguments], env=platform.env, cwd=cwd, stdin=slave, stdout=slave, stderr=slave,
            preexec_fn=log_in,
        )  # fmt: skip
        os.close(slave)
        self.said = ""

    def wait_for(self, text: str) -> None:
        def seen() -> bool:
            if select.select([self._master], [], [], 0.1)[0]:
                self.said += os.read(self._master, 4096).decode(errors="replace")
            return text in self.said

        wait_until(seen, 60, f"{text!r} on the terminal")

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def status(self) -> int:
        return self._process.wait(30)


@pytest.mark.parametrize(("answer", "status", "outcome"), [("y", 1, "Stopping"), ("n", 130, "Detached")])
def test_ctrl_c_asks_whether_to_stop_or_to_detach(
    platform: RunningPlatform, tmp_path: Path, answer: str, status: int, outcome: str
) -> None:
    (tmp_path / "long.sh").write_text("echo begun; sleep 300")
    terminal = Terminal(
        platform, "run", "--framework", "Shell", "--cpus-per-worker", "0.5", "--", "sh", "long.sh", cwd=tmp_path
    )
    terminal.wait_for("begun")
    terminal.interrupt()
    terminal.wait_for("Stop experiment-")
    terminal.type(f"{answer}\n")
    terminal.wait_for(outcome)
    assert terminal.status() == status
    id = json.loads(platform.cli("list", "experiment", "-o", "json", "--limit", "1").stdout)[0]["experimentId"]
    if answer == "y":
        assert platform.ended(id)["reason"] == "Stopped"
    else:
        wait_until(lambda: platform.client.get_experiment(id)["status"] == "Running", 30, "it runs on")
        platform.client.delete_experiment(id)


def test_a_reader_that_leaves_early_is_no_error(platform: RunningPlatform) -> None:
    id = platform.submit("seq 100000")
    assert platform.ended(id)["status"] == "Succeeded"
    command = f"{' '.join(SUBMARINE)} logs {id} | head -n 2; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=platform.env, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["[worker-0] 1", "[worker-0] 2"]
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
