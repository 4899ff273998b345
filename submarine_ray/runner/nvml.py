"""NVIDIA's GPUs, by the library that comes with their driver: nothing need be installed.

Source: nvml.h, whose functions and structures have not changed since NVML 5.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping

LIBRARY = "libnvidia-ml.so.1"
VISIBLE = "CUDA_VISIBLE_DEVICES"


class _Utilization(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class Gpus:
    """The GPUs that a process with the variables `env` sees, in its order. Raises OSError where there are none."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._nvml = ctypes.CDLL(LIBRARY)
        if self._nvml.nvmlInit_v2() != 0:
            raise OSError("NVML does not start")
        self._handles = [handle for handle in map(self._handle, _visible(env, self._count())) if handle is not None]

    def _count(self) -> int:
        count = ctypes.c_uint()
        return count.value if self._nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 else 0

    def _handle(self, name: str) -> ctypes.c_void_p | None:
        """By its number, or its UUID; that of a part of a GPU (MIG) leads to the part."""
        handle = ctypes.c_void_p()
        if name.isdigit():
            failed = self._nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(name)), ctypes.byref(handle))
        else:
            failed = self._nvml.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
        return None if failed else handle

    def metrics(self) -> Iterator[tuple[str, float]]:
        """What each does now; what it does not tell, as a part of a GPU, is left out."""
        for number, handle in enumerate(self._handles):
            name = f"gpu_{number}"
            use, memory = _Utilization(), _Memory()
            if self._nvml.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(use)) == 0:
                yield f"{name}_utilization_percentage", float(use.gpu)
            if self._nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0 and memory.total:
                yield f"{name}_memory_usage_megabytes", memory.used / 1e6
                yield f"{name}_memory_usage_percentage", memory.used / memory.total * 100
            power, limit = ctypes.c_uint(), ctypes.c_uint()
            if self._nvml.nvmlDeviceGetPowerUsage(handle, ctypes.byref(power)) == 0:
                yield f"{name}_power_usage_watts", power.value / 1000
                known = self._nvml.nvmlDeviceGetEnforcedPowerLimit(handle, ctypes.byref(limit)) == 0
                if known and limit.value:
                    yield f"{name}_power_usage_percentage", power.value / limit.value * 100


def _visible(env: Mapping[str, str], count: int) -> list[str]:
    """As CUDA reads it: what follows a name that is none is not visible."""
    if VISIBLE not in env:
        return [str(number) for number in range(count)]
    found = []
    for name in (part.strip() for part in env[VISIBLE].split(",")):
        if not (name.isdigit() and int(name) < count) and not name.startswith(("GPU-", "MIG-")):
            break
        found.append(name)
    return found
