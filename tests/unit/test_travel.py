"""Code that travels: what is sent and copied of a directory, and what is said of the rest."""

from __future__ import annotations

import io
import os
import random
import socket
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from submarine_ray.client import package
from submarine_ray.client.ignored import Ignored
from submarine_ray.client.package import TooMuch, pack_directory
from submarine_ray.core.errors import InvalidSpec
from submarine_ray.runner import fetching
from submarine_ray.runner.errors import CodeSyncFailed
from submarine_ray.spec.launch import Code
from tests.packages import packages_at


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return root


def names(directory: Path) -> set[str]:
    return packed(directory)[0]


def packed(directory: Path) -> tuple[set[str], list[str]]:
    """What is in a directory's package, and what is said about it."""
    told: list[str] = []
    content = pack_directory(directory, told.append)
    return set(zipfile.ZipFile(io.BytesIO(content)).namelist()), told


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A directory with everything that gets lost on the way."""
    root = write(
        tmp_path / "exp [v1] *?", **{"run.sh": "#!/bin/sh\n", "a\\b.txt": "x", "pkg/[x].py": "x", "é ü\n.txt": "x"}
    )
    (root / "run.sh").chmod(0o755)
    (root / "secret").touch(0o400)
    (root / "logs").mkdir()
    write(tmp_path / "shared", **{"a.csv": "1", "deep/b.csv": "2"})
    (root / "data").symlink_to(tmp_path / "shared")
    (root / "latest").symlink_to("pkg")
    (root / "file").symlink_to(tmp_path / "shared" / "a.csv")
    (root / ".#lock").symlink_to("/nonexistent")
    (root / "pkg" / "self").symlink_to(".")
    (tmp_path / "shared" / "back").symlink_to(root)
    os.mkfifo(root / "fifo")
    (Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt"))).write_text("x")
    return root


EXPECTED = {
    "run.sh", "a\\b.txt", "pkg/[x].py", "é ü\n.txt", "secret", "logs/", "data/a.csv", "data/deep/b.csv",
    "latest/[x].py", "file",
}  # fmt: skip


def test_a_package_has_all_that_can_travel_and_says_the_rest(odd: Path, tmp_path: Path) -> None:
    sent, told = packed(odd)
    assert sent == EXPECTED
    content = pack_directory(odd)
    assert content == pack_directory(odd)  # the same files, the same package
    said = "\n".join(told)
    assert f"follows data to {tmp_path / 'shared'}, and sends what is there" in said
    for sentence in (
        "leaves out .#lock (a link to nothing)",
        "leaves out fifo (neither a file nor a directory)",
        "leaves out 'caf\\xe9.txt' (a zip cannot hold a name that is not UTF-8)",
        "(a link in a circle)",
    ):
        assert sentence in said, sentence
    directory = packages_at(tmp_path / "store").unpack(packages_at(tmp_path / "store").add(content))
    fetching.fetch(Code("package", str(directory)), tmp_path / "replica")
    got = tmp_path / "replica"
    assert (got / "data/a.csv").read_text() == "1" and (got / "logs").is_dir() and (got / "a\\b.txt").exists()
    assert os.access(got / "run.sh", os.X_OK) and not os.access(got / "a\\b.txt", os.X_OK)


def test_local_code_is_copied_as_it_is(odd: Path, tmp_path: Path) -> None:
    told = fetching.fetch(Code("local", str(odd)), tmp_path / "copied")
    got = tmp_path / "copied"
    assert (
        (got / "data/deep/b.csv").read_text() == "2" and (got / "logs").is_dir() and (got / "file").read_text() == "1"
    )
    assert b"caf\xe9.txt" in os.listdir(os.fsencode(got))
    assert stat.S_IMODE((got / "run.sh").stat().st_mode) == 0o755
    assert "the code: leaves out .#lock (a link to nothing)" in told
    assert not any(path.is_symlink() for path in got.rglob("*"))
    told = fetching.fetch(Code("local", f"file://{odd / 'run.sh'}"), tmp_path / "one")
    assert os.access(tmp_path / "one" / "run.sh", os.X_OK) and told == []
    with pytest.raises(CodeSyncFailed, match=r"nowhere cannot be read: .*No such file"):
        fetching.fetch(Code("local", str(tmp_path / "nowhere")), tmp_path / "none")


def test_a_package_reaches_a_cluster_without_our_disk_whole(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = packages_at(tmp_path / "store")
    unpacked_by_ray = tmp_path / "working_dir"
    with zipfile.ZipFile(io.BytesIO(store.wrapped(store.add(pack_directory(odd))))) as archive:
        archive.extractall(unpacked_by_ray)  # without modes, as some unpackers do
    monkeypatch.chdir(unpacked_by_ray)
    fetching.fetch(Code("package", "package://abc"), tmp_path / "replica")
    assert os.access(tmp_path / "replica" / "run.sh", os.X_OK) and (tmp_path / "replica" / "a\\b.txt").exists()


def test_what_gitignore_and_submarineignore_name_stays_at_home(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{
            ".git/config": "", ".git/info/exclude": "private\n", ".gitignore": "*.log\nbuild/\n/data\n.env*\n",
            "project/.gitignore": "*.bin\n!keep.bin\n", "project/.submarineignore": "notes/\n!important.log\n",
            "project/train.py": "", "project/x.log": "", "project/important.log": "", "project/a.bin": "",
            "project/keep.bin": "", "project/build/x": "", "project/data/x": "", "project/private": "",
            "project/notes/a": "", "project/.env": "", "project/.env.local": "", "project/pkg/__pycache__/a.pyc": "",
            "project/pkg/a.py": "", "project/pkg/.gitignore": "*\n!.gitignore\n!a.py\n", "project/pkg/b.py": "",
            "project/env-3.12/pyvenv.cfg": "", "project/env-3.12/bin/python": "", "project/node_modules/a/b.js": "",
        },
    )  # fmt: skip
    sent, told = packed(tmp_path / "project")
    assert sent == {
        ".gitignore", ".submarineignore", "train.py", "important.log", "keep.bin", "data/x", "pkg/a.py", "pkg/.gitignore",
    }  # fmt: skip
    assert told == [
        "leaves out .env, .env.local, a.bin, build/, pkg/b.py and 1 more (.gitignore)",
        "leaves out env-3.12/ (a virtual environment)",
        "leaves out notes/ (.submarineignore)",
        "leaves out private (.git/info/exclude)",
    ]
    assert "project/data/x" in names(tmp_path) and "project/x.log" not in names(tmp_path)


def test_a_line_of_gitignore_that_is_no_pattern_takes_no_other_with_it(tmp_path: Path) -> None:
    write(tmp_path, **{".gitignore": "!\n*.log\n[z-a]\nback\\\n", ".git/config": "", "x.log": "", "train.py": ""})
    assert names(tmp_path) == {".gitignore", "train.py"}


def test_secrets_stay_at_home_by_themselves_and_go_where_they_are_asked_to(tmp_path: Path) -> None:
    write(tmp_path, **{"train.py": "", ".env": "KEY=1", "venv/x": "", "venv/y": ""})
    assert packed(tmp_path) == ({"train.py"}, ["leaves out .env (secrets by default)"])
    write(tmp_path, **{".submarineignore": "!.env\n!venv/\nvenv/y\n"})
    assert names(tmp_path) == {"train.py", ".env", "venv/x", ".submarineignore"}


def test_what_is_too_large_is_refused_by_its_largest_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path,
        **{
            "src/train.py": "x" * 10,
            "data/raw/deep/a": "x" * 5000,
            "data/b": "x" * 9,
            "c/d": "x" * 3000,
            "e": "x" * 2000,
        },
    )
    monkeypatch.setattr(package, "MAX_BYTES", 4096)
    with pytest.raises(
        TooMuch,
        match=r"10 KiB in 5 files, and 4 KiB may travel; the largest are data/raw/deep/ \(5 KiB\), c/ \(3 KiB\), e \(2 KiB\)",
    ):
        pack_directory(tmp_path)
    write(tmp_path, **{".submarineignore": "data\nc\n"})
    assert names(tmp_path) == {"src/train.py", "e", ".submarineignore"}


def test_what_is_nested_too_deep_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(500):
        os.mkdir("x")
        os.chdir("x")
    monkeypatch.undo()
    with pytest.raises(TooMuch, match="nested hundreds deep; name a smaller directory"):
        pack_directory(tmp_path)


def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, **{"a.py": "", "hidden": ""})
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("hidden"))  # tests may run as root
    assert packed(tmp_path) == ({"a.py"}, ["leaves out hidden (it may not be read)"])
    with pytest.raises(NotADirectoryError, match="is not a directory"):
        pack_directory(tmp_path / "a.py")
    assert Ignored.at(tmp_path).leaves_out("a.py") is None


def zipped(*members: tuple[str, int, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, mode, content in members:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return buffer.getvalue()


LINK = stat.S_IFLNK | 0o777
FILE = stat.S_IFREG | 0o644


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([("../x", FILE, "")], "'../x', which leads out of it"),
        ([("/etc/x", FILE, "")], "'/etc/x', which leads out of it"),
        ([("a/../../x", FILE, "")], "leads out of it"),
        ([("a", LINK, "/etc")], "the link 'a', which leads out of it"),
        ([("a/b", LINK, "../../x")], "the link 'a/b', which leads out of it"),
        ([("a", FILE, ""), ("a/b", FILE, "")], "holds 'a' as a file and as a directory"),
        ([("x" * 300, FILE, "")], "longer than 255 bytes"),
    ],
)
def test_a_hostile_upload_is_refused(tmp_path: Path, members: list[tuple[str, int, str]], why: str) -> None:
    with pytest.raises(InvalidSpec, match="the zip holds") as refused:
        packages_at(tmp_path).add(zipped(*members))
    assert why in str(refused.value)


# Debian 12's Python is older; a cluster's that is says so, and asks for a zip.
unpacks_tars = pytest.mark.skipif(
    not hasattr(tarfile, "data_filter"), reason="needs Python 3.11.4, which unpacks tars safely"
)


def test_links_in_zips_are_kept_inside_and_never_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    members = [
        ("real/x", FILE, "1"), ("good", LINK, "real"), ("out", LINK, str(outside)), ("out/evil", FILE, "!"),
        ("dot", LINK, "."), ("sly", LINK, "dot/.."), ("loop", LINK, "loop"), ("../up", LINK, "real"),
    ]  # fmt: skip
    (tmp_path / "code.zip").write_bytes(zipped(*members))
    told = fetching.fetch(Code("local", str(tmp_path / "code.zip")), tmp_path / "zip")
    assert (tmp_path / "zip/good/x").read_text() == "1" and not list(outside.iterdir())
    assert not any(os.path.lexists(tmp_path / "zip" / name) for name in ("sly", "loop", "code.zip"))
    assert "the archive: leaves out sly, which leads out of it" in told and (tmp_path / "zip/out/evil").exists()


@unpacks_tars
def test_links_in_tars_are_kept_inside_and_never_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(tmp_path / "code.tar.xz", "w:xz") as archive:
        for name, target in (("good", "real"), ("out", str(outside)), ("up", "../..")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for name in ("real/x", "out/evil", "../evil"):
            file = tarfile.TarInfo(name)
            file.size, file.mode = 1, 0o755
            archive.addfile(file, io.BytesIO(b"1"))
    told = fetching.fetch(Code("local", str(tmp_path / "code.tar.xz")), tmp_path / "tar")
    assert os.access(tmp_path / "tar/good/x", os.X_OK) and not list(outside.iterdir())
    assert not (tmp_path / "evil").exists() and "the archive: leaves out ../evil, which leads out of it" in told


@pytest.mark.parametrize("name", ["a.zip", pytest.param("a.tar.gz", marks=unpacks_tars)])
def test_a_broken_archive_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(CodeSyncFailed, match=r"cannot be read: the (zip|tar) is broken"):
        fetching.fetch(Code("local", str(tmp_path / name)), tmp_path / "out")


def test_an_archive_that_is_broken_inside_is_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", random.Random(1).randbytes(20_000))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[5000:5100] = b"\xff" * 100
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(CodeSyncFailed, match="cannot be read: the zip is broken"):
        fetching.fetch(Code("local", str(tmp_path / "a.zip")), tmp_path / "out")


def test_a_socket_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        assert fetching.fetch(Code("local", str(tmp_path)), tmp_path.parent / f"{tmp_path.name}-copy") == [
            "the code: leaves out s (neither a file nor a directory)"
        ]
