"""That something ran out of memory, whoever says so: Ray's memory monitor, the kernel, Kubernetes. One form for all.

The runner writes the sentence where it sees the end itself; the control service where only Ray or Kubernetes saw it.
"""

from __future__ import annotations

import re

RAN_OUT = "ran out of memory"
# In place of the status of a process that the kernel has killed for lack of memory: no signal has this number.
OOM_KILLED = -1000
WHAT_TO_DO = "Ask for more memory in resources, or use less."
# Source: Ray 2.60's raylet (ThresholdMemoryMonitor). "node running low on memory" has been there since Ray 2.2.
_MONITOR = "node running low on memory"
_FIGURES = re.compile(r"was ([\d.]+ ?[KMGT]?B)(?: used)? / ([\d.]+ ?[KMGT]?B)")
_LARGEST = re.compile(r"PID\s+MEM\(GB\)\s+COMMAND\n\d+\t([\d.]+)\t(.+)")
# Lines of replicas have other marks before them, so no script can say this.
_RUNNER = re.compile(rf"^\[submarine\] .*?(?:failed|the first): (?:it|JupyterLab) ({RAN_OUT}.*)", re.MULTILINE)


def of_ray(text: str | None) -> str | None:
    """What Ray's memory monitor says when it ends a worker, in a sentence with its figures; None of other texts."""
    if not text or _MONITOR not in text:
        return None
    figures, largest = _FIGURES.search(text), _LARGEST.search(text)
    when = f" when {figures[1]} of {figures[2]} were in use on its node" if figures else ""
    most = f", {largest[1]}GB of that by `{largest[2].strip()[:200]}`" if largest and figures else ""
    return f"it {RAN_OUT}: Ray's memory monitor ended it{when}{most}. {WHAT_TO_DO}"


def of_kernel() -> str:
    """Of a process that the kernel has killed: what follows "it "."""
    return f"{RAN_OUT}: the kernel killed it. {WHAT_TO_DO}"


def of_pod(name: str, limit: str | None) -> str:
    """Of a pod that Kubernetes shows as OOMKilled; `limit` as its manifest says it."""
    bound = f" of {limit}" if limit else ""
    return f"It {RAN_OUT}: the pod {name} was killed at its limit{bound}. {WHAT_TO_DO}"


def of_runner(log: str | None) -> str | None:
    """What the runner has said of it at the end of a job's log; None if it was something else."""
    found = _RUNNER.search(log or "")
    return f"it {found[1]}" if found else None
