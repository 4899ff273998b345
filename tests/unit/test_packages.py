"""Uploaded packages on the service's disk."""

from __future__ import annotations

import io
import os
import time
import zipfile
from pathlib import Path

import pytest

from submarine_ray.clusters.drivers.packages import PackageStore
from submarine_ray.core.errors import InvalidSpec

DAY = 24 * 3600.0


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def test_old_packages_that_nobody_refers_to_go_with_their_directories(tmp_path: Path) -> None:
    store = PackageStore(tmp_path)
    kept, dropped, fresh = (store.add(zipped(file=text)) for text in ("kept", "dropped", "fresh"))
    directory = store.unpack(dropped)
    for url in (kept, dropped):
        os.utime(tmp_path / f"{url.removeprefix('package://')}.zip", (0, time.time() - 2 * DAY))
    assert store.prune({kept}, DAY) == [dropped]
    assert [store.has(url) for url in (kept, dropped, fresh)] == [True, False, True]
    assert not directory.exists()
    assert store.add(zipped(file="dropped")) == dropped and store.unpack(dropped).exists()


def test_a_package_that_is_uploaded_again_is_young_again(tmp_path: Path) -> None:
    store = PackageStore(tmp_path)
    url = store.add(zipped(file="x"))
    os.utime(tmp_path / f"{url.removeprefix('package://')}.zip", (0, time.time() - 2 * DAY))
    store.add(zipped(file="x"))
    assert store.prune(set(), DAY) == []


@pytest.mark.parametrize("content", [b"no zip", zipped(**{"../out": "x"}), zipped(**{"/etc/passwd": "x"})])
def test_what_is_no_package_or_leads_out_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidSpec):
        PackageStore(tmp_path).add(content)
