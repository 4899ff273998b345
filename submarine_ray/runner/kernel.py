"""Whether the kernel has killed for lack of memory: it tells no process why, but it counts."""

from __future__ import annotations

from pathlib import Path


class KernelKills:
    """The kernel's count of processes killed for lack of memory: of this process's cgroup, else of the machine."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._before = self._count()

    def have_come(self) -> bool:
        """Whether there were any since this was made; False where nothing is counted."""
        now = self._count()
        return now is not None and self._before is not None and now > self._before

    def _count(self) -> int | None:
        for file in self._files():
            try:
                lines = (self._root / file).read_text().splitlines()
            except OSError:
                continue
            for line in lines:
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        return None

    def _files(self) -> list[str]:
        try:
            own = (self._root / "proc/self/cgroup").read_text().splitlines()
        except OSError:
            own = []
        # "0::/path" is cgroup v2; "N:memory:/path" is v1. A container sees its own group at the root.
        v2 = [line.split("::", 1)[1].strip("/") for line in own if line.startswith("0::")]
        v1 = [line.split(":", 2)[2].strip("/") for line in own if line.split(":")[1:2] == ["memory"]]
        return [
            *(f"sys/fs/cgroup/{path}/memory.events" for path in v2),
            *(f"sys/fs/cgroup/memory/{path}/memory.oom_control" for path in v1),
            "sys/fs/cgroup/memory/memory.oom_control",
            "proc/vmstat",
        ]
