"""Caches a driver for each registered cluster, until the registration changes."""

from __future__ import annotations

import threading

from submarine_ray.clusters.drivers import kinds
from submarine_ray.clusters.drivers.base import Driver
from submarine_ray.clusters.drivers.kinds import Address, Check, Means
from submarine_ray.clusters.tables import ClusterRow


class Connections:
    """Drivers by cluster."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._drivers: dict[str, tuple[Address, Driver]] = {}
        self._lock = threading.Lock()

    def driver(self, row: ClusterRow) -> Driver:
        """The cluster's driver, made anew when its registration changed. Raises Unreachable if it has none now."""
        address = kinds.of(row).address(row, self._means)
        with self._lock:
            known = self._drivers.get(row.name)
            if known and known[0] == address:
                return known[1]
            driver = address.connect(self._means)
            self._drivers[row.name] = (address, driver)
        if known:
            known[1].close()
        return driver

    def names(self) -> set[str]:
        """The clusters that something is open to."""
        with self._lock:
            return set(self._drivers)

    def forget(self, name: str) -> None:
        with self._lock:
            known = self._drivers.pop(name, None)
        if known:
            known[1].close()

    def close(self) -> None:
        with self._lock:
            for _, driver in self._drivers.values():
                driver.close()
            self._drivers.clear()

    def checks(self, row: ClusterRow) -> list[Check] | None:
        """See Kind.checks."""
        return kinds.of(row).checks(row, self._means)
