"""Resource quantities: `cpu=1,memory=1024M,nvidia.com/gpu=1`, parsed once.

Source of the grammar: Submarine's experiment API (`ExperimentTaskSpec.resources`) and Kubernetes' resource quantities.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

GPU_KEY = "nvidia.com/gpu"
GIB = 2**30
SHORT = 200  # texts up to this length are remembered
SLACK = 1e-6  # fractions of cores add up with rounding errors
_KEYS = {"cpu": "cpu", "memory": "memory", "gpu": GPU_KEY, GPU_KEY: GPU_KEY}
_SUFFIXES = {
    "": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50,
}  # fmt: skip
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([a-zA-Z]*)")


@dataclass(frozen=True)
class Resources:
    """What one replica asks for: `cpu` in cores, `memory` in bytes, `gpu` in devices; zero means not asked."""

    cpu: float = 0.0
    memory: int = 0
    gpu: float = 0.0

    def __add__(self, other: Resources) -> Resources:
        return Resources(self.cpu + other.cpu, self.memory + other.memory, self.gpu + other.gpu)

    def times(self, count: int) -> Resources:
        """The sum for `count` equal replicas."""
        return Resources(self.cpu * count, self.memory * count, self.gpu * count)

    def times_in(self, room: Resources) -> int:
        """How often this fits into `room`."""
        pairs = ((self.cpu, room.cpu), (self.memory, room.memory), (self.gpu, room.gpu))
        return int(min((there / asked + SLACK for asked, there in pairs if asked), default=1_000_000))

    def fits(self, free: Resources) -> bool:
        """Whether `free` has room for this."""
        return self.cpu <= free.cpu + SLACK and self.memory <= free.memory and self.gpu <= free.gpu + SLACK


def parse_cpu(text: str) -> float:
    """`2`, `0.5` or `500m` in cores. Raises ValueError."""
    text = text.strip()
    number, factor = (text[:-1], 0.001) if text.endswith("m") else (text, 1.0)
    if not re.fullmatch(r"\d+(\.\d+)?", number):
        raise ValueError(f"cpu={text!r} is not a number of cores; write for example cpu=2, cpu=0.5 or cpu=500m")
    return _positive("cpu", text, float(number) * factor)


def check_resources(text: str) -> str:
    """`text`, if it tells resources. Raises ValueError."""
    parse_resources(text)
    return text


def parse_memory(text: str) -> int:
    """`1024M`, `2Gi`, `1.5G` or plain bytes, in bytes. Raises ValueError."""
    match = _QUANTITY.fullmatch(text.strip())
    if not match or match[2] not in _SUFFIXES:
        raise ValueError(
            f"memory={text!r} is not an amount of memory; write for example memory=1024M or memory=2Gi "
            f"(units {', '.join(s for s in _SUFFIXES if s)})"
        )
    return int(_positive("memory", text, float(match[1]) * _SUFFIXES[match[2]]))


def memory_text(size: int) -> str:
    """An amount of memory as users write it, and exactly: `2Gi`, `1500M`, or plain bytes."""
    units = [(suffix, unit) for suffix, unit in _SUFFIXES.items() if suffix != "K" and size % unit == 0]
    suffix, unit = max(units, key=lambda one: one[1])
    return f"{size // unit}{suffix}"


def parse_gpu(text: str) -> float:
    """A whole number of devices, or a fraction of one (Ray shares a device logically). Raises ValueError."""
    if not re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        raise ValueError(f"{GPU_KEY}={text!r} is not a number of GPUs; write for example {GPU_KEY}=1")
    value = float(text)
    if value > 1 and value != int(value):
        raise ValueError(f"{GPU_KEY}={text!r}: more than one GPU must be a whole number")
    return value


def _positive(key: str, text: str, value: float) -> float:
    if value <= 0 or not math.isfinite(value):
        raise ValueError(f"{key}={text!r} must be more than zero")
    return value


def split_resources(text: str) -> dict[str, str]:
    """`cpu=1,memory=1024M` as {"cpu": "1", "memory": "1024M"}, keys canonical. Raises ValueError."""
    return dict(_split_short(text) if len(text) <= SHORT else _split(text))


def _split(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, separator, value = item.partition("=")
        canonical = _KEYS.get(key.strip().lower())
        if not separator or not value.strip():
            raise ValueError(f"{item!r} is not key=value; write for example cpu=1,memory=1024M,{GPU_KEY}=1")
        if canonical is None:
            raise ValueError(f"unknown resource {key.strip()!r}; known are cpu, memory and {GPU_KEY}")
        if canonical in found:
            raise ValueError(f"{canonical} is given twice")
        found[canonical] = value.strip()
    return found


def parse_resources(text: str) -> Resources:
    """The quantities that `text` asks for. Raises ValueError naming the part that is wrong."""
    return _parse_short(text) if len(text) <= SHORT else _parse(text)


def _parse(text: str) -> Resources:
    parts = split_resources(text)
    return Resources(
        cpu=parse_cpu(parts["cpu"]) if "cpu" in parts else 0.0,
        memory=parse_memory(parts["memory"]) if "memory" in parts else 0,
        gpu=parse_gpu(parts[GPU_KEY]) if GPU_KEY in parts else 0.0,
    )


# The same few texts come again in each row of a list.
_split_short = lru_cache(1024)(_split)
_parse_short = lru_cache(1024)(_parse)


def resources_text(size: Resources) -> str:
    """What `parse_resources` reads as `size`; empty where nothing is asked."""
    parts = (
        ("cpu", f"{size.cpu:g}"),
        ("memory", memory_text(size.memory) if size.memory else "0"),
        (GPU_KEY, f"{size.gpu:g}"),
    )
    return ",".join(f"{key}={value}" for key, value in parts if value != "0")


# What is not bounded, in any unit: a size that no cluster has.
UNBOUNDED = 2**62


def parse_bound(text: str | None) -> Resources | None:
    """The most that `text` allows; what it does not name is not bounded. Raises ValueError."""
    if not text:
        return None
    asked = parse_resources(text)
    given = split_resources(text)
    return Resources(asked.cpu or UNBOUNDED, asked.memory or UNBOUNDED, asked.gpu if GPU_KEY in given else UNBOUNDED)


Quantities = Annotated[str, AfterValidator(check_resources)]
