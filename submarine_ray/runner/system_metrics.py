"""Logs what a replica and its machine do, every few seconds, from a thread.

Nothing is imported before the first sample: a script that ends earlier pays for a thread that waits, 0.1 ms.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from submarine_ray.spec.system_metrics import PREFIX, SECONDS_VARIABLE, seconds

if TYPE_CHECKING:
    import psutil

    from submarine_ray.runner.nvml import Gpus

MEGABYTE = 1e6
END_SECONDS = 1.0

Log = Callable[[str, float, int], None]


class Sampler:
    """Gives `log` the metrics of the process `pid` with all that it has started, and of its machine; the step is the
    second since the beginning. `env` says how often, and which GPUs are the replica's; `directory` is on its disk.
    """

    def __init__(self, pid: int, env: Mapping[str, str], directory: str, log: Log, say: Callable[[str], None]) -> None:
        self._pid = pid
        self._env = env
        self._directory = directory
        self._log = log
        self._say = say
        self._pause = seconds(env.get(SECONDS_VARIABLE))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="system-metrics", daemon=True)

    def start(self) -> Sampler:
        """Begin, unless it is off."""
        if self._pause:
            self._thread.start()
        return self

    def stop(self) -> None:
        """From now on nothing is logged."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(END_SECONDS)

    def _work(self) -> None:
        begun = time.monotonic()
        machine: _Machine | None = None
        while not self._ended.wait(self._pause):
            try:
                machine = machine or _Machine(self._pid, self._env, self._directory)
                found = list(machine.metrics())
                step = int(time.monotonic() - begun)
                for key, value in found:
                    if not self._ended.is_set():
                        self._log(PREFIX + key, round(value, 1), step)
            except (ImportError, OSError) as failure:
                self._say(f"[submarine] no system metrics: {failure}")
                return


class _Machine:
    """Raises ImportError where psutil is not installed."""

    def __init__(self, pid: int, env: Mapping[str, str], directory: str) -> None:
        import psutil

        self._psutil = psutil
        self._directory = directory
        self._pid = pid
        self._processes: dict[int, psutil.Process] = {}
        self._gpus = _gpus(env)
        psutil.cpu_percent()  # from here on
        self._network = psutil.net_io_counters()

    def metrics(self) -> Iterator[tuple[str, float]]:
        """All that can be read now."""
        memory, disk = self._psutil.virtual_memory(), self._psutil.disk_usage(self._directory)
        yield "cpu_utilization_percentage", self._psutil.cpu_percent()
        yield "system_memory_usage_megabytes", memory.used / MEGABYTE
        yield "system_memory_usage_percentage", memory.percent
        yield "disk_usage_megabytes", disk.used / MEGABYTE
        yield "disk_usage_percentage", disk.percent
        yield "disk_available_megabytes", disk.free / MEGABYTE
        if self._network and (now := self._psutil.net_io_counters()):
            yield "network_receive_megabytes", (now.bytes_recv - self._network.bytes_recv) / MEGABYTE
            yield "network_transmit_megabytes", (now.bytes_sent - self._network.bytes_sent) / MEGABYTE
        yield from self._own()
        if self._gpus:
            yield from self._gpus.metrics()

    def _own(self) -> Iterator[tuple[str, float]]:
        """Of the replica's processes alone: 100 % is a core."""
        try:
            top = self._psutil.Process(self._pid)
            running = {one.pid: one for one in (top, *top.children(recursive=True))}
        except self._psutil.Error:
            return  # it has ended
        self._processes = {
            pid: self._processes.get(pid, one) for pid, one in running.items()
        }  # they know their last use
        cpu = memory = 0.0
        for one in self._processes.values():
            try:
                cpu += one.cpu_percent()
                memory += one.memory_info().rss / MEGABYTE
            except self._psutil.Error:
                continue
        yield "process_cpu_utilization_percentage", cpu
        yield "process_memory_usage_megabytes", memory


def _gpus(env: Mapping[str, str]) -> Gpus | None:
    from submarine_ray.runner.nvml import Gpus

    try:
        return Gpus(env)
    except (OSError, AttributeError):  # no driver, or a very old one
        return None
