"""Uploaded packages on the service's disk: what is refused, what is kept, what is unpacked."""

from __future__ import annotations

import base64
import io
import itertools
import os
import random
import stat
import struct
import threading
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from anyio import CapacityLimiter
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from submarine_ray.clusters.drivers import uploaded
from submarine_ray.clusters.drivers.base import Blocked, CodeRefused
from submarine_ray.clusters.drivers.runner_code import runner_code
from submarine_ray.core.errors import InvalidSpec, TooLarge, Unavailable
from submarine_ray.packages.service import PackageNotReady, PackageService, PackageUnusable
from submarine_ray.spec import zips
from submarine_ray.spec.deletions import DeletedKind
from tests.conftest import run
from tests.packages import packages_at, tombstones_at

DAY = 24 * 3600.0
FILE, LINK = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777


def zipped(*members: tuple[str, int, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, mode, content in members:
            member = zipfile.ZipInfo(name)
            member.external_attr, member.compress_type = mode << 16, method
            archive.writestr(member, content)
    return buffer.getvalue()


def one(text: str) -> bytes:
    return zipped(("file", FILE, text))


def encrypted(content: bytes) -> bytes:
    """The same zip, said to be encrypted."""
    changed = bytearray(content)
    changed[content.index(b"PK\x03\x04") + 6] |= 1
    changed[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


def with_wrong_content(text: str) -> bytes:
    content = zipped(("file", FILE, text), method=zipfile.ZIP_STORED)
    return content.replace(text.encode(), text.upper().encode())


def smaller_by_its_own_word(size: int) -> bytes:
    """A file of `size` zeros that its entries say is of ten bytes."""
    content = bytearray(zipped(("zeros", FILE, b"\0" * size)))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(mark) + offset, 10)
    return bytes(content)


def with_a_list_before_its_begin() -> bytes:
    content = bytearray(one("x"))
    struct.pack_into("<I", content, content.index(b"PK\x05\x06") + 12, 5000)
    return bytes(content)


HOSTILE = {
    "up": ([("../x", FILE, "")], "'../x', which leads out of it"),
    "absolute": ([("/etc/x", FILE, "")], "'/etc/x', which leads out of it"),
    "up again": ([("a/../../x", FILE, "")], "leads out of it"),
    "link": ([("a", LINK, "/etc")], "the link 'a', which leads out of it"),
    "link up": ([("a/b", LINK, "../../x")], "the link 'a/b', which leads out of it"),
    "links together": ([("a/b/s", LINK, "../.."), ("t", LINK, "a/b/s/..")], "the link 't', which leads out of it"),
    "circle": ([("a", LINK, "b"), ("b", LINK, "a")], "the link 'a', which leads out of it, or in a circle"),
    "link to nothing": ([("a", LINK, "")], "the link 'a', which leads nowhere"),
    "long link": ([("a", LINK, "x/" * 3000)], "'a', a link whose target is longer than 4095 bytes"),
    "below a link": ([("a", LINK, "b"), ("a/x", FILE, ""), ("b/", stat.S_IFDIR, "")], "'a' as a file and as a dir"),
    "both": ([("a", FILE, ""), ("a/b", FILE, "")], "holds 'a' as a file and as a directory"),
    "both, far": ([("a/b/c/d", FILE, ""), ("a/b", FILE, "")], "holds 'a/b' as a file and as a directory"),
    "both, named": ([("a", FILE, ""), ("a/", stat.S_IFDIR, "")], "holds 'a' as a file and as a directory"),
    "twice": ([("a", FILE, "1"), ("a", FILE, "2")], "holds 'a' twice"),
    "twice, spelt": ([("b/a", FILE, "1"), ("b//./a", FILE, "2")], "holds 'b/a' twice"),
    "long name": ([("x" * 256, FILE, "")], "a name that is longer than 255 bytes"),
    "long in bytes": ([("ü" * 128, FILE, "")], "a name that is longer than 255 bytes"),
    "long path": ([("/".join(["x" * 200] * 16), FILE, "")], "a path that is longer than 3072 bytes"),
    "deep": ([("d/" * 100 + "x", FILE, "")], "nested more than 100 folders deep"),
    "no name": ([(".", FILE, "")], "which is no name"),
    "device": ([("null", stat.S_IFCHR | 0o666, "")], "'null', a device; only files, directories and links travel"),
    "disk": ([("sda", stat.S_IFBLK | 0o666, "")], "'sda', a device"),
    "pipe": ([("fifo", stat.S_IFIFO | 0o666, "")], "'fifo', a pipe"),
    "socket": ([("s", stat.S_IFSOCK | 0o666, "")], "'s', a socket"),
    "full directory": ([("d/", stat.S_IFDIR, "content")], "'d/', a directory that has content"),
}  # fmt: skip
HOSTILE_BYTES = {
    "none": (b"no zip", "is broken, or no zip"),
    "empty": (b"", "is broken, or no zip"),
    "encrypted": (encrypted(one("x")), "'file', which is encrypted; pack it without a password"),
    "bzip2": (zipped(("b", FILE, "x"), method=zipfile.ZIP_BZIP2), "'b', packed by method 12"),
    "lzma": (zipped(("l", FILE, "x"), method=zipfile.ZIP_LZMA), "'l', packed by method 14"),
    "checksum": (with_wrong_content("content"), "'file', whose content is broken: Bad CRC"),
    "smaller": (smaller_by_its_own_word(5_000_000), "'zeros', whose content is broken"),
    "before": (with_a_list_before_its_begin(), "is broken, or no zip"),
    "nul": (one("x").replace(b"file", b"\0ile"), "'', which is no name"),
    "cut": (one("x" * 5000)[:-30], "is broken, or no zip"),
}
CASES = {name: (zipped(*members), why) for name, (members, why) in HOSTILE.items()} | HOSTILE_BYTES


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_unpacked_is_refused_by_its_name_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    content, why = CASES[name]
    with pytest.raises(InvalidSpec, match=r"^the zip (holds|is broken)") as refused:
        packages_at(tmp_path).add(content)
    assert why in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bound", "value", "content", "why"),
    [
        ("MAX_ENTRIES", 9, zipped(*((str(n), FILE, "") for n in range(10))), "holds 10 entries, and 9 may travel"),
        ("MAX_DIRECTORY", 99, zipped(*((str(n), FILE, "") for n in range(10))), "has a list of entries of"),
        ("MAX_LINKS", 1, zipped(("a", LINK, "b"), ("b", LINK, "c")), "holds 2 links, and 1 may travel"),
        ("RATIO_FROM", 10_000, zipped(("zeros", FILE, b"\0" * 20_000)), "more than 100 times its size; the largest is 'z"),
        ("PIECE", 2**20, zipped(("x", FILE, random.Random(1).randbytes(60_000)), ("y", FILE, b"\0" * 60_000)),
         "unpacks to 120000 bytes, and 100000 are possible; the largest is 'x' with 60000 bytes"),
    ],
)  # fmt: skip
def test_what_holds_too_much_is_refused_as_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, content: bytes, why: str
) -> None:
    monkeypatch.setattr(zips, bound, value)
    with pytest.raises(TooLarge) as refused:
        packages_at(tmp_path, max_unpacked=100_000).add(content)
    assert why in str(refused.value) and list(tmp_path.iterdir()) == []


def test_a_list_of_a_million_entries_is_not_read(tmp_path: Path) -> None:
    entry = b"PK\x01\x02" + b"\0" * 42
    entries = entry * 200_000  # 9 MB, of which zipfile would make 200,000 objects
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(entries), 0, 0)
    with pytest.raises(TooLarge, match="holds more than 100000 entries"):
        packages_at(tmp_path).add(entries + end)


def test_thousands_of_tangled_links_take_no_time(tmp_path: Path) -> None:
    names = [f"l{n}" for n in range(3000)]
    links = [(name, LINK, f"{'./' * 1000}{after}") for name, after in itertools.pairwise(names)]
    with pytest.raises(InvalidSpec, match="in a circle"):
        packages_at(tmp_path).add(zipped(*links))


def test_what_a_linux_disk_tells_apart_stays_apart(tmp_path: Path) -> None:
    store = packages_at(tmp_path)
    content = zipped(("A", FILE, "1"), ("a", FILE, "2"), ("d/", stat.S_IFDIR, ""), ("d/", stat.S_IFDIR, ""),
                     ("./", stat.S_IFDIR, ""), ("run", stat.S_IFREG | 0o4755, ""), ("l", LINK, "d"))  # fmt: skip
    got = store.unpack(store.add(content))
    assert sorted(path.name for path in got.iterdir()) == ["A", "a", "d", "l", "run"]
    assert (got / "A").read_text() == "1" and (got / "l").readlink() == Path("d")
    assert stat.S_IMODE((got / "run").stat().st_mode) == 0o755


@settings(max_examples=200)
@given(st.data())
def test_what_is_accepted_can_be_unpacked(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(zipped(("a/b", FILE, "text" * 50), ("link", LINK, "a"), ("d/", stat.S_IFDIR, "")))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    directory = tmp_path_factory.mktemp("store")
    store = packages_at(directory)
    try:
        url = store.add(bytes(content))
    except (InvalidSpec, TooLarge):
        assert list(directory.iterdir()) == []
    else:
        store.unpack(url)


def test_an_upload_is_not_held_in_memory_and_is_kept_whole(tmp_path: Path) -> None:
    content = zipped(("noise", FILE, random.Random(1).randbytes(24 * 2**20)), method=zipfile.ZIP_STORED)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    store = packages_at(tmp_path)
    tracemalloc.start()
    url = run(store.receive(pieces(), 2**30, CapacityLimiter(1)))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 * 2**20 and store.read(url) == content
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("failure", "told"),
    [(ClientDisconnect(), InvalidSpec), (None, TooLarge), (RuntimeError("ours"), RuntimeError)],
)
def test_an_upload_that_fails_leaves_nothing(tmp_path: Path, failure: Exception | None, told: type[Exception]) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"PK" * 1_000_000
        assert len(list(tmp_path.iterdir())) == 1  # it is on the disk already
        if failure:
            raise failure
        yield b"PK" * 1_000_000

    with pytest.raises(told):
        run(packages_at(tmp_path).receive(pieces(), 3_000_000, CapacityLimiter(1)))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store = packages_at(tmp_path)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Unavailable, match="cannot be stored: No space left on device; try again later"):
        store.add(one("x"))
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_never_can_be_unpacked_is_told_from_one_that_cannot_be_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = packages_at(tmp_path / "packages")
    url = store.add(one("x" * 5000))
    file = store.file(url)
    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 100}))
        with pytest.raises(PackageNotReady, match="unpacks to 5000 bytes, and the disk has room for 100"):
            store.unpack(url)
    assert list(file.parent.iterdir()) == [file]  # tried for ever, it would fill the disk with what is left each time
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    with pytest.raises(PackageUnusable, match=r"^The code cannot be unpacked: the zip is broken"):
        store.unpack(url)
    assert store.add(whole) == url and (store.unpack(url) / "file").read_text() == "x" * 5000  # uploaded again
    file.unlink()
    (file.parent / f"{file.stem}.unpacked").rename(tmp_path / "away")
    for use in (store.unpack, store.wrapped):
        with pytest.raises(PackageUnusable, match=r"^The code is gone: .*upload it again"):
            use(url)
    assert list(file.parent.iterdir()) == []
    file.parent.rename(tmp_path / "not mounted")
    with pytest.raises(PackageNotReady, match="is not there"):
        store.unpack(url)


def test_half_of_a_directory_is_not_taken_for_a_package(tmp_path: Path) -> None:
    store = packages_at(tmp_path)
    url = store.add(zipped(("a", FILE, "1"), ("b", FILE, "2")))
    directory = store.unpack(url)
    (directory / "a").unlink()
    (directory.parent / "complete").unlink()  # what goes first
    assert sorted(path.name for path in store.unpack(url).iterdir()) == ["a", "b"]
    assert store.unpack(url) == directory


def age(path: Path, seconds: float) -> None:
    os.utime(path, (0, time.time() - seconds))


def test_old_packages_that_nobody_refers_to_go_with_their_directories(tmp_path: Path) -> None:
    store = packages_at(tmp_path)
    kept, dropped, fresh = (store.add(one(text)) for text in ("kept", "dropped", "fresh"))
    directory = store.unpack(dropped)
    for url in (kept, dropped):
        age(store.file(url), 2 * DAY)
    assert store.prune({kept}, DAY) == [dropped]
    assert [store.has(url) for url in (kept, dropped, fresh)] == [True, False, True]
    assert not directory.parent.exists()
    assert store.add(one("dropped")) == dropped and store.unpack(dropped).exists()


def test_services_that_clean_up_at_the_same_moment_remove_each_package_once(tmp_path: Path) -> None:
    services = [packages_at(tmp_path) for _ in range(3)]
    urls = [services[0].add(one(str(number))) for number in range(30)]
    for url in urls:
        services[0].unpack(url)
        age(services[0].file(url), 2 * DAY)
    together = threading.Barrier(len(services))

    def prune(store: PackageService) -> list[str]:
        together.wait()
        return store.prune(set(), DAY)

    with ThreadPoolExecutor(len(services)) as pool:
        removed = [url for urls in pool.map(prune, services) for url in urls]
    assert sorted(removed) == sorted(urls) and list(tmp_path.glob("*.unpacked")) == list(tmp_path.glob("*.zip")) == []


def test_what_a_killed_service_left_goes_once_it_is_old(tmp_path: Path) -> None:
    store = packages_at(tmp_path)
    old = ("incoming-abc", "unpacking-abc", "leaving-abc", "tmp1234abcd")
    for name in old:
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").touch()
        age(tmp_path / name, DAY)
    (tmp_path / "incoming-of-now").touch()
    (tmp_path / "tmp-of-somebody").mkdir()
    store.prune(set(), DAY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["incoming-of-now", "tmp-of-somebody"]


def test_a_directory_without_files_is_a_package_too(tmp_path: Path) -> None:
    store = packages_at(tmp_path)
    assert list(store.unpack(store.add(zipped())).iterdir()) == []


def test_a_package_that_is_uploaded_again_is_young_again(tmp_path: Path) -> None:
    store = packages_at(tmp_path)
    url = store.add(one("x"))
    age(store.file(url), 2 * DAY)
    store.add(one("x"))
    assert store.prune(set(), DAY) == []


def test_what_is_pinned_stays_and_what_goes_is_told(tmp_path: Path) -> None:
    store = packages_at(tmp_path / "packages")
    pinned, dropped = (store.add(one(text)) for text in ("pinned", "dropped"))
    store.pin(pinned)
    for url in (pinned, dropped):
        age(store.file(url), 2 * DAY)
    assert store.prune((), DAY) == [dropped] and store.has(pinned)
    assert tombstones_at(tmp_path).which(DeletedKind.PACKAGE, {pinned, dropped}) == {dropped}
    assert store.prune((), DAY) == []


def test_an_attempt_is_told_whether_waiting_helps(tmp_path: Path) -> None:
    store = packages_at(tmp_path / "packages")
    url = store.add(one("x"))
    store.file(url).unlink()
    for use in (uploaded.unpacked, uploaded.wrapped):
        with pytest.raises(CodeRefused, match=r"^The code is gone: .*upload it again"):
            use(store, url)
    (tmp_path / "packages").rename(tmp_path / "not mounted")
    with pytest.raises(Blocked, match="is not there") as waits:
        uploaded.unpacked(store, url)
    assert waits.value.reason == "CodeWaits"


def test_the_runners_own_code_fits_into_a_config_map_with_room_to_grow() -> None:
    """Kubernetes takes 1 MiB, and what is binary goes there as base64."""
    _, content = runner_code()
    assert len(base64.b64encode(content)) < 0.6 * 2**20
