"""Out of memory is one thing, whoever has noticed it."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from submarine_ray.clusters.drivers.base import OUT_OF_MEMORY, Job, JobState
from submarine_ray.experiments.decide import LOST, NO_MEMORY, Desired, Observe, Observed, Retry, decide
from submarine_ray.notebooks import decide as notebooks
from submarine_ray.runner import train
from submarine_ray.runner.kernel import KernelKills
from submarine_ray.runner.process import ReplicaProcess
from submarine_ray.spec import memory
from submarine_ray.spec.endings import Ending
from submarine_ray.spec.launch import FINAL_STATUS, Launch, Replica
from submarine_ray.spec.notebooks import NotebookStatus

ID = "experiment-1-0001"
# As Ray 2.60 writes it, shortened in the middle; and the form of earlier versions.
MONITOR = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 10.0.0.2, ID: 2c53) was "
    "1.46GB used / 1.48GB limit (0.986)\nOOM kill reason: Memory usage exceeded threshold of 95%\nConsidered workers: [\n"
    "Top 10 memory users: PID\tMEM(GB)\tCOMMAND\n14120\t1.14\tpython train.py --epochs 3\n77\t0.28\tray::IDLE\nRefer to ..."
)
OLDER = "Task was killed due to the node running low on memory.\nMemory on the node was 14.9GB / 15.2GB (0.98), which"
SUPERVISOR = f"Unexpected error occurred: {MONITOR}"
KERNEL = "Job entrypoint command failed with exit code 1, last available logs:\n[worker-0] x\n[submarine] worker-0 failed: it "


def failed(error_type: str | None, message: str, exit_code: int | None = None) -> Job:
    return Job(ID, JobState.FAILED, error_type, message, exit_code)


def test_rays_own_figures() -> None:
    assert memory.of_ray(MONITOR) == (
        "it ran out of memory: Ray's memory monitor ended it when 1.46GB of 1.48GB were in use on its node, 1.14GB of that "
        "by `python train.py --epochs 3`. Ask for more memory in resources, or use less."
    )
    assert "14.9GB of 15.2GB" in str(memory.of_ray(OLDER))
    assert memory.of_ray("The actor died unexpectedly") is memory.of_ray(None) is None


def test_ray_train_does_not_start_workers_again_that_ran_out_of_memory() -> None:
    from ray.train import ControllerError

    callback = train.end_when_out_of_memory()
    callback.after_exception(None, {0: ValueError("the data ran out")})
    with pytest.raises(train.RanOutOfMemory) as raised:
        callback.after_exception(None, {0: ValueError("its neighbour has gone"), 1: RuntimeError(MONITOR)})
    arrived = pickle.loads(pickle.dumps(ControllerError(raised.value)))  # as it comes out of the controller
    launch = Launch(ID, ID, "test", "Python", (Replica("worker", 0, ""), Replica("worker", 1, "")))
    assert train.sentence(launch, arrived) == f"worker-1 failed: {memory.of_ray(MONITOR)}"


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (failed("JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE", SUPERVISOR), "It ran out of memory: Ray's memory monitor"),
        (failed("JOB_SUPERVISOR_ACTOR_DIED", f"Job supervisor actor died: {OLDER}"), "It ran out of memory: Ray's"),
        (failed(None, KERNEL + memory.of_kernel(), 1), "It ran out of memory: the kernel killed it."),
        (failed(None, f"logs:\n[submarine] worker-3 failed: {memory.of_ray(MONITOR)}", 1), "1.46GB of 1.48GB"),
        (failed(None, f"logs:\n[submarine] the sweep failed: all 4 trials failed; the first: {memory.of_ray(MONITOR)}", FINAL_STATUS),
         "1.46GB of 1.48GB"),
        (failed(OUT_OF_MEMORY, memory.of_pod("a-head", "3072Mi")), "the pod a-head was killed at its limit of 3072Mi"),
    ],
)  # fmt: skip
def test_it_is_out_of_memory_and_no_retry_could_help(job: Job, words: str) -> None:
    desired = Desired("Running", ID, max_retries=3)
    step = decide(desired, Observed({ID: job}))
    assert isinstance(step, Observe) and step.reason == NO_MEMORY and words in step.message
    if job.exit_code == FINAL_STATUS:  # a sweep has tried its trials as often as it should
        return
    beside_others = decide(desired, Observed({ID: job}, has_neighbours=True))  # they may have taken the memory
    assert isinstance(beside_others, Retry) and beside_others.reason == NO_MEMORY


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (failed("JOB_SUPERVISOR_ACTOR_DIED", "Job supervisor actor died: its node died"), LOST),
        (failed(None, f"logs:\n[worker-0] {MONITOR}\n[submarine] worker-0 failed: it exited with status 1", 1), "ReplicaFailed"),
        (failed(None, "logs:\n[worker-0] [submarine] x failed: it ran out of memory: no\n", 1), "ReplicaFailed"),
        (failed(None, "[submarine] worker-0 failed: it was killed by SIGKILL (out of memory, perhaps)", 1), "ReplicaFailed"),
    ],
)  # fmt: skip
def test_what_a_script_writes_is_no_proof(job: Job, reason: str) -> None:
    step = decide(Desired("Running", ID), Observed({ID: job}))
    assert isinstance(step, Observe) and step.reason == reason


def test_a_notebook_that_ran_out_says_so_and_starts_again_a_few_times() -> None:
    seen = notebooks.Observed({ID: failed("JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE", SUPERVISOR)})
    desired = notebooks.Desired(NotebookStatus.RUNNING, ID, submitted_to="a")
    again = notebooks.decide(desired, seen)
    assert isinstance(again, notebooks.Restart) and again.counts and "1.46GB of 1.48GB" in again.reason
    ended = notebooks.decide(replace(desired, failures=notebooks.MAX_RESTARTS), seen)
    assert isinstance(ended, notebooks.Note) and "1.46GB of 1.48GB" in ended.reason


def kernel(root: Path, file: str, count: int, own: str = "0::/\n") -> Path:
    for name, text in (("proc/self/cgroup", own), (file, f"low 0\noom_kill {count}\n")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("sys/fs/cgroup/memory.events", "0::/\n"),
        ("sys/fs/cgroup/user.slice/memory.events", "0::/user.slice\n"),
        ("sys/fs/cgroup/memory/job/memory.oom_control", "3:cpu:/\n4:memory:/job\n"),
        ("proc/vmstat", "0::/gone\n"),
    ],
)
def test_the_kernel_counts_what_it_kills(tmp_path: Path, file: str, own: str) -> None:
    kills = KernelKills(kernel(tmp_path, file, 2, own))
    assert not kills.have_come()
    kernel(tmp_path, file, 3, own)
    assert kills.have_come()


def test_where_nothing_is_counted_nothing_is_known(tmp_path: Path) -> None:
    assert not KernelKills(tmp_path).have_come()


@pytest.mark.parametrize(
    ("command", "counted", "status"),
    [
        ("kill -9 $$", True, memory.OOM_KILLED),
        ("sh -c 'kill -9 $$'; exit $?", True, memory.OOM_KILLED),  # 137: the shell's word for its child
        ("kill -9 $$", False, -9),
        ("exit 3", True, 3),
    ],
)
def test_a_killed_replica_is_out_of_memory_if_the_kernel_counted_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, counted: bool, status: int
) -> None:
    monkeypatch.setattr(KernelKills, "have_come", lambda _: counted)
    replica = Replica("worker", 0, command, shell=True)
    process = ReplicaProcess(replica, {"PATH": f"/bin:/usr/bin:{Path(sys.executable).parent}"}, tmp_path, print)
    assert process.wait(20) == status
    ending = Ending()
    ending.hear(["Traceback (most recent call last):", '  File "x"', "KeyError: 1"])
    said = memory.of_runner(f"[submarine] worker-0 failed: {ending.why(status)}\n")
    assert (said is not None) is (status == memory.OOM_KILLED)
