"""Several replicas start as a gang: one placement group with a bundle a replica, in each an actor with a process.

An actor hands over its replica's lines when asked; the driver writes them to the job's log, so none is lost or doubled
on the way through Ray's log files.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from submarine_ray.client.spool import whole_lines
from submarine_ray.runner import code, environment, output, provenance
from submarine_ray.runner.code import Workspace
from submarine_ray.runner.environment import ReplicaLocation
from submarine_ray.runner.errors import CommandFailed, ReplicaLost, RunnerError
from submarine_ray.runner.process import ENDED_STATUS, ReplicaProcess
from submarine_ray.spec import memory
from submarine_ray.spec.endings import Ending
from submarine_ray.spec.launch import Launch, Replica
from submarine_ray.spec.records import Metric
from submarine_ray.spec.spool import lines as spool_lines
from submarine_ray.spec.system_metrics import is_system

HAND_OVER_SECONDS = 0.2
WAIT_NOTICE_SECONDS = 15.0
# After the chief, workers of a mirrored strategy end by themselves; those of a parameter server never do.
GRACE_SECONDS = 5.0
# What a replica needs beside its time of grace: to be asked, to be killed, to hand over its last lines.
END_SECONDS = 5.0
# A placement group is not removed while it is being made: Ray 2.60 never gives back what a node has reserved for it
# (ray#64693, open). After so long there is no room for it, and it is not being made.
SETTLE_SECONDS = 2.0
NCCL_REFUSAL = "Duplicate GPU detected"


class HandOver(NamedTuple):
    """What a replica gives its driver: lines, (metric, value) of a trial, and at the end the exit status."""

    lines: list[str]
    metrics: list[tuple[str, float]]
    status: int | None = None


def to_stdout(replica: str, lines: list[str]) -> None:
    sys.stdout.write(output.prefixed(replica, lines))
    sys.stdout.flush()


class ReplicaActor:
    """Runs one replica's process on its node."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue()  # None: the process has ended, wait no longer
        self._process: ReplicaProcess | None = None
        self._workspace: Workspace | None = None
        self._report: provenance.Report | None = None
        self._reserved: socket.socket | None = None
        self._is_trial = False
        self._read_to = 0

    def location(self) -> ReplicaLocation:
        """Where this actor is, with a port that stays bound until the process starts."""
        self._reserved = socket.socket()
        self._reserved.bind(("", 0))
        host = ray.util.get_node_ip_address()
        context = ray.get_runtime_context()
        gpus = tuple(context.get_accelerator_ids().get("GPU", ()))
        return ReplicaLocation(context.get_node_id(), host, int(self._reserved.getsockname()[1]), gpus)

    def start(self, launch: Launch, rank: int, locations: Sequence[ReplicaLocation]) -> None:
        """Fetch the code and start the process. Raises RunnerError."""
        replica = launch.replicas[rank]
        self._is_trial = launch.trial_id is not None
        self._workspace = code.prepare(launch, replica.name)
        for sentence in self._workspace.told if rank == 0 else ():
            self._lines.put(f"[submarine] {sentence}")
        env = environment.platform_variables(launch, rank, str(self._workspace.spool))
        env |= environment.rendezvous_variables(launch, rank, locations)
        env |= self._workspace.variables()
        env |= environment.default_threads(launch, rank, replica.env) | replica.env
        if self._reserved:
            self._reserved.close()
        self._process = ReplicaProcess(
            replica,
            env,
            self._workspace.directory,
            self._lines.put,
            launch.grace_seconds,
            on_end=lambda: self._lines.put(None),
            keeps=launch.keep_work,
        )
        if rank == 0:
            self._report = provenance.report(launch, self._workspace.directory)

    def hand_over(self) -> HandOver:
        """What came since the last call, waiting a moment for lines; the exit status comes with the last of it."""
        assert self._process and self._workspace  # noqa: S101 (start comes first)
        lines = self._take(HAND_OVER_SECONDS)
        if self._process.poll() is None:
            return HandOver(lines, self._metrics())
        status = self._process.wait()
        last = HandOver(lines + self._take(0), self._metrics(), status)
        if self._report:
            self._report.close()
        self._workspace.close()
        return last

    def _metrics(self) -> list[tuple[str, float]]:
        """Of a trial: the sweep wants to know at once. Elsewhere the shipper alone reads them."""
        if not self._is_trial or self._workspace is None:
            return []
        found = []
        for line in whole_lines(self._workspace.spool, self._read_to):
            self._read_to += len(line)
            with contextlib.suppress(ValueError):  # a damaged one, of which the shipper warns
                record = spool_lines.read(line)
                if isinstance(record, Metric) and not is_system(record.key):
                    found.append((record.key, record.value))
        return found

    def _take(self, patience: float) -> list[str]:
        taken: list[str | None] = []
        with contextlib.suppress(queue.Empty):
            taken.append(self._lines.get(timeout=patience))
            while True:
                taken.append(self._lines.get_nowait())
        return [line for line in taken if line is not None]

    def stop(self) -> None:
        if self._process:
            self._process.terminate()


def run(launch: Launch) -> None:
    """Run all replicas to their end; the first to fail ends the gang. Raises CommandFailed, ReplicaLost."""
    ray.init(log_to_driver=False, logging_level="WARNING", configure_logging=False)
    group = placement_group([bundle(replica) for replica in launch.replicas], strategy="PACK")
    try:
        _wait_for_room(group, launch)
        gang = Gang(launch, group)
        signal.signal(signal.SIGTERM, lambda *_: gang.stop() if gang.has_started else sys.exit(ENDED_STATUS))
        gang.run()
    finally:
        group.wait(SETTLE_SECONDS)
        remove_placement_group(group)
        ray.shutdown()


def bundle(replica: Replica) -> dict[str, float]:
    """What a placement group reserves for a replica; Ray takes no empty bundle."""
    asked = {"CPU": replica.cpu, "GPU": replica.gpu, "memory": float(replica.memory)}
    return {key: value for key, value in asked.items() if value} or {"CPU": 0.01}


def _wait_for_room(group: Any, launch: Launch) -> None:
    """Until the cluster has room for all replicas at once; the log says so while it has not."""
    begun = time.monotonic()
    while not group.wait(WAIT_NOTICE_SECONDS):
        waited = int(time.monotonic() - begun)
        print(f"[submarine] waiting for room for {len(launch.replicas)} replicas ({waited} s)", flush=True)


class Gang:
    """The driver's view of the replicas while they run."""

    def __init__(self, launch: Launch, group: Any, write: Callable[[str, list[str]], None] = to_stdout) -> None:
        self._launch = launch
        self._write = write
        self._actors = [self._actor(group, index, replica) for index, replica in enumerate(launch.replicas)]
        self._statuses: dict[int, int] = {}
        self._endings = [Ending() for _ in launch.replicas]
        self._asked_to_end: set[int] = set()
        self.has_started = False
        self._failure: RunnerError | None = None
        self._end_until: float | None = None
        self._sharing: list[str] = []
        self._nccl_refused = False

    def stop(self) -> None:
        """Let the replicas end, and send what they have logged; called by a signal, so `rounds` does the work."""
        self._fail(CommandFailed("the experiment failed: it was told to end (SIGTERM)", ENDED_STATUS))

    def _fail(self, failure: RunnerError) -> None:
        """The first failure is the gang's; from now on all others have their time of grace, and no more."""
        if self._failure is None:
            self._failure = failure
            self._end_until = time.monotonic() + self._launch.grace_seconds + END_SECONDS

    def run(self) -> None:
        for _ in self.rounds():
            pass

    def rounds(self) -> Iterator[list[tuple[str, float]]]:
        """Runs the gang to its end; each round gives the leader's new metrics, if this is a trial."""
        locations = self._get([actor.location.remote() for actor in self._actors])
        self._sharing = environment.sharing(self._launch, locations)
        if self._sharing and self._launch.framework == "PyTorch":
            self._write(self._sharing[0], [f"[submarine] {self._of_sharing()}"])
        self._get([actor.start.remote(self._launch, rank, locations) for rank, actor in enumerate(self._actors)])
        pending = {actor.hand_over.remote(): rank for rank, actor in enumerate(self._actors)}
        self.has_started = True
        leader_ended: float | None = None
        while pending:
            ready, _ = ray.wait(list(pending), num_returns=1, timeout=0.5)
            if self._end_until is not None:
                self._end(*(replica.role for replica in self._launch.replicas))
                if time.monotonic() > self._end_until:
                    break
            for reference in ready:
                rank = pending.pop(reference)
                try:
                    given = self._take(rank, reference)
                except ReplicaLost as failure:
                    self._fail(failure)
                    continue
                if given.status is None:
                    pending[self._actors[rank].hand_over.remote()] = rank
                if rank == 0:
                    yield given.metrics
                self._check(rank, given.status)
            if leader_ended is None and self._statuses.get(0) == 0 and self._leader_decides:
                leader_ended = time.monotonic()
                self._end("ps", "evaluator")
            if leader_ended is not None and time.monotonic() > leader_ended + GRACE_SECONDS:
                self._end("worker")
        if self._failure is not None:
            raise self._failure

    @property
    def _leader_decides(self) -> bool:
        """TensorFlow's parameter servers never end by themselves: the chief's end is the experiment's."""
        return self._launch.framework == "TensorFlow"

    def _take(self, rank: int, reference: Any) -> HandOver:
        given: HandOver = self._get([reference], rank)[0]
        if given.lines:
            self._write(self._launch.replicas[rank].name, given.lines)
            self._endings[rank].hear(given.lines)
            self._nccl_refused |= any(NCCL_REFUSAL in line for line in given.lines)
        if given.status is not None:
            self._statuses[rank] = given.status
        return given

    def _check(self, rank: int, status: int | None) -> None:
        """The failure of a replica that failed by itself is the gang's."""
        if status and rank not in self._asked_to_end:
            name = self._launch.replicas[rank].name
            why = f"; {self._of_sharing()}" if self._sharing and self._nccl_refused else ""
            said = f"{name} failed: {self._endings[rank].why(status)}{why}"
            self._fail(CommandFailed(said, status if status > 0 else 1))

    def _of_sharing(self) -> str:
        return (
            f"{', '.join(self._sharing)} share a GPU, and NCCL takes no two ranks on one: "
            f"let the script use gloo, as {environment.BACKEND_VARIABLE} says, or ask for a whole GPU each"
        )

    def _end(self, *roles: str) -> None:
        for rank, replica in enumerate(self._launch.replicas):
            if rank == 0 and self._end_until is None:
                continue  # the leader ends the others, never they it
            if replica.role in roles and rank not in self._statuses and rank not in self._asked_to_end:
                self._asked_to_end.add(rank)
                self._actors[rank].stop.remote()

    def _get(self, references: list[Any], rank: int | None = None) -> list[Any]:
        """Results of the actors; their deaths and refusals as the runner's own errors."""
        try:
            return list(ray.get(references))
        except ray.exceptions.RayTaskError as failure:
            cause = failure.cause
            raise (cause if isinstance(cause, RunnerError) else failure) from None
        except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as failure:
            name = "a replica" if rank is None else self._launch.replicas[rank].name
            if lacking := memory.of_ray(str(failure)):
                raise ReplicaLost(f"{name} failed: {lacking}") from None
            raise ReplicaLost(
                f"{name} failed: its worker process or node died ({str(failure).splitlines()[0]})"
            ) from None

    @staticmethod
    def _actor(group: Any, index: int, replica: Replica) -> Any:
        # Two threads: `stop` must get through while `hand_over` waits for lines.
        options = {
            "num_cpus": replica.cpu,
            "num_gpus": replica.gpu,
            "max_concurrency": 2,
            "scheduling_strategy": PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index),
        }
        if replica.memory:
            options["memory"] = replica.memory
        return ray.remote(ReplicaActor).options(**options).remote()
