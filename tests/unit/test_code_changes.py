"""What differs between two packages of code."""

from __future__ import annotations

from pathlib import Path

from submarine_ray.spec.zips import zipped
from submarine_ray.workbench.code_changes import MAX_LINES, changes


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
