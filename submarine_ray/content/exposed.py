"""What content may do to its readers where it has no origin of its own, for `submarine status`."""

from __future__ import annotations

from collections.abc import Iterable

from submarine_ray.content.origins import SETTING, Origins


def exposed(origins: Origins, is_trusted: bool) -> Iterable[str]:
    """A sentence where notebooks, dashboards and artifacts share the address of the service's own pages."""
    if not origins.is_shared:
        return
    if is_trusted:
        yield (
            "Notebooks, dashboards and artifacts are shown at the service's own address and without a sandbox "
            "(SUBMARINE_TRUST_CONTENT): what their scripts do is done in the name of who reads them. "
            f"Give them an address of their own with {SETTING}."
        )
    else:
        yield (
            "Notebooks, dashboards and artifacts are shown at the service's own address, in a sandbox in which much of "
            f"them does not work. Give them an address of their own with {SETTING}."
        )
