"""What differs between two packages of code."""

from __future__ import annotations

from pathlib import Path

import pytest

from submarine_ray.spec.zips import zipped
from submarine_ray.workbench import code_changes
from submarine_ray.workbench.code_changes import MAX_FILES, MAX_LINES, Change, changes


def test_files_that_came_went_and_changed_are_told_by_their_lines(tmp_path: Path) -> None:
    before, after = tmp_path / "before.zip", tmp_path / "after.zip"
    long = "\n".join(map(str, range(1000)))
    before.write_bytes(
        zipped(
            [
                ("same.py", b"1"),
                ("train.py", b"lr = 0.1\nrun()"),
                ("gone.py", b"x"),
                ("a.bin", b"\xff"),
                ("e.py", b"a\n"),
            ]
        )
    )
    after.write_bytes(
        zipped(
            [
                ("same.py", b"1"),
                ("train.py", b"lr = 0.2\nrun()"),
                ("long.py", long.encode()),
                ("a.bin", b"\xfe"),
                ("e.py", b"a\r\n"),
            ]
        )
    )
    found = {one.name: one for one in changes(before, after)}
    assert {name: one.kind for name, one in found.items()} == {
        "a.bin": "changed", "e.py": "changed", "gone.py": "removed", "long.py": "added", "train.py": "changed",
    }  # fmt: skip
    assert found["train.py"].lines == ["@@ -1,2 +1,2 @@", "-lr = 0.1", "+lr = 0.2", " run()"]
    assert found["gone.py"].lines[-1] == "-x"
    assert "Not text" in found["a.bin"].note and "line endings" in found["e.py"].note
    assert len(found["long.py"].lines) == MAX_LINES and found["long.py"].note == "601 more lines are not shown."


def differing(tmp_path: Path, before: dict[str, bytes], after: dict[str, bytes]) -> list[Change]:
    for name, files in (("before.zip", before), ("after.zip", after)):
        (tmp_path / name).write_bytes(zipped(files.items()))
    return changes(tmp_path / "before.zip", tmp_path / "after.zip")


def test_zeros_are_no_text(tmp_path: Path) -> None:
    (found,) = differing(tmp_path, {"a": b"\0\0\1"}, {"a": b"\0\0\2"})
    assert not found.lines and found.note == "Not text, or larger than 200 kB."


def test_an_empty_file_is_called_so(tmp_path: Path) -> None:
    (found,) = differing(tmp_path, {"a": b"x"}, {"a": b"x", "pack/__init__.py": b""})
    assert (found.name, found.kind, found.note) == ("pack/__init__.py", "added", "The file is empty.")


def test_what_takes_long_to_compare_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Equal lines between others that differ: the time grows with the cube of their number, 17 seconds for 8,000.
    first, second = ("\n".join(f"{n % 110}\n{x}{n}" for n in range(10_000)).encode() for x in "xy")
    (found,) = differing(tmp_path, {"long": first}, {"long": second})
    assert not found.lines and found.note == "More than 4,000 lines: they are not compared."
    monkeypatch.setattr(code_changes, "MAX_SECONDS", -1)
    (found,) = differing(tmp_path, {"a": b"x"}, {"a": b"y"})
    assert not found.lines and found.note == "Not compared: the files before it took long."


def test_many_files_and_long_lines_are_cut_off(tmp_path: Path) -> None:
    found = differing(tmp_path, {}, {f"f{n:03}": b"x" * 100_000 for n in range(MAX_FILES + 20)})
    assert len(found) == MAX_FILES + 1
    assert (found[-1].name, found[-1].kind, found[-1].files) == ("20 more files", "not shown", 20)
    assert len(found[0].lines[-1]) == 1_001 and found[0].lines[-1].endswith("x…")
    long = "\n".join(["line"] * 1_000).encode()
    found = differing(tmp_path, {}, {f"f{n:03}": long for n in range(MAX_FILES)})
    assert sum(len(one.lines) for one in found) == 5_200
    assert found[-1].note == "Not shown: the files before it have 5,200 lines."
